"""The rules of the promotion journal: which of its entries count, and which one is the head.

Every reader folds the same entries in the same order, so all of them see the same champion. An entry counts only
if its writer had seen the head that it replaces: of two writers who race, one wins and nothing is lost silently.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


def accepted(entries: Iterable[JournalEntry]) -> tuple[JournalEntry, ...]:
    """Return the entries that count, oldest first.

    In the order of their numbers: an `attempt` already seen is a network's repetition and is skipped; any other
    entry counts if and only if its `expect` is the number of the head before it (None for the first).
    """
    counted: list[JournalEntry] = []
    attempts: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.number):
        head = counted[-1].number if counted else None
        if entry.attempt not in attempts and entry.expect == head:
            counted.append(entry)
        attempts.add(entry.attempt)
    return tuple(counted)


def fold(entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """Return the head, which names the champion; None when nothing was ever promoted."""
    return (accepted(entries) or (None,))[-1]


def withdrawn(entries: Iterable[JournalEntry]) -> frozenset[str]:
    """Return the digests that a rollback took out of production; they are not promoted again."""
    counted = accepted(entries)
    digests = {entry.number: entry.digest for entry in counted}
    return frozenset(
        digests[entry.expect] for entry in counted if entry.kind == "rollback" and entry.expect is not None
    )


def before_head(entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """Return the entry that a rollback goes back to: the newest whose bundle is not the head's nor withdrawn."""
    counted = accepted(entries)
    barred = withdrawn(counted) | {entry.digest for entry in counted[-1:]}
    return next((entry for entry in reversed(counted) if entry.digest not in barred), None)


# --- promotion ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line of the promotion journal; `number` is given by the registry and strictly increases.

    `expect` is the number of the head that the writer saw, or None for the first entry.
    """

    number: int
    attempt: str
    kind: Literal["promote", "rollback"]
    expect: int | None
    version: str
    digest: str
    size_bytes: int
    reason: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The model in production: what the journal's head says."""

    model: str
    version: str
    digest: str
    size_bytes: int
    candidate: str
    journal_number: int
    reason: str
    at: str
