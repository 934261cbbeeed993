"""What surrounds a search that Prefect runs: left out when a newer one follows or nothing has changed; named, shown, told of."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.events import emit_event
from prefect.states import State

from parsimony.errors import ParsimonyError
from parsimony.files.locks import held
from parsimony.flows import names, progress, schedule, states, unchanged
from parsimony.flows.plan import Plan
from parsimony.flows.servers.automations import EVENT, HEADLINES
from parsimony.flows.settings import up_lock
from parsimony.tasks.publish import Published, artifact_key


def searching(plan: Plan, search: Callable[[], Published]) -> State[Any]:
    """Return the state of a search: of its decision, of what it refuses, or of why there was nothing to do."""
    if names.present() is None:  # a terminal follows it, and nobody looks into its temporary server
        published = search()
        return states.decided(published.decision, published)
    end_with_up()
    if (replaced := schedule.superseded()) is not None:
        return replaced
    with progress.shown(f"progress-{artifact_key(plan.model)}"):
        return _shown(plan, search)


def _shown(plan: Plan, search: Callable[[], Published]) -> State[Any]:
    try:
        digest = _digest(plan)
        if digest is not None and (champion := unchanged.champion_of_same(plan, digest)) is not None:
            state = states.unchanged(champion)
            names.rename(f"{names.at_start()}: unchanged")
            _tell("kept", plan.model, str(state.message))
            return state
        published = search()
    except ParsimonyError as error:
        state = states.refused(error)
        names.rename(f"{names.at_start()}: {str(state.name).lower()}")
        _tell("failed", plan.model, str(state.message))
        raise
    decision = published.decision
    state = states.decided(decision, published)
    if digest is not None and decision.winner is not None:
        unchanged.remember(plan, digest)
    names.rename(names.with_winner(decision))
    _tell(HEADLINES[decision.outcome], plan.model, str(state.message))
    return state


def _digest(plan: Plan) -> str | None:
    """Return the digest of all that the decision follows from; None where it cannot be known, which the search then says."""
    with contextlib.suppress(ParsimonyError, OSError):
        return unchanged.inputs_digest(plan)
    return None


def _tell(what: str, model: str, message: str) -> None:
    """Emit the event of a champion, for the automations; the run is related to it."""
    resource = {"prefect.resource.id": f"parsimony.model.{model}", "prefect.resource.name": model}
    emit_event(event=f"{EVENT}.{what}", resource=resource, payload={"model": model, "message": message})


def end_with_up() -> None:
    """Let this process end when the `parsimony up` whose worker started it has ended, whatever ended that one."""
    lock = up_lock()
    if lock is not None:
        threading.Thread(target=_await, args=(lock,), daemon=True).start()


def _await(lock: Path) -> None:
    with contextlib.suppress(OSError), held(lock, "together", "wait"):
        os.kill(os.getpid(), signal.SIGKILL)
