"""The promotion journal as MLflow keeps it, and what is kept beside it: the aliases, and the anchor that names its newest entry.

The journal of `name` is the registered model `name.promotions`. MLflow numbers its versions one after the other and
writes each with its tags in one transaction: an append-only log. `parsimony.decision.journal` says which entries count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parsimony.decision.journal import Anchor, Champion, Journal, JournalEntry, before_head_all, fold, read
from parsimony.errors import InfrastructureError
from parsimony.tasks.registry.entries import JOURNAL_SUFFIX, entry_of, tags_of
from parsimony.tasks.registry.refusals import MissingError, UnsettledError, failures, is_absent, one_line
from parsimony.tasks.registry.tracking import Registry
from parsimony.tasks.registry.versions import Draft, create_version, versions_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

ALIAS = "champion"
ANCHOR = "parsimony.journal"
TRIES = 8  # writers may race for the head


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A model's journal, read and verified, and what MLflow shows beside it; `highest` is the highest number in the journal."""

    model: str
    journal: Journal
    highest: int
    aliases: Mapping[str, str]
    anchor: Anchor | None

    @property
    def alias(self) -> str | None:
        """The version that MLflow shows as the champion."""
        return self.aliases.get(ALIAS)

    @property
    def head(self) -> JournalEntry | None:
        """The entry that names the champion."""
        return fold(self.journal.counted)

    @property
    def last(self) -> JournalEntry | None:
        """The last entry that counts, which the next one follows."""
        return self.journal.counted[-1] if self.journal.counted else None

    def require_whole(self) -> None:
        """Refuse to go on with a journal that does not verify: nothing is promoted on top of it."""
        if self.journal.damage:
            raise InfrastructureError(self.damage)

    @property
    def damage(self) -> str:
        """What does not verify, and the remedy, in one line."""
        return (
            f"the journal of {self.model} is damaged: {self.journal.damage}. Restore MLflow's database from a backup, or say which "
            f'version shall be in production: parsimony rollback {self.model} --to VERSION --reason "..."'
        )


# --- reading --------------------------------------------------------------------------------------


def look(client: MlflowClient, model: str, *, mine: str = "") -> State:
    """Read a model's journal, its alias and its anchor; `mine` is the attempt of an entry that was just written."""
    # The anchor first: it never names an entry that was not written before it, so what is read after it holds that entry.
    shown = _registered(client, model)
    versions = versions_of(client, model + JOURNAL_SUFFIX)
    anchor = None if shown is None else _anchor(shown)
    aliases = {} if shown is None else {alias: str(version) for alias, version in shown.aliases.items()}
    entries = {int(version.version): entry_of(version) for version in versions}
    journal = read(
        (entry for entry in entries.values() if entry is not None),
        numbers=frozenset(entries),
        unreadable=frozenset(int(v.version) for v in versions if "seal" in v.tags and entries[int(v.version)] is None),
        anchor=anchor,
        mine=mine,
    )
    if not journal.counted and not journal.damage and shown is not None:
        journal = replace(journal, damage=_loss(client, model, aliases.get(ALIAS)))
    return State(model=model, journal=journal, highest=max(entries, default=0), aliases=aliases, anchor=anchor)


def _loss(client: MlflowClient, model: str, alias: str | None) -> str:
    """Return what shows that a journal without entries has had some; "" when nothing was ever promoted.

    The journal is made before the first version is, so versions without a journal have lost it.
    """
    if alias is not None:
        return f"it has no entries, although the alias {ALIAS} names version {alias}"
    ours = [int(version.version) for version in versions_of(client, model) if "digest" in version.tags]
    if ours and _registered(client, model + JOURNAL_SUFFIX) is None:
        return f"{model}{JOURNAL_SUFFIX} was deleted, although {model} has version {max(ours)}"
    return ""


def _registered(client: MlflowClient, name: str) -> RegisteredModel | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if is_absent(error):
            return None
        raise


def _anchor(shown: RegisteredModel) -> Anchor | None:
    number, _, digest = str(shown.tags.get(ANCHOR, "")).partition(" ")
    return Anchor(number=int(number), link=digest) if number.isdecimal() and digest else None


def in_production(client: MlflowClient, state: State) -> Champion | None:
    """Return the champion; None when nothing was ever promoted.

    Where the head's version was deleted or entries do not verify, it is the last that is whole, with a note for whoever asks.
    Raises MissingError when there is none, InfrastructureError for a journal in which nothing verifies.
    """
    head = state.head
    if head is None:
        state.require_whole()
        return None
    damage = f"{state.damage}; until then version {head.version} is in use, of the last entry that verifies"
    notes = [damage] if state.journal.damage else []
    for entry in (head, *before_head_all(state.journal.counted)):
        why = () if entry is head else (fallback_note(state.model, head, entry, "was deleted"),)
        if current := champion_of(client, state, entry, (*notes, *why)):
            return current
    raise MissingError(
        f"version {head.version} of {state.model} was deleted in MLflow, and so was every champion before it; restore MLflow's "
        "database from a backup, or run the plan again"
    )


