"""The public faces of the journal: the aliases champion, challenger and previous follow it, with the anchor that names its newest entry."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from parsimony.decision.challenges import challenger
from parsimony.decision.journal import JournalEntry, before_head_all, link
from parsimony.errors import InfrastructureError
from parsimony.tasks.notices import notice
from parsimony.tasks.registry.journal import ALIAS, ANCHOR, TRIES, State, in_production, look, version_of
from parsimony.tasks.registry.refusals import failures, one_line

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER, PREVIOUS = "challenger", "previous"
ALARM, MOVED = "alarm", "alias_moved"  # tags: of a registered model, of the version that an alias had named


def follow(client: MlflowClient, model: str) -> tuple[State, tuple[tuple[str, str], ...]]:
    """Let aliases and anchor follow the journal, read all back until they agree; return it and what was moved: (alias, what it named).

    Raises InfrastructureError when nothing was ever written, or the journal is damaged.
    """
    before: list[tuple[str, str]] = []
    for _ in range(TRIES):
        state = look(client, model)
        state.require_whole()
        last = state.last
        if last is None:
            raise InfrastructureError(f"{model} has no promotion journal, so there is nothing to keep; run again")
        wanted = _wanted(client, state)
        wrong = [alias for alias in (ALIAS, CHALLENGER, PREVIOUS) if state.aliases.get(alias) != wanted.get(alias)]
        anchored = state.anchor is not None and state.anchor.number == last.number
        if anchored and not wrong:
            return state, tuple(before)
        if not anchored:
            client.set_registered_model_tag(model, ANCHOR, f"{last.number} {link(last)}")
        for alias in wrong:
            before.append((alias, f"version {state.aliases[alias]}" if alias in state.aliases else "nothing"))
            _move(client, model, alias, wanted.get(alias))
    raise InfrastructureError(f"the aliases of {model} do not follow its journal; run again")


def alarm(client: MlflowClient, state: State, moved: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Say in MLflow which aliases had named what the journal does not, on the model and on the version; return a line for each.

    An alias that was moved by hand is not production. The same is seen after a run that was killed before its aliases followed.
    """
    at, lines = datetime.now(UTC).isoformat(timespec="seconds"), []
    for alias, named in dict(reversed(moved)).items():  # what it had named at first
        if alias != ALIAS and named == "nothing":
            continue
        where = f"to version {state.aliases[alias]}" if alias in state.aliases else "and names nothing"
        lines.append(f"the alias {alias} of {state.model} named {named} and follows the journal again, {where}")
        if alias == ALIAS and named.startswith("version "):
            told = f"{at}: the alias {alias} named this version, the journal does not; parsimony review {state.model} --adopt puts it into production"
            with suppress(*failures()):  # the version may have been deleted
                client.set_model_version_tag(state.model, named.removeprefix("version "), MOVED, told)
    if lines:
        client.set_registered_model_tag(state.model, ALARM, f"{at}: {'; '.join(lines)}")
    return tuple(lines)


def _wanted(client: MlflowClient, state: State) -> dict[str, str]:
    """Return the version that each alias has to name; a version that was deleted is named by none."""
    current, waits = in_production(client, state), challenger(state.journal.counted)
    earlier = (e for e in before_head_all(state.journal.counted) if current is None or e.version != current.version)
    previous = next((e.version for e in earlier if version_of(client, state.model, e.version)), None)
    there = waits is not None and version_of(client, state.model, waits.version) is not None
    return {
        **({ALIAS: current.version} if current else {}),
        **({CHALLENGER: waits.version} if waits and there else {}),
        **({PREVIOUS: previous} if previous else {}),
    }


def _move(client: MlflowClient, model: str, alias: str, version: str | None) -> None:
    from mlflow.exceptions import MlflowException

    if version is None:
        client.delete_registered_model_alias(model, alias)
        return
    try:
        client.set_registered_model_alias(model, alias, version)
    except MlflowException as error:
        # The first alias of a model, written by two at once: the second gets this code.
        if error.error_code != "BAD_REQUEST":
            raise


def followed(client: MlflowClient, model: str, entry: JournalEntry) -> JournalEntry:
    """Let aliases and anchor follow an entry that counts: the journal has changed, whatever becomes of them."""
    refusals: tuple[type[Exception], ...] = (*failures(), InfrastructureError)
    try:
        follow(client, model)
    except refusals as error:
        line = f"the aliases of {model} do not follow yet ({one_line(error)}); the next run or parsimony reconcile moves them"
        notice("registry", line)
    return entry
