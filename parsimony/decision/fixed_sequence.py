"""The rule of receipts of format 2: one fixed sequence, safest candidate first, that the first failure ends. Arithmetic only.

It is kept for what it judged: such receipts are audited by it, and the simulation and the replay show it beside today's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from parsimony.decision import stats
from parsimony.decision.chances import Comparison, Question
from parsimony.decision.records import GateSettings
from parsimony.decision.shortlist import Shortlist, dominating, hopeless

_IN_THE_WAY = "not tested: if it failed it would end the tests before smaller ones that promise more"


def chance(entry: Comparison, test_rows: int, gates: GateSettings) -> float:
    """Return the chance that `test_rows` rows certify a candidate, from what the validation split shows of it.

    Normal approximation: the test difference scatters around the validation difference with the variance of both
    splits. At least one row is assumed discordant, so that a small validation split is never certain. NaN stays NaN.
    """
    discordance = max(entry.discordance, 1 / entry.rows)
    gap: float = stats.z_of(gates.confidence) * (discordance / test_rows) ** 0.5
    scatter: float = (discordance / entry.rows + discordance / test_rows) ** 0.5
    return NormalDist().cdf((entry.difference + gates.margin - gap) / scatter)


def shortlist(entries: Sequence[Comparison], question: Question) -> Shortlist:
    """Choose on the validation split alone: the front of size and chance, safest first, as far as it promises."""
    chances = {entry.candidate: chance(entry, question.rows, question.gates) for entry in entries}
    new = [entry for entry in entries if not entry.is_reference]
    left_out = hopeless(new, chances, question.rows)
    hopeful = [entry for entry in new if entry.candidate not in left_out]
    front = []
    for entry in hopeful:
        better = dominating(entry, hopeful, chances)
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
