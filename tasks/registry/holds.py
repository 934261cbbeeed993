"""Holds: a person stops the promotions of a model and allows them again, by entries in its journal."""

from __future__ import annotations

from typing import Literal

from parsimony.decision.journal import JournalEntry, hold_of
from parsimony.decision.journal import standing as standing_of
from parsimony.decision.records import Standing
from parsimony.errors import InfrastructureError, PlanError
from parsimony.tasks.registry.aliases import followed
from parsimony.tasks.registry.entries import About, proposal
from parsimony.tasks.registry.journal import TRIES, append, known, look
from parsimony.tasks.registry.tracking import Registry, connected


def hold(registry: Registry, model: str, reason: str) -> JournalEntry:
    """Stop promotions until they are released; return the hold, the one that stands if there is one.

    Raises PlanError for a model without a champion.
    """
    return _say("hold", registry, model, reason)


def release(registry: Registry, model: str, reason: str) -> JournalEntry | None:
    """Allow promotions again; return the entry that says so, None when they were not held."""
    with connected(registry) as client:
        if hold_of(look(client, model).journal.counted) is None:
            return None
    return _say("release", registry, model, reason)


def _say(kind: Literal["hold", "release"], registry: Registry, model: str, reason: str) -> JournalEntry:
    with connected(registry) as client:
        for _ in range(TRIES):
            state = look(client, model)
            state.require_whole()
            if state.head is None:
                raise PlanError(f"{model} has no champion; known models: {', '.join(known(client)) or 'none yet'}")
            standing = hold_of(state.journal.counted)
            if standing is not None and kind == "hold":
                return standing
            about = About(version=state.head.version, digest=state.head.digest, size_bytes=state.head.size_bytes)
            if entry := append(client, registry, model, proposal(kind, state.last, about, reason)):
                return followed(client, model, entry)
    raise InfrastructureError(f"the journal of {model} changed {TRIES} times meanwhile; try again")


def standing(registry: Registry, model: str) -> Standing:
    """Return what a decision must know before it is made: whether promotions are held, and what was rolled back."""
    with connected(registry) as client:
        return standing_of(look(client, model).journal.counted)
