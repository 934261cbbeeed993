"""The rules of the promotion journal: which of its entries count, and which one is the head.

Every reader folds the same entries in the same order, so all of them see the same champion. An entry counts only
if its writer had seen the head that it replaces: of two writers who race, one wins and nothing is lost silently.
"""

from __future__ import annotations

from collections.abc import Iterable

from parsimony.records import JournalEntry


def accepted(entries: Iterable[JournalEntry]) -> tuple[JournalEntry, ...]:
    """Return the entries that count, oldest first.

    In the order of their numbers: an `attempt` already seen is a network's repetition and is skipped; any other
    entry counts if and only if its `expect` is the number of the head before it (None for the first).
    """
    counted: list[JournalEntry] = []
    seen: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.number):
        head = counted[-1].number if counted else None
        if entry.attempt not in seen and entry.expect == head:
            counted.append(entry)
        seen.add(entry.attempt)
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