def fallback_note(model: str, head: JournalEntry | Champion, entry: JournalEntry, why: str) -> str:
    """Return the line that says why not the version that the journal names is in use, and what makes it so for good."""
    return (
        f"version {head.version} of {model}, which the journal names, {why}; version {entry.version} is in use instead, the last good "
        f'one; parsimony rollback {model} --reason "..." makes it so'
    )


def champion_of(client: MlflowClient, state: State, entry: JournalEntry, notes: tuple[str, ...]) -> Champion | None:
    """Return the champion that an entry names; None when its version was deleted."""
    version = version_of(client, state.model, entry.version)
    if version is None:
        return None
    return Champion(
        model=state.model,
        version=entry.version,
        digest=entry.digest,
        size_bytes=entry.size_bytes,
        candidate=version.tags.get("candidate", "unknown"),
        journal_number=entry.number,
        reason=entry.reason,
        at=entry.at,
        notes=(*notes, *_alias_note(state, entry)),
    )


def _alias_note(state: State, entry: JournalEntry) -> tuple[str, ...]:
    if state.alias == entry.version:
        return ()
    names = "is not set" if state.alias is None else f"names version {state.alias}"
    return (
        f"the alias {ALIAS} of {state.model} {names}, the journal version {entry.version}; the journal counts, and "
        f"parsimony reconcile {state.model} moves the alias",
    )


def version_of(client: MlflowClient, model: str, version: str) -> ModelVersion | None:
    """Return a version; None when there is no such one."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(model, version)
    except MlflowException as error:
        if is_absent(error) or error.error_code == "INVALID_PARAMETER_VALUE":
            return None
        raise


def known(client: MlflowClient) -> list[str]:
    """Return the names of all models that have a journal."""
    journals = client.search_registered_models(f"name LIKE '%{JOURNAL_SUFFIX}'", max_results=1000)
    return sorted(model.name.removesuffix(JOURNAL_SUFFIX) for model in journals)


# --- writing --------------------------------------------------------------------------------------


def append(client: MlflowClient, registry: Registry, model: str, proposed: JournalEntry) -> JournalEntry | None:
    """Append an entry and return it as it counts; None when another writer was faster.

    A call that fails may have written it all the same, so it is looked up. Raises UnsettledError when that is not possible.
    """
    source = str(client.get_model_version(model, proposed.version).source)
    description = f"{proposed.kind} version {proposed.version}: {proposed.reason}"
    draft = Draft(name=model + JOURNAL_SUFFIX, source=source, tags=tags_of(proposed), description=description)
    refused: Exception | None = None
    try:
        create_version(client, registry, draft)
    except failures() as error:
        refused = error
    try:
        attempts = {v.tags.get("attempt") for v in versions_of(client, model + JOURNAL_SUFFIX)} if refused else set()
        if refused is not None and proposed.attempt not in attempts:
            raise refused
        counted = look(client, model, mine=proposed.attempt).journal.counted
    except failures() as error:
        if error is refused:
            raise
        raise UnsettledError(
            f"MLflow went away while version {proposed.version} of {model} was promoted ({one_line(error)}); parsimony champion {model} "
            "says whether it is in production"
        ) from error
    return next((entry for entry in counted if entry.attempt == proposed.attempt), None)


def giving_up(client: MlflowClient, state: State) -> int:
    """Return up to which number a person's entry gives up what does not verify; 0 when everything does.

    A journal that was deleted begins again at 1, so what named its newest entry is forgotten.
    """
    if not state.journal.damage:
        return 0
    if _registered(client, state.model + JOURNAL_SUFFIX) is None:
        if state.anchor is not None:
            client.delete_registered_model_tag(state.model, ANCHOR)
        return 1
    return max(state.highest, state.anchor.number if state.anchor else 0, 1)


def forget_anchor(client: MlflowClient, model: str) -> bool:
    """Forget an anchor that names a number which the journal has not reached; say whether it did.

    MLflow gives numbers anew when rows were deleted in its database. An entry that gives up what lies beyond its own number
    does not count, so without this a person would have to repeat a rollback until the numbers have caught up.
    """
    state = look(client, model)
    if not state.journal.damage or state.anchor is None or state.anchor.number <= state.highest:
        return False
    client.delete_registered_model_tag(model, ANCHOR)
    return True
