"""The review of a winner in Prefect: the flow run is suspended with a form, and goes on when a person has answered.

A run that goes on starts from the top, in a new process, perhaps on a restarted server. What it proposed stands in the journal, so it
searches nothing again: it asks where it was, or says what became of it meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from pydantic import Field, ValidationError

from parsimony.decision.records import Outcome
from parsimony.errors import PlanError
from parsimony.flows import settings
from parsimony.flows.plan import Plan
from parsimony.tasks.lease import lease
from parsimony.tasks.publish import Published
from parsimony.tasks.registry import review
from parsimony.tasks.registry.promotion import champion
from parsimony.tasks.registry.review import Said, Waiting
from parsimony.tasks.registry.tracking import Registry

_GRACE_S = 3600  # the review deployment ends the waiting in time; Prefect fails a run that nobody woke


class Answer(RunInput):
    """What a reviewer says of a winner. The journal keeps who, when and why."""

    decision: Literal["approve", "reject"] = Field(
        "reject",
        description="approve: it goes into production; reject: it is not proposed again",
        json_schema_extra={"position": 0},
    )
    reviewer: str = Field(
        min_length=2, max_length=100, pattern=r"\S", description="your name", json_schema_extra={"position": 1}
    )
    note: str = Field(
        "", max_length=800, description="why, for whoever reads the journal later", json_schema_extra={"position": 2}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What became of a winner that waited: the outcome now, and what was said, in words."""

    model: str
    version: str
    outcome: Outcome
    told: str


def resumed(plan: Plan) -> Reviewed | None:
    """Go on with the review of what this flow run has proposed before it was suspended or ended; None for one that has to search."""
    if plan.gates.approval != "prefect" or not flow_run.get_id():
        return None
    registry = settings.prepare().registry
    proposed = review.of_flow_run(registry, plan.model, str(flow_run.get_id()))
    return None if proposed is None else _review(registry, proposed)


def ask(plan: Plan, published: Published) -> Published | Reviewed:
    """Suspend the flow run until a person has answered, where the plan asks for it and a deployment can start it again.

    A run that was started by hand ends and leaves its winner waiting: `parsimony review` decides.
    """
    if published.outcome != "waiting" or plan.gates.approval != "prefect" or not deployment.get_id():
        return published
    return resumed(plan) or published


def _review(registry: Registry, there: Waiting) -> Reviewed:
    problem = ""
    while True:
        with lease(registry, there.model):
            review.expire(registry, there.model)
        present = review.waiting(registry, there.model)
        if present is None or present.version != there.version:
            return _ended(registry, there)
        answer = _answer(present, problem, f"review-{present.version}-{present.replies}")
        try:
            problem = answer if isinstance(answer, str) else _act(registry, present, answer)
        except PlanError as error:  # held, or answered by another one meanwhile
            problem = str(error)
        if problem:
            review.not_used(registry, present, present.replies + 1)


def _answer(there: Waiting, problem: str, key: str) -> Answer | str:
    """Ask, or return what was answered to this question before; what cannot be used comes back as words."""
    left_s = (datetime.fromisoformat(there.until) - datetime.now(UTC)).total_seconds() if there.until else 7 * 86400
    form = Answer.with_initial_data(description=_shown(there, problem))
    try:
        answer = suspend_flow_run(wait_for_input=form, timeout=max(60, int(left_s)) + _GRACE_S, key=key)
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return answer if answer.reviewer.strip() else "reviewer: say who you are"


def _shown(there: Waiting, problem: str) -> str:
    """Return what stands above the form, in Markdown."""
    until = f" Without an answer until {there.until}: {there.on_timeout}." if there.until else ""
    warning = f"**The last answer could not be used: {problem}. Please answer again.**\n\n" if problem else ""
    return f"{warning}Version {there.version} of {there.model} waits for you.{until}\n\n{there.card}"


def _act(registry: Registry, there: Waiting, answer: Answer) -> str:
    said = Said(reviewer=answer.reviewer, note=answer.note)
    with lease(registry, there.model):
        decide = review.approve if answer.decision == "approve" else review.reject
        decide(registry, there.model, said, there.version)
    return ""


def _ended(registry: Registry, there: Waiting) -> Reviewed:
    status, told = review.became(registry, there.model, there.version)
    outcome: Outcome = "promoted" if status == "approved" else "kept" if champion(registry, there.model) else "none"
    return Reviewed(model=there.model, version=there.version, outcome=outcome, told=told)
