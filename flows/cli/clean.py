"""`parsimony clean`: what is no longer wanted goes, never a champion."""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from typing import TYPE_CHECKING

from parsimony.errors import PlanError
from parsimony.flows import settings
from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, takes_json, verb

if TYPE_CHECKING:
    from collections.abc import Collection

    from parsimony.flows.upkeep.retention import Item

_DAYS, _KEEP = 14.0, 20


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "remove rejected bundles, here and in MLflow, old checkpoints and what killed runs left"
    parser = verb(verbs, clean, "clean", purpose, "clean --dry-run")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    parser.add_argument("--days", type=float, default=_DAYS, help=f"keep what was used in so many days ({_DAYS:.0f})")
    parser.add_argument("--keep", type=int, default=_KEEP, help=f"keep so many of each kind, the newest ({_KEEP})")
    takes_json(parser, "print what goes as JSON")


def clean(chosen: argparse.Namespace) -> int:
    """Print what goes with its bytes, and remove it unless it is only to be shown."""
    if not chosen.days >= 0 or chosen.keep < 0:
        raise PlanError(f"found --days {chosen.days:g} --keep {chosen.keep}, expected numbers that are not below 0")
    from parsimony.flows.upkeep import retention
    from parsimony.tasks.registry.rejected import rejected

    home, place = settings.look().home, registry()
    policy = retention.Policy(days=chosen.days, keep=chosen.keep)
    with contextlib.nullcontext() if chosen.dry_run else retention.quiet(home):
        wanted = retention.wanted(place)
        items = retention.unwanted(home, wanted, policy, rejected(place, wanted))
        if not chosen.dry_run:
            retention.remove(home, place, items)
    print(retention.as_json(items) if chosen.json else _lines(items, "would go" if chosen.dry_run else "removed"))
    return 0


def _lines(items: Collection[Item], what: str) -> str:
    """Return a line for each kind, and the bytes of all."""
    from parsimony.reporting.formatting import size

    counts, bytes_of = Counter(item.kind for item in items), Counter[str]()
    for item in items:
        bytes_of[item.kind] += item.size_bytes
    lines = [f"{count:>5}  {size(bytes_of[kind]):>9}  {kind}" for kind, count in sorted(counts.items())]
    return "\n".join([*lines, f"{what}: {len(items)} things, {size(sum(bytes_of.values()))}"])
