"""Which candidates are certified, and in which order. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from parsimony.decision import stats
from parsimony.decision.records import GateSettings

# A candidate with less than this chance to be certified is not tested: it would cost test rows, not certainty.
_LEAST_CHANCE = 0.05
_IN_THE_WAY = "not tested: if it failed it would end the tests before smaller ones that promise more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One built candidate on the validation split of `rows` rows, compared with the reference row by row."""

    candidate: str
    size_bytes: int
    rows: int
    difference: float
    discordance: float
    is_reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The candidates to certify, safest first, and why each other one is not among them."""

    order: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def chance(entry: Comparison, test_rows: int, gates: GateSettings) -> float:
    """Return the chance that `test_rows` rows certify a candidate, from what the validation split shows of it.

    Normal approximation: the test difference scatters around the validation difference with the variance of both
    splits. At least one row is assumed discordant, so that a small validation split is never certain. NaN stays NaN.
    """
    discordance = max(entry.discordance, 1 / entry.rows)
    gap: float = stats.z_of(gates.confidence) * (discordance / test_rows) ** 0.5
    scatter: float = (discordance / entry.rows + discordance / test_rows) ** 0.5
    return NormalDist().cdf((entry.difference + gates.margin - gap) / scatter)


def shortlist(entries: Sequence[Comparison], test_rows: int, gates: GateSettings) -> Shortlist:
    """Choose on the validation split alone; the order is fixed before the test split is read.

    First comes the reference, which is equal to itself. Kept are candidates with a chance, however small, that no
    other one beats in both size and chance: a safer, larger one stays as what can still win when the smallest is not
    certified. Safest first, because testing stops at the first failure (Pareto Testing, Laufer-Goldshtein et al.
    2023; Learn then Test, Angelopoulos et al. 2021): no correction for the number of candidates is needed. Whoever is
    tested may also end the sequence, so of the front only those are tested that promise the largest saving together.
    """
    chances = {entry.candidate: chance(entry, test_rows, gates) for entry in entries}
    new = [entry for entry in entries if not entry.is_reference]
    left_out = _hopeless(new, chances, test_rows)
    hopeful = [entry for entry in new if entry.candidate not in left_out]
    front = []
    for entry in hopeful:
        better = _dominating(entry, hopeful, chances)
        if better is None:
            front.append(entry)
        else:
            left_out[entry.candidate] = f"{better.candidate} is no larger and no less safe on the validation split"
    front.sort(key=lambda e: -chances[e.candidate])
    first = [entry for entry in entries if entry.is_reference]
    tested = _most_promising(front, chances, max((e.size_bytes for e in entries), default=0))
    left_out |= {e.candidate: _IN_THE_WAY for e in front if e not in tested}
    return Shortlist(order=tuple(e.candidate for e in (*first, *tested)), left_out=tuple(left_out.items()))


def _most_promising(
    front: Sequence[Comparison], chances: Mapping[str, float], start_bytes: int
) -> tuple[Comparison, ...]:
    """Return the part of the front, in its order, whose expected saving is largest.

    Each candidate that passes saves log(size before / its size), and the first that does not ends the sequence. Solved
    from the end of the front: every candidate with its best continuation.
    """
    best: list[
        tuple[Comparison, float, tuple[Comparison, ...]]
    ] = []  # after this one passed: what more is expected, how

    def continuation(size_bytes: int, passed: float) -> tuple[float, tuple[Comparison, ...]]:
        best_gain, order = 0.0, tuple[Comparison, ...]()
        for entry, later, rest in best:
            gain = _given(passed, chances[entry.candidate]) * (math.log(size_bytes / entry.size_bytes) + later)
            if gain > best_gain:
                best_gain, order = gain, (entry, *rest)
        return best_gain, order

    for entry in reversed(front):
        best.append((entry, *continuation(entry.size_bytes, chances[entry.candidate])))
    return continuation(start_bytes, 1.0)[1]


def _given(passed: float, chance: float) -> float:
    """Return the chance of a candidate after a safer one has passed: half-way between independent and nested."""
    return (chance + chance / passed) / 2


def _hopeless(entries: Sequence[Comparison], chances: Mapping[str, float], test_rows: int) -> dict[str, str]:
    """Return, with the reason, the candidates that would hardly be certified; a chance of NaN is among them."""
    return {
        entry.candidate: f"{entry.difference:+.4f} against the reference on the validation split: "
        f"{chances[entry.candidate]:.1%} chance that {test_rows:,} test rows certify it"
        for entry in entries
        if not chances[entry.candidate] >= _LEAST_CHANCE
    }


def _dominating(entry: Comparison, others: Sequence[Comparison], chances: Mapping[str, float]) -> Comparison | None:
    def rank(one: Comparison) -> tuple[int, float, str]:
        return one.size_bytes, -chances[one.candidate], one.candidate

    for other in others:
        as_good = other.size_bytes <= entry.size_bytes and chances[other.candidate] >= chances[entry.candidate]
        if as_good and rank(other) < rank(entry):
            return other
    return None
