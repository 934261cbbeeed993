"""What surrounds a search that Prefect runs: left out when a newer one follows or nothing has changed; named, shown, told of."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State

from parsimony.errors import ParsimonyError
from parsimony.files.locks import held
from parsimony.flows import names, progress, schedule, states, unchanged
from parsimony.flows.plan import Plan
from parsimony.flows.servers.automations import EVENT, HEADLINES
from parsimony.flows.settings import up_lock
from parsimony.flows.stages import review
from parsimony.flows.stages.review import Reviewed
from parsimony.tasks.alarms import tell
from parsimony.tasks.publish import Published, artifact_key


def searching(plan: Plan, search: Callable[[], Published]) -> State[Any]:
    """Return the state of a search: of its decision, of what it refuses, or of why there was nothing to do."""
    run = names.present()
    if run is None:  # a terminal follows it, and nobody looks into its temporary server
        published = search()
        return states.decided(published.decision, published)
    end_with_up()
    if (replaced := schedule.superseded()) is not None:
        return replaced
    with progress.shown(f"progress-{artifact_key(plan.model)}"):
        try:
            if (answered := review.resumed(plan)) is not None:
                return _answered(answered)
            # Who types the command wants a search and its receipt.
            digest = None if run.deployment_id is None else _digest(plan)
            return _kept(plan, digest) or _searched(plan, digest, search)
        except ParsimonyError as error:
            state = states.refused(error)
            _tell("failed", plan.model, f"{names.at_start()}: {str(state.name).lower()}", state)
            raise


def _kept(plan: Plan, digest: str | None) -> State[Any] | None:
    """Return the state of a run on what the champion was decided on, None when a search is due."""
    champion = None if digest is None else unchanged.champion_of_same(plan, digest)
    if champion is None:
        return None
    state = states.unchanged(champion)
    _tell("kept", plan.model, f"{names.at_start()}: unchanged", state)
    return state


def _searched(plan: Plan, digest: str | None, search: Callable[[], Published]) -> State[Any]:
    published = search()
    decision = published.decision
    state = states.decided(decision, published)
    if digest is not None and decision.outcome in ("promoted", "kept"):
        unchanged.remember(plan, digest)
    _tell(HEADLINES[decision.outcome], plan.model, names.with_winner(decision), state)
    asked = review.ask(plan, published)
    return state if isinstance(asked, Published) else _answered(asked)


def _answered(reviewed: Reviewed) -> State[Any]:
    """Return the state of a run whose winner waited for a person."""
    state = states.reviewed(reviewed.outcome, reviewed.told, reviewed)
    _tell(HEADLINES[reviewed.outcome], reviewed.model, f"{names.at_start()}: {str(state.name).lower()}", state)
    return state


def _digest(plan: Plan) -> str | None:
    """Return the digest of all that the decision follows from; None where it cannot be known, which the search then says."""
    with contextlib.suppress(ParsimonyError, OSError):
        return unchanged.inputs_digest(plan)
    return None


def _tell(what: str, model: str, name: str, state: State[Any]) -> None:
    """Name the run after how it ended, and emit the event of the champion, for the automations."""
    names.rename(name)
    tell(f"{EVENT}.{what}", model, message=str(state.message))


def end_with_up() -> None:
    """Let this process end when the `parsimony up` whose worker started it has ended, whatever ended that one."""
    lock = up_lock()
    if lock is not None:
        threading.Thread(target=_await, args=(lock,), daemon=True).start()


def _await(lock: Path) -> None:
    with contextlib.suppress(OSError), held(lock, "together", "wait"):
        os.kill(os.getpid(), signal.SIGKILL)
