"""`parsimony reconcile`: the alias follows the journal again, whoever moved it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from parsimony.errors import InfrastructureError
from parsimony.flows import settings
from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, say, verb

if TYPE_CHECKING:
    from parsimony.tasks.registry.tracking import Registry


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "let the alias of each model follow its journal again"
    parser = verb(verbs, reconcile, "reconcile", purpose, "reconcile")
    parser.add_argument("name", nargs="*", help="registered models; without any, all that have a journal")


def reconcile(chosen: argparse.Namespace) -> int:
    """Mend what can be mended, print it, and name what a person must mend; 4 when there is such a thing."""
    from parsimony.tasks.registry.journal import known
    from parsimony.tasks.registry.tracking import connected

    place, mend = registry(), _mend()
    broken: list[str] = []
    with connected(place) as client:
        names = chosen.name or known(client)
    for name in names:
        try:
            lines = mend(place, name)
        except InfrastructureError as error:
            broken.append(str(error))
            continue
        print("\n".join(lines) or f"{name}: alias and journal agree")
    say(broken)
    return InfrastructureError.exit_code if broken else 0


def _mend() -> Callable[[Registry, str], tuple[str, ...]]:
    """Return what mends a model; where a server of Prefect is named it is told, too."""
    if settings.look().prefect_home is None:
        from parsimony.tasks.alarms import mend

        return mend
    from parsimony.tasks.registry.promotion import reconcile

    return reconcile
