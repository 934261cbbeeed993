"""Which candidates are certified, in which order, and with which part of the level each begins. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parsimony.decision.chances import Comparison, Outlook, Question, outlooks
from parsimony.decision.sharing import MOST, TENTHS, best_shares, draw_scene

# A candidate with less than this chance to be certified is not tested: it would cost test rows, not certainty.
_LEAST_CHANCE = 0.05
_NO_PART = "not tested: the others promise a larger saving with the part of the level that it would take"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The candidates to certify, largest first after the reference, and why each other one is not among them.

    `shares`: the tenths of the level with which each begins, 0 for the reference, which does not need any; none at all give
    the whole level to the first that is not the reference, which makes a fixed sequence.
    """

    order: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    shares: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.shares and len(self.shares) != len(self.order):
            raise ValueError(f"{len(self.shares)} shares of {len(self.order)} candidates, expected one each or none")
        if min(self.shares, default=0) < 0 or sum(self.shares) > TENTHS:
            raise ValueError(
                f"the shares are {self.shares}, expected none below 0 and {TENTHS} tenths together at most"
            )

    def without(self, reasons: Mapping[str, str]) -> Shortlist:
        """Return the shortlist without these candidates; each leaves its share to the next that stays, else to the last."""
        order, shares, over = list[str](), list[int](), 0
        for name, share in zip(self.order, self.shares or (0,) * len(self.order), strict=True):
            if name in reasons:
                over += share
            else:
                takes = over if share else 0
                order, shares, over = [*order, name], [*shares, share + takes], over - takes
        if over and shares:
            shares[-1] += over
        return Shortlist(
            order=tuple(order),
            left_out=(*self.left_out, *((name, reasons[name]) for name in self.order if name in reasons)),
            shares=tuple(shares) if self.shares else (),
        )


def shortlist(entries: Sequence[Comparison], question: Question) -> Shortlist:
    """Choose on the validation split alone; order and shares are fixed before the test split is read.

    First comes the reference, which is equal to itself. Kept are candidates with a chance, however small, that no
    other one beats in both size and chance: a safer, larger one stays as what can still win when the smallest is not
    certified. Of these, the level is shared among those that promise the largest saving together.
    """
    known = outlooks(entries, question)
    kept, left_out = front(entries, known, question)
    start_bytes = max((e.size_bytes for e in entries), default=0)
    shared = most_promising(kept, known, question, start_bytes)
    shares = best_shares(draw_scene(shared, known, start_bytes, 1 - question.gates.confidence))
    tested = {e.candidate: share for e, share in zip(shared, shares, strict=True) if share >= 0}
    left_out |= {e.candidate: _NO_PART for e in kept if e.candidate not in tested}
    first = [entry.candidate for entry in entries if entry.is_reference]
    return Shortlist(
        order=(*first, *tested), left_out=tuple(left_out.items()), shares=(*(0 for _ in first), *tested.values())
    )


def front(
    entries: Sequence[Comparison], known: Mapping[str, Outlook], question: Question
) -> tuple[list[Comparison], dict[str, str]]:
    """Return the candidates that have a chance and that none beats in both size and chance; and why each other one is not there.

    A trimmed candidate beats none with its whole vocabulary: new words may harm all trimmed ones together.
    """
    chances = _chances(known, question)
    new = [entry for entry in entries if not entry.is_reference]
    left_out = hopeless(new, chances, question.rows)
    hopeful = [entry for entry in new if entry.candidate not in left_out]
    kept = []
    for entry in hopeful:
        better = dominating(entry, [other for other in hopeful if other.trimmed <= entry.trimmed], chances)
        if better is None:
            kept.append(entry)
        else:
            left_out[entry.candidate] = f"{better.candidate} is no larger and no less safe on the validation split"
    return kept, left_out


def most_promising(
    kept: Sequence[Comparison], known: Mapping[str, Outlook], question: Question, start_bytes: int
) -> tuple[Comparison, ...]:
    """Return those that save anything, largest first; of too many, those that promise most alone."""
    chances = _chances(known, question)

    def promise(entry: Comparison) -> float:
        return chances[entry.candidate] * math.log(start_bytes / entry.size_bytes)

    saving = sorted((e for e in kept if e.size_bytes < start_bytes), key=promise, reverse=True)
    return tuple(sorted(saving[:MOST], key=lambda e: e.size_bytes, reverse=True))


def _chances(known: Mapping[str, Outlook], question: Question) -> dict[str, float]:
    return {name: outlook.chance(question.gates.confidence) for name, outlook in known.items()}


def hopeless(entries: Sequence[Comparison], chances: Mapping[str, float], test_rows: int) -> dict[str, str]:
    """Return, with the reason, the candidates that would hardly be certified; a chance of NaN is among them."""
    return {
        entry.candidate: f"{entry.difference:+.4f} against the reference on the validation split: "
        f"{chances[entry.candidate]:.1%} chance that {test_rows:,} test rows certify it"
        for entry in entries
        if not chances[entry.candidate] >= _LEAST_CHANCE
    }


def dominating(entry: Comparison, others: Sequence[Comparison], chances: Mapping[str, float]) -> Comparison | None:
    """Return another candidate that is no larger and no less safe, None where there is none."""

    def rank(one: Comparison) -> tuple[int, float, str]:
        return one.size_bytes, -chances[one.candidate], one.candidate

    for other in others:
        as_good = other.size_bytes <= entry.size_bytes and chances[other.candidate] >= chances[entry.candidate]
        if as_good and rank(other) < rank(entry):
            return other
    return None
