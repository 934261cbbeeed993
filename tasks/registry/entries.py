"""Entries of the promotion journal as versions of a registered model: how one is proposed, written as tags, and read back."""

from __future__ import annotations

import os
import pwd
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from parsimony.decision.journal import JournalEntry, Kind, content, link

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

JOURNAL_SUFFIX = ".promotions"
_NOBODY = "none"
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_REASON_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What an entry is about: a version, the digest of its bundle and its bytes."""

    version: str
    digest: str
    size_bytes: int


def proposal(
    kind: Kind, last: JournalEntry | None, about: About, reason: str, *, mends: int = 0, by: str = ""
) -> JournalEntry:
    """Return a sealed entry of this kind, which follows the last that counts; its number is 0 until the registry gives it one.

    `mends`: up to which number damage is given up by it; `by`: who says it, where that is not the user of this process.
    """
    entry = JournalEntry(
        number=0,
        attempt=uuid.uuid4().hex,
        kind=kind,
        expect=None if last is None else last.number,
        version=about.version,
        digest=about.digest,
        size_bytes=about.size_bytes,
        reason=plain(reason)[:_REASON_CHARS],
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=plain(by) or user(),
        previous=None if last is None else link(last),
        mends=mends,
    )
    return replace(entry, seal=content(entry))


def plain(text: str) -> str:
    """Return a text as one line that every database keeps as it is."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def user() -> str:
    """Return the user of this process, whom the journal names."""
    try:
        return plain(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return f"user {os.getuid()}"


def tags_of(entry: JournalEntry) -> dict[str, str]:
    """Return an entry as tags; what it does not say has none."""
    tags = {
        "attempt": entry.attempt,
        "kind": entry.kind,
        "expect": _NOBODY if entry.expect is None else str(entry.expect),
        "version": entry.version,
        "digest": entry.digest,
        "size_bytes": str(entry.size_bytes),
        "reason": entry.reason,
        "at": entry.at,
    }
    later = {"by": entry.by, "previous": entry.previous, "mends": str(entry.mends or ""), "seal": entry.seal}
    return tags | {name: value for name, value in later.items() if value}


def entry_of(version: ModelVersion) -> JournalEntry | None:
    """Read an entry back; None for a version that was not written as one, whoever made it."""
    tags = version.tags
    with suppress(KeyError, ValueError):
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
            by=tags.get("by", ""),
            previous=tags.get("previous"),
            mends=int(tags.get("mends", "0")),
            seal=tags.get("seal"),
        )
    return None
