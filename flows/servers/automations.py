"""Prefect's automations: a run whose process died is marked, and every event of a champion has one to turn into mail or chat."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.events.schemas.automations import AutomationCore

EVENT = "parsimony.champion"
EVENTS = {
    "promoted": "A new champion is in production.",
    "kept": "A search ended, and the champion stays.",
    "waiting": "A challenger waits for a reviewer.",
    "failed": "A search promoted nothing: nothing passed, or it was refused or failed.",
}
# What can start a search: an automation of each, for a notification or the action "Run a deployment".
TRIGGERS = {
    "parsimony.data.changed": "The data of a model have changed.",
    "parsimony.data.drifted": "Recent texts differ from those of the training.",
    "parsimony.champion.fallen": "A champion is less often right than was promised.",
}
ALARMS = {"parsimony.alias.moved": "An alias in MLflow was moved by hand; it follows its journal again."}
# Which event tells of which outcome.
HEADLINES = {"promoted": "promoted", "kept": "kept", "none": "failed", "waiting": "waiting"}
# A beat every 30 s, the most that Prefect allows; a run is dead when two are missing, and a busy machine may be late with one.
HEARTBEAT_S, SILENCE_S = 30, 75


def automations() -> tuple[AutomationCore, ...]:
    """Return all automations as they are shipped."""
    told = {f"{EVENT}.{name}": words for name, words in EVENTS.items()} | TRIGGERS | ALARMS
    return (_dead_runs(), *(_told(event, words) for event, words in told.items()))


def _dead_runs() -> AutomationCore:
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name="parsimony: a run whose process died",
        description=(
            "The process, its worker or its machine ended without a word: the run is marked as crashed, which frees its place "
            "in the queue. Retry it: it goes on where it stopped, and trains nothing twice."
        ),
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=SILENCE_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                name="Crashed",
                message=f"No sign of life for {SILENCE_S} s: the process, its worker or its machine ended. Retry goes on where it stopped.",
            )
        ],
    )


def _told(event: str, words: str) -> AutomationCore:
    from prefect.events.actions import DoNothing
    from prefect.events.schemas.automations import AutomationCore, EventTrigger

    return AutomationCore(
        name=f"parsimony: {' '.join(event.split('.')[1:])}",
        description=f"{words} Replace its action by “Send a notification” to hear of it by mail or chat.",
        trigger=EventTrigger(expect={event}, match={"prefect.resource.id": "parsimony.model.*"}, threshold=1),
        actions=[DoNothing()],
    )
