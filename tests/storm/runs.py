"""Whole runs on a tiny base with random weights, with a student, killed at any time; then the same command again, to success."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from test_registry import Registry
from tinymodels import PLAN_HEAD, tables, write_csv, write_tiny_base

from parsimony.flows.cli.main import main
from tests.storm import checker
from tests.storm.forks import Fork, fork
from tests.storm.material import Ground
from tests.storm.records import SuiteResult, Tally, part

WHOLE, MODEL = 20, "tiny"
_PLAN = f"""{PLAN_HEAD}[search]
families = ["linear", "student"]
[training]
epochs = 1
student_epochs = 1
[gates]
margin = 0.4
slice_margin = 0.4
[[targets]]
name = "here"
threads = 1
"""
_ENDS_WITHIN_S = 15.0


def killed(folder: Path, share: float, rng: random.Random) -> SuiteResult:
    """Kill runs at any time of their lives; what they have trained is not lost, and no process of theirs lives on."""
    tally = Tally(name="whole run with a student killed", whole=WHOLE)
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *tables())
    (folder / "plan.toml").write_text(_PLAN, encoding="utf-8")
    seconds = _once(folder, _ground(folder, "first"))
    late = 0
    for number in range(part(WHOLE, share)):
        at = rng.uniform(0.05, 1.0) * seconds
        with tally.trial(f"run {number} killed after {at:.2f} s"):
            ground = _ground(folder, f"home-{number}")
            process = _begin(folder, ground)
            time.sleep(at)
            os.kill(process.pid, 9)
            late += process.end().end == "ended"
            _nothing_lives(ground.home)
            if Path(ground.registry.tracking_uri.removeprefix("sqlite:///")).exists():
                checker.check(checker.facts(ground, MODEL))
            _once(folder, ground)
    return tally.result(f"a run takes {seconds:.0f} s here; {late} had ended before the kill")


def _ground(folder: Path, name: str) -> Ground:
    home = folder / name
    home.mkdir()
    registry = Registry(tracking_uri=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}")
    return Ground(registry=registry, home=home, bundles={})


def _begin(folder: Path, ground: Ground) -> Fork:
    def run(_: int) -> int:
        os.environ["PARSIMONY_HOME"] = str(ground.home)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        os.chdir(folder)
        return main(["run", str(folder / "plan.toml"), "--json"])

    return fork(run, ground.log)


def _once(folder: Path, ground: Ground) -> float:
    """Run to the end, hold that it promoted or kept what its receipt says, and return the seconds."""
    outcome = _begin(folder, ground).end(600)
    assert (outcome.end, outcome.value) == ("ended", 0), f"{outcome} {ground.log.read_text()[-600:]}"
    receipts = sorted(ground.runs.glob("*/receipt.json"), key=lambda path: path.stat().st_mtime)
    winner = json.loads(receipts[-1].read_text())["winner"]
    state = checker.facts(ground, MODEL)
    checker.check_settled(state, winner["digest"])
    digests = [tags["digest"] for tags in state.versions.values()]
    assert len(digests) == len(set(digests)), "a bundle has two versions"
    return outcome.seconds


def _nothing_lives(home: Path) -> None:
    """Hold that no process works in a home any more."""
    end = time.monotonic() + _ENDS_WITHIN_S
    while (living := list(_processes(home))) and time.monotonic() < end:
        time.sleep(0.1)
    assert not living, f"processes {living} outlive the run"


def _processes(home: Path) -> Iterator[int]:
    mark = f"PARSIMONY_HOME={home}\0".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes() and int(path.parent.name) != os.getpid():
                yield int(path.parent.name)
        except OSError:
            continue
