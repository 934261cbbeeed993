"""How likely a candidate is to be certified, from what the validation split shows of it and of its like. Arithmetic only.

One discordant row of 1,500 is no rate of 0.07 %: the same models differed in 1.5 % of the test rows. So the discordance and
the share of the discordant rows that are lost are drawn towards those of like candidates (of one family), and these towards
what is usual (empirical Bayes, beta-binomial). Where the test file was given it may be harder than rows cut from train and hold
other words; `Shift` says how much, the same for all candidates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from parsimony.decision import stats
from parsimony.decision.records import NO_SHIFT, GateSettings, Shift

# What is usual before anything is known: how many rows differ, and how many of these are lost. Each counts as much as the
# number of rows, or of discordant rows, beside it.
_USUAL_DISCORDANCE, _USUAL_ROWS = 0.01, 300.0
_USUAL_LOST, _USUAL_DISCORDANT = 0.62, 30.0
# As many rows, and discordant rows, of its own outweigh what its like show; on a small split at most a third and a fourth of its rows,
# or its like would speak for a candidate that is wrong on every one of them.
_LIKE_ROWS, _LIKE_DISCORDANT = 300.0, 60.0
# Tokens that training never held harm trimmed candidates, all of them together: the share of the texts with such a token that
# is lost, and how uncertain that is. Kept runs lost 0.02 to 0.04.
_NEW_WORDS_LOSS, _NEW_WORDS_SPREAD = 0.03, 0.02
# How far the discordance on the test split is off, relative to what is expected there.
_SHIFT_SPREAD = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One built candidate on the validation split of `rows` rows, compared with the reference row by row.

    `kind` says which candidates are its like, `trimmed` whether its vocabulary is.
    """

    candidate: str
    size_bytes: int
    rows: int
    difference: float
    discordance: float
    is_reference: bool = False
    kind: str = ""
    trimmed: bool = False

    @property
    def discordant(self) -> float:
        """The number of rows on which just one of the two is right."""
        return self.discordance * self.rows

    @property
    def lost(self) -> float:
        """The number of rows that only the reference gets right; NaN for a difference that is no number."""
        lost = (self.discordance - self.difference) / 2 * self.rows
        return lost if math.isnan(lost) else min(max(lost, 0.0), self.discordant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the test split will be asked: how many rows decide, what is promised, and how its texts differ."""

    rows: int
    gates: GateSettings
    shift: Shift = NO_SHIFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Where a candidate's statistic on the test split is expected, in standard deviations above a loss of just the margin,
    how far it scatters around that by itself, and how far together with all other trimmed ones."""

    mean: float
    spread: float
    words: float = 0.0

    def chance(self, confidence: float) -> float:
        """Return the chance that the candidate is certified at this confidence; NaN stays NaN."""
        return NormalDist().cdf((self.mean - stats.z_of(confidence)) / math.hypot(self.spread, self.words))


def chances(entries: Sequence[Comparison], question: Question) -> dict[str, float]:
    """Return the chance that each candidate is certified, tested at the whole level."""
    known = outlooks(entries, question)
    return {name: outlook.chance(question.gates.confidence) for name, outlook in known.items()}


def outlooks(entries: Sequence[Comparison], question: Question) -> dict[str, Outlook]:
    """Return the outlook of every candidate; the reference, which differs from itself nowhere, is nobody's like."""
    kinds: dict[str, list[Comparison]] = {}
    for entry in entries:
        if not entry.is_reference and not math.isnan(entry.lost):
            kinds.setdefault(entry.kind, []).append(entry)
    usual = {kind: _usual(like) for kind, like in kinds.items()}
    return {entry.candidate: _outlook(entry, usual, question) for entry in entries}


def _usual(like: Sequence[Comparison]) -> tuple[float, float]:
    """Return the discordance and the lost share of like candidates: their means, which are those of a single one in weight,
    because all answer the same rows."""
    rows, discordant = fmean(e.rows for e in like), fmean(e.discordant for e in like)
    lost = fmean(e.lost for e in like)
    return (
        (discordant + _USUAL_DISCORDANCE * _USUAL_ROWS) / (rows + _USUAL_ROWS),
        (lost + _USUAL_LOST * _USUAL_DISCORDANT) / (discordant + _USUAL_DISCORDANT),
    )


def _outlook(entry: Comparison, usual: Mapping[str, tuple[float, float]], question: Question) -> Outlook:
    """Return a candidate's outlook: its loss on the test split has a mean and a variance, and the test adds its own."""
    like_discordance, like_lost = usual.get(entry.kind, (_USUAL_DISCORDANCE, _USUAL_LOST))
    like_rows, like_discordant = min(_LIKE_ROWS, entry.rows / 3), min(_LIKE_DISCORDANT, entry.rows / 4)
    weight = entry.discordant + like_rows * like_discordance
    discordance = min(weight / (entry.rows + like_rows) * question.shift.discordance, 1.0)
    lost = (entry.lost + like_discordant * like_lost) / (entry.discordant + like_discordant)
    loss = (2 * lost - 1) * discordance
    by_share = 4 * discordance**2 * lost * (1 - lost) / (entry.discordant + like_discordant / 2)
    by_discordance = loss**2 * (1 / weight + _SHIFT_SPREAD**2)
    error = discordance / question.rows  # the variance of a difference on so many test rows
    new_words = question.shift.new_words if entry.trimmed else 0.0
    return Outlook(
        mean=(question.gates.margin - loss - _NEW_WORDS_LOSS * new_words) / error**0.5,
        spread=(1 + (by_share + by_discordance) / error) ** 0.5,
        words=_NEW_WORDS_SPREAD * new_words / error**0.5,
    )
