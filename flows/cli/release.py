"""`parsimony release`: promotions of a model are allowed again."""

from __future__ import annotations

import argparse

from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, takes_reason, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "allow promotions of a model again"
    parser = verb(verbs, release, "release", purpose, 'release support-tickets --reason "the audit is done"')
    parser.add_argument("name", help="the registered model")
    takes_reason(parser)


def release(chosen: argparse.Namespace) -> int:
    """Release promotions; nothing is written where they are not held."""
    from parsimony.tasks.registry import holds

    entry = holds.release(registry(), chosen.name, chosen.reason)
    print(f"promotions of {chosen.name} are {'allowed again' if entry else 'not held'}")
    return 0
