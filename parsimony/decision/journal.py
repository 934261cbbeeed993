"""The rules of the promotion journal: which of its entries count and verify, which one is the head, and what follows from it.

Every reader folds the same entries in the same order, so all of them see the same champion. An entry counts only if its writer
had seen the head that it replaces: of two writers who race, one wins and nothing is lost silently. An entry is sealed with the
digest of its own content and names the digest of the entry that it follows, so that one that was changed, deleted or put
elsewhere is noticed: what comes after the first such place does not count. The newest entry is followed by none; the anchor,
which is kept elsewhere, names it. Whoever can write everything can also seal everything anew: that takes a secret, and is not
claimed.

Of entries that were written before there were seals, only this is noticed: one that others follow is gone, or the last of them is not
what the first sealed entry followed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from parsimony.decision.records import Standing

Kind = Literal["promote", "rollback", "hold", "release", "challenge", "reject", "expire"]
MOVES = ("promote", "rollback")  # the kinds of entries that name a champion
_CHANGED = "entry {} was changed after it was written"


def read(
    entries: Iterable[JournalEntry],
    *,
    numbers: frozenset[int] | None = None,
    unreadable: frozenset[int] = frozenset(),
    anchor: Anchor | None = None,
    mine: str = "",
) -> Journal:
    """Return the entries that count and verify, and the first thing that does not.

    In the order of their numbers: an `attempt` already seen is a network's repetition and is skipped; any other entry counts
    if and only if its `expect` is the number of the entry before it that counts (None for the first). `numbers` are those of
    everything that the registry holds, where they are known: one that is missing was deleted. `unreadable` are those of what
    has a seal and is no entry any more. `mine` is the attempt of an entry that the reader has just written.
    """
    ordered = tuple(entries)
    known = frozenset(entry.number for entry in ordered) | unreadable
    walk = _Walk(numbers=numbers or known, gaps_matter=numbers is not None, mine=mine)
    by_number = {entry.number: entry for entry in ordered}
    for number in sorted(known):
        if number in unreadable:
            walk.breaks(number, f"entry {number} cannot be read any more")
        else:
            walk.take(by_number[number])
    walk.end(anchor)
    return Journal(counted=tuple(walk.counted), damage=walk.damage, mended=tuple(walk.mended))


def accepted(entries: Iterable[JournalEntry]) -> tuple[JournalEntry, ...]:
    """Return the entries that count and verify, oldest first."""
    return read(entries).counted


def fold(entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """Return the head, which names the champion; None when nothing was ever promoted."""
    return next((entry for entry in reversed(accepted(entries)) if entry.kind in MOVES), None)


def withdrawals(entries: Iterable[JournalEntry]) -> dict[str, JournalEntry]:
    """Return the rollback that took each digest out of production, unless a later one brought that digest back."""
    withdrawals: dict[str, JournalEntry] = {}
    head: JournalEntry | None = None
    for entry in accepted(entries):
        if entry.kind == "rollback":
            if head is not None:
                withdrawals[head.digest] = entry
            withdrawals.pop(entry.digest, None)
        head = entry if entry.kind in MOVES else head
    return withdrawals


def rejections(entries: Iterable[JournalEntry]) -> dict[str, JournalEntry]:
    """Return the rejection of each digest that a reviewer refused, unless it was put into production afterwards."""
    rejected: dict[str, JournalEntry] = {}
    for entry in accepted(entries):
        if entry.kind == "reject":
            rejected[entry.digest] = entry
        elif entry.kind in MOVES:
            rejected.pop(entry.digest, None)
    return rejected


def withdrawn(entries: Iterable[JournalEntry]) -> frozenset[str]:
    """Return the digests that a rollback took out of production; they are not promoted again."""
    return frozenset(withdrawals(entries))


def before_head(entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """Return the entry that a rollback goes back to: the newest whose bundle is not the head's nor withdrawn."""
    return next(iter(before_head_all(entries)), None)


def before_head_all(entries: Iterable[JournalEntry]) -> tuple[JournalEntry, ...]:
    """Return every earlier champion that may be gone back to, the newest first, one entry for each bundle."""
    counted = [entry for entry in accepted(entries) if entry.kind in MOVES]
    barred = withdrawn(accepted(entries)) | {entry.digest for entry in counted[-1:]}
    newest = {entry.digest: entry for entry in counted if entry.digest not in barred}
    return tuple(sorted(newest.values(), key=lambda entry: -entry.number))


