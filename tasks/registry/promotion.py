"""Who is in production: the promotion journal, the champion that it names, and the alias that follows it.

The journal of `name` is the registered model `name.promotions`. MLflow numbers its versions one after the other and
writes each with its tags in one transaction: an append-only log. `parsimony.journal` says which entries count.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parsimony.bundle.folder import describe, described
from parsimony.bundle.trial import try_out
from parsimony.candidates import BuiltBundle
from parsimony.decision.journal import Champion, JournalEntry, accepted, before_head, fold, withdrawn
from parsimony.decision.records import Decision
from parsimony.errors import InfrastructureError, PlanError
from parsimony.files import new_folder
from parsimony.tasks.registry.tracking import Registry, connected
from parsimony.tasks.registry.versions import (
    Draft,
    Verified,
    create_version,
    fetch_version,
    verify_version,
    versions_of,
    winner_of,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


ALIAS = "champion"
JOURNAL_SUFFIX = ".promotions"
_NOBODY = "none"
_KINDS: dict[str, Literal["promote", "rollback"]] = {"promote": "promote", "rollback": "rollback"}
_TRIES = 8


# --- changing the champion ------------------------------------------------------------------------


def promote(registry: Registry, decision: Decision, verified: Verified) -> JournalEntry:
    """Make the decided winner, registered and verified, the champion; return the journal entry that says so.

    No entry is written when the journal's head is this bundle already (an interrupted run that continues); the alias is
    mended in every case. Raises ValueError for a decision that promotes nothing, PlanError for a bundle that was rolled
    back, InfrastructureError when another run has promoted since this one looked, or when the version does not hold the
    winner's bundle.
    """
    _, built = winner_of(decision)
    if decision.outcome != "promoted":
        raise ValueError(f"the decision on {decision.model} is {decision.outcome!r}; nothing to promote")
    if verified.digest != built.digest:
        raise InfrastructureError(
            f"version {verified.version} of {decision.model} holds bundle {verified.digest[:12]}…, expected the winner's "
            f"{built.digest[:12]}…; run again"
        )
    with connected(registry) as client:
        for _ in range(_TRIES):
            entries = _entries(client, decision.model)
            head = fold(entries)
            if head is not None and head.digest == built.digest:
                return _publish(client, decision.model)
            _require_current(decision, entries, built)
            proposed = _proposal("promote", head, verified, built.size_bytes, decision.reason)
            if entry := _append(client, registry, decision.model, proposed):
                _publish(client, decision.model)
                return entry
    raise InfrastructureError(f"other runs promoted {decision.model} {_TRIES} times meanwhile; run again")


def keep(registry: Registry, model: str) -> JournalEntry:
    """Leave the champion where it is, mend the alias, and return the journal's head.

    Raises InfrastructureError when nothing was ever promoted.
    """
    with connected(registry) as client:
        return _publish(client, model)


def rollback(registry: Registry, model: str, reason: str) -> JournalEntry:
    """Make the champion before the present one the champion again; the present one is not promoted again.

    Raises PlanError when there is none, InfrastructureError when its bundle does not verify or the champion changed
    at the same moment.
    """
    with connected(registry) as client:
        entries = _entries(client, model)
        target = before_head(entries)
        if target is None:
            raise PlanError(f"{model} has no earlier champion to go back to; `parsimony history {model}` lists them")
        verified = verify_version(client, registry, model, target.version, target.digest)
        proposed = _proposal("rollback", fold(entries), verified, target.size_bytes, reason)
        entry = _append(client, registry, model, proposed)
        if entry is None:
            raise InfrastructureError(f"the champion of {model} changed at the same moment; look again and repeat")
        _publish(client, model)
        return entry


def _require_current(decision: Decision, entries: tuple[JournalEntry, ...], built: BuiltBundle) -> None:
    """Refuse a winner that was rolled back, and a decision that never saw the present champion."""
    if built.digest in withdrawn(entries):
        raise PlanError(
            f"bundle {built.digest[:12]}… of {decision.model} was rolled back and is not promoted again; "
            "change the data or the plan"
        )
    head = fold(entries)
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


def _proposal(
    kind: Literal["promote", "rollback"],
    head: JournalEntry | None,
    verified: Verified,
    size_bytes: int,
    reason: str,
) -> JournalEntry:
    """Return an entry that expects this head; its number is 0 until the registry gives it one."""
    return JournalEntry(
        number=0,
        attempt=uuid.uuid4().hex,
        kind=kind,
        expect=None if head is None else head.number,
        version=verified.version,
        digest=verified.digest,
        size_bytes=size_bytes,
        reason=reason,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _append(client: MlflowClient, registry: Registry, model: str, proposed: JournalEntry) -> JournalEntry | None:
    """Append an entry and return it as it counts; None when another writer was faster."""
    source = str(client.get_model_version(model, proposed.version).source)
    description = f"{proposed.kind} version {proposed.version}: {proposed.reason}"
    draft = Draft(name=model + JOURNAL_SUFFIX, source=source, tags=_tags(proposed), description=description)
    create_version(client, registry, draft)
    counted = accepted(_entries(client, model))
    return next((entry for entry in counted if entry.attempt == proposed.attempt), None)


def _publish(client: MlflowClient, model: str) -> JournalEntry:
    """Point the alias to the journal's head, read both back until they agree, and return the head."""
    from mlflow.exceptions import MlflowException

    for _ in range(_TRIES):
        head = fold(_entries(client, model))
        if head is None:
            raise InfrastructureError(f"{model} has no promotion journal, so there is nothing to keep; run again")
        if str(client.get_registered_model(model).aliases.get(ALIAS)) == head.version:
            return head
        try:
            client.set_registered_model_alias(model, ALIAS, head.version)
        except MlflowException as error:
            # The first alias of a model, written by two at once: the second gets this code.
            if error.error_code != "BAD_REQUEST":
                raise
    raise InfrastructureError(f"the alias {ALIAS} of {model} does not follow its journal; run again")


