"""Have the shortlist measured by a worker on a target: everything goes and comes through the store, by digests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.candidates import BuiltBundle
from parsimony.data.splits import Splits
from parsimony.decision.verdicts import Entry
from parsimony.errors import InfrastructureError, first_line
from parsimony.files import FileRef
from parsimony.measurement import machine
from parsimony.measurement.records import TRAINING_MACHINE, TargetSettings
from parsimony.measurement.remote import Request, Result
from parsimony.tasks import pool, target
from parsimony.tasks.notices import notice
from parsimony.tasks.pool import Ending, Job
from parsimony.tasks.store import Store

if TYPE_CHECKING:
    from uuid import UUID

ATTEMPTS = 3
NO_STORE, CORRUPTED = "No store", "Corrupted"
# Another attempt may end otherwise; it finds what this one has finished.
_AGAIN = (pool.INTERRUPTED, CORRUPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How a target is reached: the deployment in its pool, the store, its address where that is a folder, and the id of the run."""

    deployment: UUID
    store: Store
    folder: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of it: the target, with the reason where nothing did, and the result."""

    target: TargetSettings
    result: Result | None = None


@task(name="measure elsewhere", task_run_name="measure on {asked.name}", cache_policy=NO_CACHE)
def measure_elsewhere(
    entries: Sequence[Entry], names: Sequence[str], baseline: str, splits: Splits, asked: TargetSettings, route: Route
) -> Reached:
    """Return what a target says of the entries that are named; nothing that goes wrong there ends the run.

    baseline: the candidate that all are compared with. A worker that is interrupted is asked again, ATTEMPTS times in all.
    """
    bundles = {e.id: e.bundle for e in entries if e.id in names and e.bundle is not None}
    try:
        request = _request(bundles, baseline, splits, asked, route.store)
        reference = route.store.put_bytes(request.dumps())
        return _attempts(request, reference, splits, route)
    except InfrastructureError as error:
        return _missing(asked, Ending(state=NO_STORE, sentence=first_line(error, 300)))


def with_measurements(entries: Sequence[Entry], reached: Reached) -> list[Entry]:
    """Return the entries with what a target measured, or the reason why it could not run them; a first timing elsewhere gives way."""
    name, result = reached.target.name, reached.result
    if result is None:
        return list(entries)
    return [
        replace(
            entry,
            measurements=(
                *(m for m in entry.measurements if m.target not in (name, TRAINING_MACHINE)),
                *(m for candidate, m in result.measurements.items() if candidate == entry.id),
            ),
            refused=(*entry.refused, *((name, why) for refused, why in result.refused.items() if refused == entry.id)),
        )
        for entry in entries
    ]


def _request(
    bundles: dict[str, BuiltBundle], baseline: str, splits: Splits, asked: TargetSettings, store: Store
) -> Request:
    """Put everything into the store that the request names, and return it."""
    version = asked.machine.onnxruntime or dict(machine.environment(asked.threads).versions)["onnxruntime"]
    return Request(
        target=replace(asked, machine=replace(asked.machine, onnxruntime=version)),
        baseline=baseline,
        bundles=tuple((name, store.put_folder(Path(bundle.folder))) for name, bundle in bundles.items()),
        validation=store.put_bytes(json.dumps(splits.texts("validation").texts).encode()),
        test=store.put_bytes(json.dumps(splits.texts("test").texts).encode()),
        code=target.measuring_code(),
    )


def _attempts(request: Request, reference: FileRef, splits: Splits, route: Route) -> Reached:
    """Look for a result that is there already, else let a worker make one, and again where it was interrupted."""
    asked = request.target
    if (before := target.kept(request, reference, route.store)) is not None:
        _say(asked, "its result of the same request is in the store already")
        return Reached(target=asked, result=before.result)
    for number in range(1, ATTEMPTS + 1):
        ending = pool.run(_job(request, reference, route, number))
        if ending.state == pool.DONE:
            try:
                return Reached(target=asked, result=_result(ending, request, reference, splits, route.store))
            except (InfrastructureError, ValueError, TypeError, KeyError) as error:
                ending = Ending(state=CORRUPTED, sentence=f"its result is not used: {first_line(error, 300)}")
        if ending.state not in _AGAIN or number == ATTEMPTS:
            break
        _say(asked, f"{ending.state.lower()}: {ending.sentence}; it is asked again, attempt {number + 1} of {ATTEMPTS}")
    return _missing(asked, ending)


def _job(request: Request, reference: FileRef, route: Route, number: int) -> Job:
    asked = request.target
    return Job(
        deployment=route.deployment,
        pool=asked.pool or "",
        name=f"{asked.name}-{reference.sha256[:8]}-{number}",
        parameters={"request": reference.sha256, "size_bytes": reference.size_bytes, "store": route.folder},
        deadline_s=asked.deadline_s,
        key=f"{reference.sha256}-{route.run_id}-{number}",
    )


def _result(ending: Ending, request: Request, reference: FileRef, splits: Splits, store: Store) -> Result:
    """Return the result that the worker's last state names, verified against its digest and the request."""
    named = target.result_in(ending.sentence)
    if named is None:
        raise ValueError("its last state names no result")
    result = Result.loads(store.get_bytes(named))
    result.require_of(request, reference.sha256, len(splits.texts("test")))
    return result


def _missing(asked: TargetSettings, ending: Ending) -> Reached:
    why = f"{ending.state}: {ending.sentence}"
    _say(asked, f"gave no result. {why}")
    return Reached(target=replace(asked, missing=why))


def _say(asked: TargetSettings, what: str) -> None:
    line = f"target {asked.name!r}: {what}"
    notice("measure", line)