def hold_of(entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """Return the hold that stops promotions; None when there is none, or it was released."""
    last = next((e for e in reversed(accepted(entries)) if e.kind in ("hold", "release")), None)
    return last if last is not None and last.kind == "hold" else None


def standing(entries: Sequence[JournalEntry]) -> Standing:
    """Return what a decision must know of the journal: the hold, and which digests were withdrawn, with the reasons."""
    hold = hold_of(entries)
    bars = {digest: f"it was rejected{_who(entry)}" for digest, entry in rejections(entries).items()}
    bars |= {digest: f"it was rolled back{_who(entry)}" for digest, entry in withdrawals(entries).items()}
    return Standing(
        hold="" if hold is None else f"promotions are held{_who(hold)}", withdrawn=tuple(sorted(bars.items()))
    )


def _who(entry: JournalEntry) -> str:
    by = f" by {entry.by}" if entry.by else ""
    return f"{by} at {entry.at}: {entry.reason}"


# --- what is written ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line of the promotion journal; `number` is given by the registry and strictly increases.

    `expect` is the number of the last entry that counted when it was written, None for the first, and `previous` the digest
    of that entry (`link`); `seal` is the digest of its own content. All three are None before there were seals. `mends` is the
    number up to which a person, who saw the damage, gives up what does not verify; 0 for every ordinary entry. An entry that
    moves nothing (hold, release) repeats the champion's version; one of a review names the version that is reviewed.
    """

    number: int
    attempt: str
    kind: Kind
    expect: int | None
    version: str
    digest: str
    size_bytes: int
    reason: str
    at: str
    by: str = ""
    previous: str | None = None
    mends: int = 0
    seal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The newest entry as it is known outside the journal: its number and its digest (`link`). It may lag behind."""

    number: int
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The entries that count and verify, oldest first; what does not, "" for nothing; what a person has given up."""

    counted: tuple[JournalEntry, ...]
    damage: str = ""
    mended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The model in production: what the journal's head says. `notes` are lines that whoever asks for it should read."""

    model: str
    version: str
    digest: str
    size_bytes: int
    candidate: str
    journal_number: int
    reason: str
    at: str
    notes: tuple[str, ...] = ()


def content(entry: JournalEntry) -> str:
    """Return the digest of what an entry says; its number, which the registry gives it later, is not part of it."""
    said = {name: value for name, value in asdict(entry).items() if name not in ("number", "seal")}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def link(entry: JournalEntry) -> str:
    """Return the digest by which the next entry names this one: of its number and of what it says."""
    return hashlib.sha256(f"{entry.number} {content(entry)}".encode()).hexdigest()


# --- the walk -------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Walk:
    """The entries in order, as far as they verify. `doubted` is the last that counts, when an entry before it was deleted."""

    numbers: frozenset[int]
    gaps_matter: bool
    mine: str
    counted: list[JournalEntry] = field(default_factory=list)
    attempts: set[str] = field(default_factory=set)
    damage: str = ""
    damaged_at: int = 0
    mended: list[str] = field(default_factory=list)
    doubted: JournalEntry | None = None

    @property
    def last(self) -> int | None:
        """The number of the last entry that counts."""
        return self.counted[-1].number if self.counted else None

    def breaks(self, number: int, fault: str, *, back_to: int | None = None) -> None:
        """Take nothing more from here on; what counts ends before the entry `back_to`."""
        if back_to is not None:
            self.counted = [entry for entry in self.counted if entry.number < back_to]
        if not self.damage:
            self.damage, self.damaged_at = fault, number

    def take(self, entry: JournalEntry) -> None:
        """Count the next entry, or notice what is wrong with it."""
        if entry.attempt in self.attempts:
            return
        self.attempts.add(entry.attempt)
        if entry.mends and entry.seal == content(entry):
            self._mend(entry)
        elif not self.damage and self._verifies(entry) and entry.expect == self.last:
            self.doubted = entry if self._follows_a_gap(entry) else None
            self.counted.append(entry)

    def end(self, anchor: Anchor | None) -> None:
        """Hold what counts against the anchor."""
        anchored = None if anchor is None else next((e for e in self.counted if e.number == anchor.number), None)
        confirmed = anchor is not None and anchored is not None and link(anchored) == anchor.link
        doubted = self.doubted if self.counted and self.counted[-1] is self.doubted else None
        if doubted is not None and not (confirmed and doubted is anchored):
            number = doubted.number
            self.breaks(number, f"an entry before entry {number} was deleted", back_to=number)
        if anchor is not None and not confirmed and anchor.number > max((e.mends for e in self.counted), default=0):
            fault = _CHANGED if anchor.number in self.numbers else "entry {} was deleted"
            self.breaks(anchor.number, fault.format(anchor.number), back_to=anchor.number)

    def _follows_a_gap(self, entry: JournalEntry) -> bool:
        """Say whether what was deleted just before a sealed entry may have been the one that really counted."""
        between = range((self.last or 0) + 1, entry.number)
        known = not self.gaps_matter or entry.seal is None or entry.attempt == self.mine
        return not known and not self.numbers.issuperset(between)

    def _verifies(self, entry: JournalEntry) -> bool:
        """Say whether an entry is what was written, and follows what was there when it was written."""
        number, expect = entry.number, entry.expect
        if entry.seal is not None and entry.seal != content(entry):
            self.breaks(number, _CHANGED.format(number))
        elif expect is not None and expect < number and expect not in self.numbers:
            self.breaks(number, f"entry {expect} was deleted, which entry {number} follows")
        elif entry.seal is None and (entry.by or entry.previous):
            self.breaks(number, f"entry {number} has lost its seal")
        elif entry.seal is None:
            if expect == self.last and any(e.seal is not None for e in self.counted):
                self.breaks(number, f"entry {number} has no seal, although those before it have one")
        elif expect is not None and not any(e.number == expect for e in self.counted):
            if expect <= max((e.mends for e in self.counted), default=0):
                return False  # it follows what a person has given up meanwhile: it lost its race
            self.breaks(number, f"entry {number} follows entry {expect}, which does not count: one of them was changed")
        elif not self._linked(entry):
            self.breaks(number, _CHANGED.format(expect), back_to=expect)
        return not self.damage

    def _linked(self, entry: JournalEntry) -> bool:
        followed = next((e for e in self.counted if e.number == entry.expect), None)
        return entry.previous == (None if followed is None else link(followed))

    def _mend(self, entry: JournalEntry) -> None:
        """Let a person's entry count that goes on from the last one that verified, unless something came between."""
        known = entry.expect is None or any(e.number == entry.expect for e in self.counted)
        later = [e for e in self.counted if e.number > (entry.expect or 0)]
        whole = known and self._linked(entry) and entry.mends <= entry.number
        if whole and all(e.number <= entry.mends for e in later) and self.damaged_at <= entry.mends:
            self.mended.append(self.damage or f"what came after entry {entry.expect}")
            self.counted = [*(e for e in self.counted if e not in later), entry]
            self.damage, self.damaged_at, self.doubted = "", 0, None
