"""One run of a deployment in a work pool, waited for until a deadline: how it ended, or what stands in its way."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType, WorkerStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Cancelled, Crashed

from parsimony.errors import first_line
from parsimony.reporting.formatting import duration
from parsimony.tasks.notices import notice

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

POLL_S = 1.0
# Prefect calls a worker offline that was silent for three heartbeats of 30 seconds.
SILENT_S = 90.0
DONE, UNREACHABLE, NO_POOL, NO_WORKER = "Measured", "Unreachable", "No pool", "No worker"
PAUSED, BUSY, SLOW, INTERRUPTED = "Paused", "Busy", "Slow", "Interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is run: a deployment in a pool, its parameters, the name of the run, and how long it is waited for.

    Jobs of the same `key` are one run, however often they are started.
    """

    deployment: UUID
    pool: str
    name: str
    parameters: Mapping[str, Any]
    deadline_s: float
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a job ended: the state by its name, and one sentence; that of a run which ended well is the run's own."""

    state: str
    sentence: str


def absence(pool: str) -> str:
    """Return why nobody of a pool could be asked now, "" where somebody could; a server that is silent is asked again later."""
    with get_client(sync_client=True) as client:
        try:
            paused = client.read_work_pool(pool).is_paused
            return f"the pool {pool!r} is paused" if paused else "" if _online(client, pool) else _nobody(pool)
        except ObjectNotFound:
            return _nobody(pool)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            return f"Prefect's server is silent ({first_line(error, 200)})"


def _online(client: SyncPrefectClient, pool: str) -> bool:
    return any(each.status == WorkerStatus.ONLINE for each in client.read_workers_for_work_pool(pool))


def starting(pool: str) -> str:
    """Return the command that starts a worker of a pool, and makes the pool where there is none."""
    return f"prefect worker start --pool {pool} --type process"


def _nobody(pool: str) -> str:
    return f"no worker polls the pool {pool!r}; start one where the target is: {starting(pool)}"


def run(job: Job) -> Ending:
    """Start a job and wait for its end; what is given up is cancelled, so that no worker begins it later."""
    with get_client(sync_client=True) as client:
        try:
            flow_run = client.create_flow_run_from_deployment(
                job.deployment,
                parameters=dict(job.parameters),
                name=job.name,
                idempotency_key=job.key,
                tags=["parsimony"],
            )
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            return Ending(state=UNREACHABLE, sentence=f"Prefect's server took no run: {first_line(error, 200)}")
        try:
            ending = _followed(client, job, flow_run.id)
        except BaseException:
            _give_up(client, flow_run.id, Cancelled(message="The run that asked for it was ended."))
            raise
        if ending.state in (NO_WORKER, PAUSED, BUSY, SLOW, UNREACHABLE):
            _give_up(client, flow_run.id, Cancelled(message=ending.sentence))
        elif ending.state == INTERRUPTED:
            _give_up(client, flow_run.id, Crashed(message=ending.sentence))
        return ending


def _followed(client: SyncPrefectClient, job: Job, number: UUID) -> Ending:
    """Look at the run until it has ended or there is a reason to wait no longer; a server that is silent for a while is no such."""
    start, silent, told = time.monotonic(), "", ""
    polled = start
    while True:
        now = time.monotonic()
        waited_s = now - start
        try:
            flow_run = client.read_flow_run(number)
            if flow_run.state is not None and flow_run.state.is_final():
                return _ended(flow_run.state)
            polled = now if _online(client, job.pool) else polled
            ending = _obstacle(client, job, flow_run, waited_s, now - polled)
            silent = ""
        except ObjectNotFound:
            return Ending(state=NO_POOL, sentence=f"the run or its pool {job.pool!r} was removed from Prefect")
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            silent, ending, polled = first_line(error, 200), None, now  # who was cut off says nothing of the workers
        if silent and waited_s > job.deadline_s:
            ending = Ending(state=UNREACHABLE, sentence=f"Prefect's server was not reached any more: {silent}")
        if ending is not None:
            return ending
        told = _tell(job, silent, told)
        time.sleep(POLL_S)


def _tell(job: Job, silent: str, told: str) -> str:
    if silent and silent != told:
        line = f"{job.name}: Prefect's server is silent ({silent}); it is asked again"
        notice("measure", line)
    return silent


def _ended(state: State[Any]) -> Ending:
    """Return the ending of a run by its final state."""
    message = " ".join((state.message or "").split())
    if state.type == StateType.CRASHED:
        return Ending(
            state=INTERRUPTED, sentence=f"its worker's process was ended: {message or 'nothing more is known'}"
        )
    if state.type == StateType.COMPLETED:
        return Ending(state=DONE, sentence=message)
    return Ending(state=state.name or str(state.type.value), sentence=message or "the run on its worker failed")


def _obstacle(client: SyncPrefectClient, job: Job, flow_run: FlowRun, waited_s: float, alone_s: float) -> Ending | None:
    """Return why a run that has not ended is waited for no longer; None while there is hope.

    alone_s: since when no worker of the pool gave a sign of life.
    """
    late, gone = waited_s > job.deadline_s, alone_s > min(SILENT_S, job.deadline_s)
    if not late and not gone:
        return None
    pool, begun = repr(job.pool), flow_run.state is not None and flow_run.state.type == StateType.RUNNING
    waited = duration(waited_s)
    if gone and begun:
        return Ending(
            state=INTERRUPTED, sentence=f"no worker of the pool {pool} is there any more, and none ended the run"
        )
    if not begun and client.read_work_pool(job.pool).is_paused:
        return Ending(
            state=PAUSED, sentence=f"the pool {pool} is paused; resume it: prefect work-pool resume {job.pool}"
        )
    if alone_s > 0 and not begun:
        start = f"start one there: {starting(job.pool)}"
        return Ending(state=NO_WORKER, sentence=f"no worker has polled the pool {pool} for {waited}; {start}")
    if begun:
        more = "raise the target's deadline_minutes, or let it measure less"
        return Ending(state=SLOW, sentence=f"its worker still measured after {waited}; {more}")
    return Ending(
        state=BUSY,
        sentence=f"no worker of the pool {pool} was free for {waited}; raise deadline_minutes, or add a worker",
    )


def _give_up(client: SyncPrefectClient, number: UUID, state: State[Any]) -> None:
    """Cancel a run; where the server does not take that, its worker's result is stored and asked for by nobody."""
    try:
        begun = client.read_flow_run(number).state
        if begun is not None and begun.type == StateType.RUNNING and state.type == StateType.CANCELLED:
            state = State(type=StateType.CANCELLING, message=state.message)
        client.set_flow_run_state(number, state, force=state.type != StateType.CANCELLING)
    except (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound) as error:
        notice("measure", f"the run {number} could not be cancelled: {first_line(error, 200)}")
