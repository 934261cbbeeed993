"""The flow that acts on reviews: what was set in MLflow, what nobody reviewed in time, and runs that still ask what was answered."""

from __future__ import annotations

import logging
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import resume_flow_run

from parsimony.errors import ParsimonyError
from parsimony.flows import settings
from parsimony.tasks.lease import lease
from parsimony.tasks.notices import notice
from parsimony.tasks.registry import review as reviews
from parsimony.tasks.registry.journal import known
from parsimony.tasks.registry.tracking import Registry, connected

# What the form needs so that a run wakes up; it looks into the journal first, and does not read it.
_ANSWERED = {"decision": "reject", "reviewer": "parsimony", "note": "it was answered elsewhere"}


@flow(name="review")
def review(model: str = "") -> list[str]:
    """Act on the reviews of one model, or of all; return a line for everything that was done. The watcher does the same by itself.

    Args:
        model: the registered model; empty for all
    """
    registry = settings.prepare().registry
    with connected(registry) as client:
        models = [model] if model else known(client)
    lines = []
    for name in models:
        try:
            lines += acted(registry, name)
        except ParsimonyError as error:  # one model's trouble is not that of the others
            lines.append(f"{name}: {error}")
    for line in lines:
        notice("review", line, logging.INFO)
    return lines


def acted(registry: Registry, model: str) -> list[str]:
    """Act on what was said of one model, and return a line for everything that was done."""
    with lease(registry, model):
        entries = [reviews.act_on_tags(registry, model), reviews.expire(registry, model)]
    reviews.show_all(registry, model)
    told = [f"{model} version {e.version}: {e.kind} by {e.by}, {e.reason}" for e in entries if e is not None]
    return [*told, *_woken(registry, model)]


def _woken(registry: Registry, model: str) -> list[str]:
    """Wake the flow runs that still ask about what was answered elsewhere; return a line for each."""
    lines = []
    with get_client(sync_client=True) as prefect:
        for flow_run_id in reviews.answered_runs(registry, model):
            try:
                state = prefect.read_flow_run(UUID(flow_run_id)).state
            except (ObjectNotFound, ValueError):  # it was deleted, or the tag was written by hand
                continue
            if state is not None and state.is_paused():
                resume_flow_run(UUID(flow_run_id), run_input=_ANSWERED)
                lines.append(f"{model}: flow run {flow_run_id} goes on, it was answered elsewhere")
    return lines
