"""Who is in production: promotions and rollbacks, the champion that the journal names, and its bundle."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.bundle import trial
from parsimony.bundle.config_json import CONFIG
from parsimony.bundle.folder import LABELS, MODEL, TOKENIZER, describe, described
from parsimony.candidates import BuiltBundle
from parsimony.decision.journal import (
    MOVES,
    Champion,
    JournalEntry,
    before_head,
    before_head_all,
    rejections,
    withdrawals,
)
from parsimony.decision.journal import standing as standing_of
from parsimony.decision.records import Decision
from parsimony.errors import InfrastructureError, PlanError
from parsimony.files import MANIFEST, new_folder
from parsimony.tasks.registry.aliases import alarm, follow, followed
from parsimony.tasks.registry.entries import JOURNAL_SUFFIX, About, proposal
from parsimony.tasks.registry.journal import (
    TRIES,
    State,
    append,
    champion_of,
    fallback_note,
    forget_anchor,
    giving_up,
    in_production,
    known,
    look,
    version_of,
)
from parsimony.tasks.registry.refusals import SERVERS, ChangedError, MissingError
from parsimony.tasks.registry.stored_bundles import Verified, fetch_version, verify_version
from parsimony.tasks.registry.tracking import Registry, connected
from parsimony.tasks.registry.versions import winner_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


_NAME_CHARS = 32
_OF_A_BUNDLE = {MODEL, TOKENIZER, LABELS, MANIFEST, CONFIG}


# --- changing the champion ------------------------------------------------------------------------


def promote(registry: Registry, decision: Decision, verified: Verified) -> JournalEntry:
    """Make the decided winner, registered and verified, the champion; return the journal entry that says so.

    No entry is written when the journal's head is this bundle already (an interrupted run that continues); the alias is
    mended in every case. Raises ValueError for a decision that promotes nothing, PlanError for a bundle that was rolled
    back and while promotions are held, InfrastructureError when another run has promoted since this one looked, when the
    version does not hold the winner's bundle, or when the journal is damaged.
    """
    _, built = winner_of(decision)
    if decision.outcome != "promoted":
        raise ValueError(f"the decision on {decision.model} is {decision.outcome!r}; nothing to promote")
    if verified.digest != built.digest:
        raise InfrastructureError(
            f"version {verified.version} of {decision.model} holds bundle {verified.digest[:12]}…, expected the winner's "
            f"{built.digest[:12]}…; run again"
        )
    about = About(version=verified.version, digest=verified.digest, size_bytes=built.size_bytes)
    with connected(registry) as client:
        for _ in range(TRIES):
            state = look(client, decision.model)
            state.require_whole()
            if state.head is not None and _is(state.head, verified):
                return followed(client, decision.model, state.head)
            require_current(decision, state, built)
            proposed = proposal("promote", state.last, about, decision.reason)
            if entry := append(client, registry, decision.model, proposed):
                return followed(client, decision.model, entry)
    raise InfrastructureError(f"other runs promoted {decision.model} {TRIES} times meanwhile; run again")


def keep(registry: Registry, model: str) -> JournalEntry:
    """Leave the champion where it is, mend the alias, and return the journal's head.

    Raises InfrastructureError when nothing was ever promoted.
    """
    with connected(registry) as client:
        state = look(client, model)
        state.require_whole()
        if state.head is None:
            raise InfrastructureError(
                f"{model} has no promotion journal ({model}{JOURNAL_SUFFIX}), so there is nothing to keep; run again"
            )
        return followed(client, model, state.head)


def rollback(registry: Registry, model: str, reason: str, to: str | None = None) -> JournalEntry:
    """Make an earlier champion the champion again, the one before or that of version `to`; the present one is withdrawn.

    Nothing is written when version `to` is in production already. On a damaged journal, a rollback to a version that was judged
    gives the damage up and goes on. Raises PlanError when there is no such champion, InfrastructureError when its bundle does not
    verify or the champion changed at the same moment.
    """
    with connected(registry) as client:
        state = look(client, model)
        if state.head is not None and state.head.version == to and not state.journal.damage:
            return followed(client, model, state.head)
        if state.journal.damage and to is None:
            state.require_whole()
        target = _target(client, state, to)
        verify_version(client, registry, model, target.version, target.digest)
        entry = _roll_back(client, registry, state, target, reason)
        if entry is None and forget_anchor(client, model):
            entry = _roll_back(client, registry, look(client, model), target, reason)
        if entry is None:
            raise InfrastructureError(f"the champion of {model} changed at the same moment; look again and repeat")
        return followed(client, model, entry)


def _roll_back(
    client: MlflowClient, registry: Registry, state: State, target: About, reason: str
) -> JournalEntry | None:
    mends = giving_up(client, state)
    return append(client, registry, state.model, proposal("rollback", state.last, target, reason, mends=mends))


def _is(head: JournalEntry, verified: Verified) -> bool:
    """Say whether this bundle is in production already, by a version that is still there."""
    return head.digest == verified.digest and head.version == verified.version


def reconcile(registry: Registry, model: str) -> tuple[str, ...]:
    """Let the alias follow the journal; return a line for everything that was mended or needs a person.

    Raises InfrastructureError when the journal is damaged: it is served as far as it verifies, and nothing is promoted on it.
    """
    with connected(registry) as client:
        state = look(client, model)
        state.require_whole()
        if state.last is None:
            return ()
        try:
            after, moved = follow(client, model)
            current = in_production(client, after)
        except MissingError as error:  # every champion was deleted: what a run promotes next is the remedy
            return (str(error),)
        return (*alarm(client, after, moved), *(current.notes if current else ()))


def _target(client: MlflowClient, state: State, to: str | None) -> About:
    """Return what a rollback goes back to: an earlier champion, or, in a journal that is damaged, any version that was judged."""
    counted = state.journal.counted
    entry = before_head(counted)
    if to is not None:
        entry = next((e for e in reversed(counted) if e.version == to and e.kind in MOVES), None)
    if entry is not None:
        return About(version=entry.version, digest=entry.digest, size_bytes=entry.size_bytes)
    if to is None:
        raise PlanError(
            f"{state.model} has no earlier champion to go back to; `parsimony history {state.model}` lists them"
        )
    version = version_of(client, state.model, to) if state.journal.damage else None
    tags = version.tags if version else {}
    if tags.get("verdict") == "pass" and "digest" in tags:
        return About(version=to, digest=tags["digest"], size_bytes=int(tags.get("size_bytes", "0")))
    known = ", ".join(dict.fromkeys(e.version for e in counted if e.kind in MOVES)) or "none"
    raise PlanError(f"version {to} of {state.model} was never its champion; those that were: {known}")


def require_current(decision: Decision, state: State, built: BuiltBundle) -> None:
    """Refuse a winner that was rolled back or held, and a decision that never saw the present champion."""
    counted, head = state.journal.counted, state.head
    if built.digest in withdrawals(counted):
        raise PlanError(
            f"bundle {built.digest[:12]}… of {decision.model} was rolled back and is not promoted again; "
            "change the data or the plan"
        )
    if built.digest in rejections(counted):
        raise PlanError(
            f"bundle {built.digest[:12]}… of {decision.model} was rejected and is not promoted again; change the data or the plan"
        )
    if bar := standing_of(counted).hold:
        raise PlanError(f"{bar}; `parsimony release {decision.model}` allows them again")
    judged = {each.bundle.digest for each in decision.judged if each.bundle is not None}
    if head is None or head.digest in judged:
        return
    if _moment(head.at) > _moment(decision.started_at):
        raise InfrastructureError(
            f"version {head.version} of {decision.model} was promoted at {head.at}, while this run was judging; "
            "run again to be judged against it"
        )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- reading --------------------------------------------------------------------------------------


def champion(registry: Registry, model: str) -> Champion | None:
    """Return the champion that the journal names; None when nothing was promoted. `download` verifies its digest."""
    with connected(registry) as client:
        return in_production(client, look(client, model))


def history(registry: Registry, model: str) -> tuple[JournalEntry, ...]:
    """Return every entry that counts, oldest first: promotions, rollbacks, holds and releases."""
    with connected(registry) as client:
        return look(client, model).journal.counted


def notes(registry: Registry, model: str) -> tuple[str, ...]:
    """Return a line for everything about a model's journal, alias and champion that a person should know."""
    with connected(registry) as client:
        try:
            current = in_production(client, look(client, model))
        except InfrastructureError as error:
            return (str(error),)
        return current.notes if current else ()


