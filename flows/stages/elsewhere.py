"""Targets that lie elsewhere: asked through their work pools, and what they say taken into the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parsimony.data.splits import Splits
from parsimony.decision.verdicts import Entry
from parsimony.errors import first_line
from parsimony.flows import settings
from parsimony.flows.servers.deployments import target_deployment
from parsimony.flows.session import Session
from parsimony.measurement.records import TargetSettings
from parsimony.tasks import pool
from parsimony.tasks.measure_elsewhere import Reached, Route, measure_elsewhere, with_measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is measured: the candidates by name, and the one that all are compared with."""

    names: Sequence[str]
    baseline: str


def measure(
    run: Session, splits: Splits, entries: Sequence[Entry], question: Question, target: TargetSettings
) -> list[Entry]:
    """Return the entries with what a target elsewhere measured; the run remembers its predictions, or why it gave none."""
    route = _route(run, target)
    if isinstance(route, str):
        reached = Reached(target=replace(target, missing=route))
        run.say("measure", f"target {target.name!r} gave no result. {route}")
    else:
        reached = measure_elsewhere(entries, question.names, question.baseline, splits, target, route)
    run.targets = tuple(reached.target if each.name == target.name else each for each in run.targets)
    if reached.result is not None:
        run.results[target.name] = reached.result
    return with_measurements(entries, reached)


def _route(run: Session, target: TargetSettings) -> Route | str:
    """Return how a target is reached, or why it cannot be."""
    import httpx
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    store = settings.prepare().store
    try:
        deployment = target_deployment(target.pool or "")
    except ObjectNotFound:
        start = f"start a worker where the target is, which makes it: {pool.starting(target.pool or '')}"
        return f"{pool.NO_POOL}: there is no work pool {target.pool!r}; {start}"
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        return f"{pool.UNREACHABLE}: Prefect's server did not take the deployment: {first_line(error, 200)}"
    # A worker on this machine finds a folder; addresses of other kinds, which may hold secrets, each machine keeps to itself.
    folder = str(Path(store.address).resolve()) if "://" not in store.address else ""
    return Route(deployment=deployment, store=store, folder=folder, run_id=run.id)
