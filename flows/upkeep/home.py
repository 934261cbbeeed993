"""What is kept: room on the disk, the clock, the journal with its alias, and what killed runs left."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from parsimony.errors import ParsimonyError
from parsimony.flows.settings import Settings
from parsimony.flows.upkeep.diagnosis import Diagnosis
from parsimony.flows.upkeep.leftovers import RECEIPT, RUNS, leftovers
from parsimony.reporting.formatting import size
from parsimony.tasks.registry import inventory
from parsimony.tasks.registry.inventory import Standing
from parsimony.training.checkpoint_store import PARTIAL

# A run of the built-in data writes 0.4 GB.
_LEAST_BYTES, _ROOMY_BYTES = 500_000_000, 2_000_000_000
_LEAST_FILES = 10_000
_FUTURE_S = 300.0


def disk(home: Path) -> Iterator[Diagnosis]:
    """Say how much room there is, in bytes and in files."""
    free, files = shutil.disk_usage(home).free, os.statvfs(home)
    message = f"{size(free)} free below {home}"
    few = files.f_files > 0 and files.f_favail < _LEAST_FILES
    if free < _LEAST_BYTES or few:
        message += f", room for {files.f_favail:,} files" if few else ""
        yield Diagnosis(
            subject="disk", state="wrong", message=message, remedy="parsimony clean, or move PARSIMONY_HOME"
        )
    elif free < _ROOMY_BYTES:
        yield Diagnosis(subject="disk", state="note", message=message, remedy="parsimony clean")
    else:
        yield Diagnosis(subject="disk", state="well", message=message)


def clock(home: Path) -> Iterator[Diagnosis]:
    """Say whether something was written in the future: then the clock went back, and ages are wrong."""
    latest = max((p.stat().st_mtime for p in (home / RUNS).glob(f"*/{RECEIPT}")), default=0.0)
    if latest > time.time() + _FUTURE_S:
        moment = datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds")
        message = f"it is {datetime.now(UTC).isoformat(timespec='seconds')} here, and a receipt was written at {moment}"
        yield Diagnosis(subject="clock", state="wrong", message=message, remedy="set the clock by NTP")
    else:
        yield Diagnosis(subject="clock", state="well", message="later than everything that was written")


def journals(where: Settings) -> Iterator[Diagnosis]:
    """Say of every model whether its journal can be read and its alias follows."""
    registry = where.registry
    try:
        standings = inventory.standings(registry)
    except ParsimonyError as error:
        yield Diagnosis(
            subject="registry", state="wrong", message=str(error), remedy="mend what it names, and look again"
        )
        return
    if not standings:
        yield Diagnosis(subject="registry", state="well", message="it responds; nothing was promoted yet")
    for standing in standings:
        yield _standing(standing)


def _standing(standing: Standing) -> Diagnosis:
    model, head = standing.model, standing.head
    if standing.problem or head is None:
        message = f"the journal of {model} cannot be used: {standing.problem or 'it holds no entry that counts'}"
        return Diagnosis(subject="journal", state="wrong", message=message, remedy=f"parsimony history {model}")
    if standing.alias != head.version:
        alias = "nothing" if standing.alias is None else f"version {standing.alias}"
        message = f"the journal of {model} names version {head.version}, which counts; its alias names {alias}"
        return Diagnosis(subject="journal", state="wrong", message=message, remedy=f"parsimony reconcile {model}")
    moment = datetime.fromisoformat(head.at)
    ahead_s = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time.time()
    if ahead_s > _FUTURE_S:
        message = f"the last entry of {model} was written {ahead_s:.0f} s in the future"
        return Diagnosis(subject="clock", state="wrong", message=message, remedy="set the clock by NTP")
    message = f"{model}: version {head.version} in journal and alias"
    return Diagnosis(subject="journal", state="well", message=message)


def remains(home: Path) -> Iterator[Diagnosis]:
    """Say what killed runs left: the next run clears it away, or goes on from it."""
    left = leftovers(home)
    for leftover in left:
        message = f"{leftover} ({size(leftover.size_bytes)})" if leftover.path else str(leftover)
        remedy = "the next run clears it away; or parsimony clean"
        yield Diagnosis(subject="leftovers", state="note", message=message, remedy=remedy)
    partial = sorted((home / "checkpoints").glob(f"*{PARTIAL}"))
    for folder in partial:
        message = f"a training that was killed, or runs now: {folder}"
        remedy = "the same plan goes on from it; parsimony clean removes it when it is old"
        yield Diagnosis(subject="leftovers", state="note", message=message, remedy=remedy)
    if not left and not partial:
        yield Diagnosis(subject="leftovers", state="well", message="none")
