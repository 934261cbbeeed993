"""`parsimony history`: every promotion, rollback, hold and release of a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, say, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "show every promotion, rollback, hold and release"
    parser = verb(verbs, history, "history", purpose, "history support-tickets")
    parser.add_argument("name", help="the registered model")
    takes_json(parser, "print it as JSON")


def history(chosen: argparse.Namespace) -> int:
    """Print the entries of the model's journal, oldest first."""
    from parsimony.tasks.registry import promotion

    place = registry()
    entries = promotion.history(place, chosen.name)
    say(promotion.notes(place, chosen.name))
    if chosen.json:
        print(json.dumps([asdict(entry) for entry in entries]))
        return 0
    from parsimony.flows.display import print_table
    from parsimony.reporting.formatting import size

    rows = [(e.kind, str(e.number), e.version, size(e.size_bytes), e.at, e.by, e.reason) for e in entries]
    print_table([("what", "entry", "version", "size", "when", "who", "why"), *rows])
    return 0
