"""`parsimony reconcile`: the alias follows the journal again, whoever moved it."""

from __future__ import annotations

import argparse

from parsimony.errors import InfrastructureError
from parsimony.flows.cli.shared import Verbs, registry, say, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "let the alias of each model follow its journal again"
    parser = verb(verbs, reconcile, "reconcile", purpose, "reconcile")
    parser.add_argument("name", nargs="*", help="registered models; without any, all that have a journal")


def reconcile(chosen: argparse.Namespace) -> int:
    """Mend what can be mended, print it, and name what a person must mend; 4 when there is such a thing."""
    from parsimony.tasks.registry import promotion
    from parsimony.tasks.registry.journal import known
    from parsimony.tasks.registry.tracking import connected

    place = registry()
    broken: list[str] = []
    with connected(place) as client:
        names = chosen.name or known(client)
    for name in names:
        try:
            lines = promotion.reconcile(place, name)
        except InfrastructureError as error:
            broken.append(str(error))
            continue
        print("\n".join(lines) or f"{name}: alias and journal agree")
    say(broken)
    return InfrastructureError.exit_code if broken else 0
