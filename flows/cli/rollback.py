"""`parsimony rollback`: an earlier champion in production again."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, takes_json, takes_reason, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "put an earlier champion into production again"
    parser = verb(verbs, rollback, "rollback", purpose, 'rollback support-tickets --reason "complaints about refunds"')
    parser.add_argument("name", help="the registered model")
    parser.add_argument("--to", metavar="VERSION", help="the version to go back to; without it the champion before")
    takes_reason(parser)
    takes_json(parser, "print the journal's entry as JSON")


def rollback(chosen: argparse.Namespace) -> int:
    """Go back, and print what is in production now."""
    from parsimony.tasks.registry import promotion

    entry = promotion.rollback(registry(), chosen.name, chosen.reason, chosen.to)
    if chosen.json:
        print(json.dumps(asdict(entry)))
    else:
        print(f"{chosen.name} version {entry.version} is in production: {entry.kind} at {entry.at}, {entry.reason}")
    return 0
