"""The storm as a command: where it works, which suites there are, the page and the line of JSON that it ends with."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.storm.page import Storm, page
from tests.storm.records import ON_A_REGISTRY, ON_FILES, Suite, SuiteResult

KEPT = Path(".storm.json")
if TYPE_CHECKING:
    from tests.storm.material import Base


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites, write the page after each, print one line of JSON; 1 when anything was violated.

    What other suites gave before is kept beside the page's trials, so that suites can be run one by one.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description="Trials of what must never go wrong.")
    parser.add_argument("page", type=Path, help="the page to write")
    parser.add_argument("--share", type=float, default=1.0, help="which part of the trials of each suite (1)")
    parser.add_argument("--shares", default="", metavar="SUITE=SHARE,...", help="another share for some suites")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", default="", metavar="SUITE,...", help="these suites alone; what others gave before stays"
    )
    parser.add_argument("--skip", default="", metavar="SUITE,...", help="not these suites")
    parser.add_argument("--no-postgres", action="store_true", help="on SQLite alone")
    chosen = parser.parse_args(arguments)
    shares = {
        name: float(share) for name, _, share in (each.partition("=") for each in chosen.shares.split(",") if each)
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # servers and files go with it
    storm = Storm.kept(KEPT, chosen.seed) if chosen.only else Storm(seed=chosen.seed)
    broken: list[str] = []
    with _work() as folder, ExitStack() as stack:
        for name, suite in _chosen(folder, chosen, stack).items():
            try:
                result = suite(shares.get(name, chosen.share), random.Random(f"{chosen.seed} {name}"))
            except Exception:  # a broken suite is no reason to make no other trials
                traceback.print_exc()
                broken.append(name)
                continue
            storm = storm.with_result(name, result)
            storm.keep(KEPT)
            chosen.page.write_text(page(storm), encoding="utf-8")
            _say(name, result)
    violations = [line for result in storm.results.values() for line in result.violations]
    print(
        json.dumps(
            {"trials": sum(r.trials for r in storm.results.values()), "violations": violations, "broken": broken}
        )
    )
    return 1 if violations or broken else 0


def _chosen(folder: Path, chosen: argparse.Namespace, stack: ExitStack) -> dict[str, Suite]:
    """Return the suites that are asked for; servers and registries are started when one of them needs any."""

    def takes(name: str) -> bool:
        return (not chosen.only or name in chosen.only.split(",")) and name not in chosen.skip.split(",")

    alone = {name: suite for name, suite in suites_of_files(folder).items() if takes(name)}
    if not any(takes(name) for name in ON_A_REGISTRY):
        return alone
    bases = stack.enter_context(grounds(folder, with_postgres=not chosen.no_postgres))
    return {name: suite for name, suite in suites(bases, folder).items() if takes(name)} | alone


def _say(name: str, result: SuiteResult) -> None:
    lines = [f"{name}: {result.trials} trials, {len(result.violations)} violations, {result.seconds:.0f} s"]
    print("\n  ".join((*lines, *result.violations)), file=sys.stderr, flush=True)


def suites_of_files(folder: Path) -> dict[str, Suite]:
    """Return the suites that need no registry, by their names on the command line."""
    from tests.storm import strangers, turns

    made = {
        "bundles": strangers.bundles, "tables": strangers.tables, "graphs": strangers.graphs, "bases": strangers.bases,
        "turns": turns.every_order,
    }  # fmt: skip

    def below(name: str, share: float, rng: random.Random) -> SuiteResult:
        (folder / name).mkdir()
        return made[name](folder / name, share, rng)

    return {name: partial(below, name) for name in ON_FILES}


def suites(bases: list[Base], folder: Path) -> dict[str, Suite]:
    """Return the suites on a registry by their names on the command line."""
    from tests.storm import calls, crowd, kills, runs, secrets, stops, tampering

    def spoiled(share: float, rng: random.Random) -> SuiteResult:
        with calls.field_on(bases[0]) as field:
            return calls.every_call(field, share, rng)

    def timed(share: float, rng: random.Random) -> SuiteResult:
        with calls.field_on(bases[0]) as field:
            return calls.timed(bases[0], field, share, rng)

    def whole_runs(share: float, rng: random.Random) -> SuiteResult:
        (folder / "whole-runs").mkdir()
        return runs.killed(folder / "whole-runs", share, rng)

    crowds = dict(zip(("crowd2", "crowd8", "crowd32"), crowd.suites(bases), strict=True))
    made: dict[str, Suite] = {
        "stops": partial(stops.every_place, bases),
        "kills": partial(kills.at_any_time, bases),
        "calls": spoiled,
        **crowds,
        "tampering": partial(tampering.every_kind, bases[0]),
        "secrets": partial(secrets.everywhere, bases[0]),
        "rollback": timed,
        "runs": whole_runs,
    }
    return {name: made[name] for name in ON_A_REGISTRY}


@contextmanager
def _work() -> Iterator[Path]:
    """Give a temporary folder, in memory where there is room: a storm waits for no disk."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="storm-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def grounds(folder: Path, *, with_postgres: bool) -> Iterator[list[Base]]:
    """Give what trials begin with: Prefect's server, loaded libraries, a base on each database."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ["PARSIMONY_HOME"] = str(folder / "home")
    from parsimony.flows import settings
    from parsimony.flows.engine import serving

    with serving(settings.prepare()):
        from tests.storm import material

        material.warm(folder / "warm")
        with material.bases(folder, with_postgres=with_postgres) as bases:
            yield bases
