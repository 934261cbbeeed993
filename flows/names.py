"""Names of runs, as they change: model and date at the start, rows when they are known, the winner and its size at the end."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from parsimony.decision.records import Decision
from parsimony.flows import settings
from parsimony.reporting import formatting

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


def at_start() -> str:
    """Return the name of a run that begins, from its parameters."""
    from prefect.runtime import flow_run

    return _named(flow_run.parameters["plan"].model)


def with_rows(model: str, rows: int) -> str:
    """Return the name of a run whose data are known."""
    return _named(model, f"{rows:,} rows")


def with_winner(decision: Decision) -> str:
    """Return the name of a run that is decided: what won, and its size."""
    rows = decision.dataset.train_rows + decision.dataset.validation_rows + decision.dataset.test_rows
    name = with_rows(decision.model, rows)
    if decision.winner is None:
        return f"{name}: nothing passed"
    winner = decision.of(decision.winner)
    size = "" if winner.bundle is None else f", {formatting.size(winner.bundle.size_bytes)}"
    return f"{name}: {winner.candidate}{size}"


def _named(model: str, *more: str) -> str:
    return ", ".join((model, *more, f"{datetime.now(UTC):%d %b %Y}"))


def present() -> FlowRun | None:
    """Return the run in progress where a named server of Prefect keeps it; a temporary one ends with the run."""
    context = FlowRunContext.get()
    return None if context is None or settings.prepare().prefect_home is not None else context.flow_run


def rename(name: str) -> None:
    """Give the run in progress a name, where anybody can see it; a server that does not take it is no reason to end a run."""
    run = present()
    if run is not None:
        with get_client(sync_client=True) as client, contextlib.suppress(httpx.HTTPError, PrefectException):
            client.update_flow_run(run.id, name=name)