def download(registry: Registry, model: str, folder: Path) -> BuiltBundle:
    """Fetch the champion's bundle into `folder`, verified against the journal, and tried out when it comes from a server; nothing of it is executed.

    A folder that holds this bundle is kept, one that holds another or a damaged one is replaced. Raises PlanError for a model
    without a champion or a folder with other things in it, InfrastructureError when the bundle is not the promoted one.
    """
    return fetch(registry, model, folder)[1]


def fetch(registry: Registry, model: str, folder: Path) -> tuple[Champion, BuiltBundle]:
    """Do what `download` does, and say which champion it is: the last good one where the newest is damaged, with a note."""
    if described(folder) is None and folder.exists() and not _is_ours(folder):
        raise PlanError(f"{folder} holds something other than a bundle; choose an empty or a new folder")
    return _fetched(registry, model, lambda _: folder)


def cached(registry: Registry, model: str, store: Path) -> tuple[Champion, BuiltBundle]:
    """Return the champion and its bundle below `store`, downloaded when it is not there as it was stored."""
    return _fetched(registry, model, lambda digest: kept_in(store, digest))


def kept_in(store: Path, digest: str) -> Path:
    """Return the folder of a champion's bundle below `store`."""
    return store / digest[:_NAME_CHARS]


def _is_ours(folder: Path) -> bool:
    """Say whether replacing a folder destroys nothing but a bundle, whole or damaged."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= _OF_A_BUNDLE


def _fetched(registry: Registry, model: str, place: Callable[[str], Path]) -> tuple[Champion, BuiltBundle]:
    """Return the first champion whose bundle is sound, beginning with the one in production; `place`: its folder by digest."""
    with connected(registry) as client:
        state = look(client, model)
        current = in_production(client, state)
        if current is None:
            raise PlanError(f"no champion named {model}; known models: {', '.join(known(client)) or 'none yet'}")
        try:
            return current, _bundle(client, registry, model, current, place(current.digest))
        except (MissingError, ChangedError) as error:
            for entry in before_head_all(state.journal.counted):
                notes = (*current.notes, fallback_note(model, current, entry, f"cannot be used ({error})"))
                with suppress(MissingError, ChangedError):
                    bundle = _bundle(client, registry, model, entry, place(entry.digest))
                    if earlier := champion_of(client, state, entry, notes):
                        return earlier, bundle
            raise


def _bundle(
    client: MlflowClient, registry: Registry, model: str, entry: JournalEntry | Champion, folder: Path
) -> BuiltBundle:
    if (there := described(folder)) is not None and there.digest == entry.digest:
        return there
    with tempfile.TemporaryDirectory() as work, new_folder(folder) as target:
        wanted = Verified(version=entry.version, digest=entry.digest)
        fetched = fetch_version(client, registry, model, wanted, Path(work))
        if registry.tracking_uri.startswith(SERVERS):  # what lies in this home was made, or fetched and tried out, here
            trial.try_out(Path(fetched.folder))
        shutil.copytree(fetched.folder, target, dirs_exist_ok=True)
    trial.trust(folder)
    return describe(folder)
