"""`parsimony hold`: no promotions of a model until they are released."""

from __future__ import annotations

import argparse

from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, takes_reason, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "stop promotions of a model until they are released"
    parser = verb(verbs, hold, "hold", purpose, 'hold support-tickets --reason "audit until Friday"')
    parser.add_argument("name", help="the registered model")
    takes_reason(parser)


def hold(chosen: argparse.Namespace) -> int:
    """Hold promotions, and print the hold that stands."""
    from parsimony.tasks.registry import holds

    entry = holds.hold(registry(), chosen.name, chosen.reason)
    print(f"promotions of {chosen.name} are held by {entry.by} since {entry.at}: {entry.reason}")
    return 0
