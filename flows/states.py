"""How a run ends, as Prefect shows it: a state with a name, and one sentence; a refusal is no crash."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from parsimony import reporting
from parsimony.decision.journal import Champion
from parsimony.decision.records import Decision, Outcome
from parsimony.errors import DataError, ParsimonyError, PlanError
from parsimony.tasks.registry.secrets import without_secrets

NAMES = {"promoted": "Promoted", "kept": "Kept", "none": "Nothing passed", "waiting": "Waiting for review"}
UNCHANGED, SKIPPED = "Kept: unchanged", "Skipped"
_REFUSED: tuple[tuple[type[ParsimonyError], str], ...] = (
    (DataError, "Refused: data"),
    (PlanError, "Refused: plan"),
    (ParsimonyError, "Failed"),
)
_LOGGERS = ("prefect.task_runs", "prefect.flow_runs")


def decided(decision: Decision, data: object) -> State[Any]:
    """Return the state of a decision: its name, and its sentence as the message."""
    return Completed(name=NAMES[decision.outcome], message=reporting.sentence(decision), data=data)


def reviewed(outcome: Outcome, told: str, data: object) -> State[Any]:
    """Return the state of a winner that a person approved or not: what is in production now, and what was said."""
    return Completed(name="Rejected" if outcome == "none" else NAMES[outcome], message=told, data=data)


def refused(error: ParsimonyError) -> State[Any]:
    """Return the state of a refusal: failed, by its name, with its line and no traceback; its result raises the error."""
    name = next(name for kind, name in _REFUSED if isinstance(error, kind))
    return Failed(name=name, message=_line(error), data=error)


def unchanged(champion: Champion) -> State[Any]:
    """Return the state of a run that had nothing to do: nothing that the decision follows from has changed since."""
    message = (
        f"Data, plan, code and libraries are those on which version {champion.version} ({champion.candidate}) was decided; "
        "it is in production, and its bundle verifies."
    )
    return Completed(name=UNCHANGED, message=message)


def skipped(why: str) -> State[Any]:
    """Return the state of a run that does nothing, because another one does it."""
    return Cancelled(name=SKIPPED, message=why)


def ending(body: Callable[[], State[Any]]) -> State[Any]:
    """Return the state that the body of a flow returns, or that of what it refuses; a defect stays an exception."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _plain not in logger.filters:
            logger.addFilter(_plain)
    try:
        return body()
    except ParsimonyError as error:
        return refused(error)


def _line(error: BaseException) -> str:
    return without_secrets(" ".join(str(error).split()))


def _plain(record: logging.LogRecord) -> bool:
    """Say a refusal in one line where Prefect would log it with a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, ParsimonyError):
        record.msg, record.args, record.exc_info, record.exc_text = _line(error), (), None, None
    return True
