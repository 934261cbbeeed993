"""The rules of review: which version waits for a person, and what became of every one that did. From the journal's entries alone.

A winner that needs an approval is a challenge in the journal. The first of these ends it: it is promoted (approved), rejected or expired, a
newer one takes its place, or another champion comes, against which it was not judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from parsimony.decision.journal import MOVES, JournalEntry, accepted

Status = Literal["waiting", "approved", "rejected", "expired", "replaced", "void"]
_ENDS: dict[str, Status] = {"promote": "approved", "reject": "rejected", "expire": "expired", "challenge": "replaced"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A version that a run proposed, and the entry that ended it; None while it waits."""

    entry: JournalEntry
    end: JournalEntry | None = None

    @property
    def status(self) -> Status:
        """What became of it."""
        if self.end is None:
            return "waiting"
        if self.end.kind in MOVES and self.end.digest != self.entry.digest:
            return "void"
        return _ENDS.get(self.end.kind, "void")

    def told(self) -> str:
        """Return what became of it in words: `version 4 was approved by ada at noon: good`."""
        if self.end is None:
            return f"version {self.entry.version} waits since {self.entry.at}"
        who = f"by {self.end.by} " if self.end.by else ""
        if self.status == "replaced":
            return f"version {self.entry.version} was replaced by version {self.end.version}, which waits instead since {self.end.at}"
        if self.status == "void":
            return (
                f"version {self.entry.version} was judged against another champion: version {self.end.version} was put into production "
                f"{who}at {self.end.at}, so its approval is void; run again to be judged against it"
            )
        why = self.end.reason.removeprefix("approved: ")
        return f"version {self.entry.version} was {self.status} {who}at {self.end.at}: {why}"


def challenges(entries: Iterable[JournalEntry]) -> tuple[Challenge, ...]:
    """Return every challenge, oldest first; at most the last one waits."""
    known: list[Challenge] = []
    for entry in accepted(entries):
        if known and known[-1].end is None and _ends(entry, known[-1].entry):
            known[-1] = Challenge(entry=known[-1].entry, end=entry)
        if entry.kind == "challenge":
            known.append(Challenge(entry=entry))
    return tuple(known)


def _ends(entry: JournalEntry, challenge: JournalEntry) -> bool:
    if entry.kind in ("reject", "expire"):
        return entry.digest == challenge.digest
    return entry.kind == "challenge" or entry.kind in MOVES


def challenger(entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """Return the challenge that waits for a person; None when none does."""
    known = challenges(entries)
    return known[-1].entry if known and known[-1].end is None else None
