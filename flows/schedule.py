"""Runs of a schedule that were missed: the newest follows, the others are marked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from parsimony.flows.states import skipped

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun, State


def superseded() -> State[None] | None:
    """Return the state of a run that a newer one of its schedule replaces; None for the newest, and for one that a person started.

    Every missed run but the newest is marked at once, so that exactly one follows, whichever comes first.
    """
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    if run is None or run.deployment_id is None or not run.auto_scheduled or run.run_count > 1:
        return None
    missed = sorted([*_missed(run), run], key=_due)
    newest, mine = missed[-1], None
    with get_client(sync_client=True) as client:
        for other in missed[:-1]:
            state = skipped(f"Due {_said(other)}; the run that was due {_said(newest)} follows instead.")
            if other.id == run.id:
                mine = state
            else:
                client.set_flow_run_state(other.id, state, force=True)
    return mine


def _missed(run: FlowRun) -> list[FlowRun]:
    """Return the runs of the same schedule that are due, were never started, and wait."""
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    wanted = filters.FlowRunFilter(
        deployment_id=filters.FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    with get_client(sync_client=True) as client:
        waiting = client.read_flow_runs(flow_run_filter=wanted)
    return [other for other in waiting if other.auto_scheduled and other.run_count == 0 and other.id != run.id]


def _due(run: FlowRun) -> datetime:
    return run.expected_start_time or datetime.min.replace(tzinfo=UTC)


def _said(run: FlowRun) -> str:
    return f"{_due(run):%d %b, %H:%M}"