# --- reading --------------------------------------------------------------------------------------


def champion(registry: Registry, model: str) -> Champion | None:
    """Return the champion that the journal names; None when nothing was promoted. `download` verifies its digest."""
    with connected(registry) as client:
        head = fold(_entries(client, model))
        if head is None:
            return None
        tags = client.get_model_version(model, head.version).tags
    return Champion(
        model=model,
        version=head.version,
        digest=head.digest,
        size_bytes=head.size_bytes,
        candidate=tags.get("candidate", "unknown"),
        journal_number=head.number,
        reason=head.reason,
        at=head.at,
    )


def history(registry: Registry, model: str) -> tuple[JournalEntry, ...]:
    """Return every promotion and rollback that counts, oldest first."""
    with connected(registry) as client:
        return accepted(_entries(client, model))


def download(registry: Registry, model: str, folder: Path) -> BuiltBundle:
    """Fetch the champion's bundle into `folder`, verified against the journal and tried out; nothing of it is executed.

    A folder that holds this bundle is kept, one that holds another bundle is replaced. Raises PlanError for a model
    without a champion or a folder with other things in it, InfrastructureError when the bundle is not the promoted one.
    """
    with connected(registry) as client:
        head = fold(_entries(client, model))
        if head is None:
            raise PlanError(f"no champion named {model}; known models: {', '.join(_known(client)) or 'none yet'}")
        if (there := _bundle_in(folder)) is not None and there.digest == head.digest:
            return there
        with tempfile.TemporaryDirectory() as work, new_folder(folder) as target:
            wanted = Verified(version=head.version, digest=head.digest)
            fetched = fetch_version(client, registry, model, wanted, Path(work))
            try_out(Path(fetched.folder))
            shutil.copytree(fetched.folder, target, dirs_exist_ok=True)
    return describe(folder)


def _bundle_in(folder: Path) -> BuiltBundle | None:
    """Return the bundle that is there already; PlanError when replacing the folder would destroy other things."""
    there = described(folder)
    if there is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PlanError(f"{folder} holds something other than a bundle; choose an empty or a new folder")
    return there


def _known(client: MlflowClient) -> list[str]:
    journals = client.search_registered_models(f"name LIKE '%{JOURNAL_SUFFIX}'", max_results=1000)
    return sorted(model.name.removesuffix(JOURNAL_SUFFIX) for model in journals)


# --- entries as versions --------------------------------------------------------------------------


def _entries(client: MlflowClient, model: str) -> tuple[JournalEntry, ...]:
    entries = (_entry(version) for version in versions_of(client, model + JOURNAL_SUFFIX))
    return tuple(entry for entry in entries if entry is not None)


def _tags(entry: JournalEntry) -> dict[str, str]:
    return {
        "attempt": entry.attempt,
        "kind": entry.kind,
        "expect": _NOBODY if entry.expect is None else str(entry.expect),
        "version": entry.version,
        "digest": entry.digest,
        "size_bytes": str(entry.size_bytes),
        "reason": entry.reason,
        "at": entry.at,
    }


def _entry(version: ModelVersion) -> JournalEntry | None:
    """Read an entry back; None for a version that was not written by `_append`, whoever made it."""
    tags = version.tags
    try:
        return JournalEntry(
            number=int(version.version),
            attempt=tags["attempt"],
            kind=_KINDS[tags["kind"]],
            expect=None if tags["expect"] == _NOBODY else int(tags["expect"]),
            version=tags["version"],
            digest=tags["digest"],
            size_bytes=int(tags["size_bytes"]),
            reason=tags["reason"],
            at=tags["at"],
        )
    except (KeyError, ValueError):
        return None
