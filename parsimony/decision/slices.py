"""No group pays for the size: every label, and every value of the columns that the plan names, is a slice.

Arithmetic only. The rule finds harm that is proven; it promises nothing for a slice that it finds nothing in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parsimony.data.slicing import Rows
from parsimony.decision import exact_test, stats
from parsimony.decision.records import GateResult, GateSettings, GateVerdict, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """The upper bound of what a slice's rows say about one limit; harm is proven when it lies below."""

    of: Slice
    value: float
    limit: float
    said: str


def compare(truth: np.ndarray, reference: np.ndarray, candidate: np.ndarray, rows: Rows) -> tuple[Slice, ...]:
    """Compare the candidate with the reference on the rows of each slice; class numbers [rows] each."""
    return tuple(
        _slice(column, value, truth[mine], reference[mine], candidate[mine]) for (column, value), mine in rows.items()
    )


def _slice(column: str, value: str, truth: np.ndarray, reference: np.ndarray, candidate: np.ndarray) -> Slice:
    lost, won = stats.discordant(truth, reference, candidate)
    right = int((truth == candidate).sum())
    return Slice(column=column, value=value, n=len(truth), right=right, lost=lost, won=won)


def judge(compared: Sequence[Slice], gates: GateSettings) -> GateResult:
    """Fail when a slice is proven to lose more accuracy than `slice_margin`, or to have less than `slice_floor`.

    Proven: the exact upper bound of the difference, or of the accuracy, lies below the limit at the level that all
    these tests share. So a candidate that truly breaks neither limit on any slice fails with a chance of at most
    1 - confidence, however many slices there are. It is a guard that finds proven harm, not a promise for each slice:
    on few rows even a great loss proves nothing.
    """
    margin, floor = gates.slice_margin, gates.slice_floor
    if not compared or math.isnan(margin + floor):
        reason = "there is no slice, or a limit is not a number"
        return GateResult(gate="slices", verdict="inconclusive", value=None, limit=-margin, reason=reason)
    losing = {one: exact_test.least_level(one.n, margin) for one in compared}
    failing = {
        one: (1 - floor) ** one.n for one in compared
    }  # the chance that all are wrong when the floor is just kept
    level = stats.shared_level((*losing.values(), *failing.values()), 1 - gates.confidence)
    bounds = [_difference(one, margin, 1 - level) for one, least in losing.items() if least <= level]
    bounds += [_accuracy(one, floor, 1 - level) for one, least in failing.items() if least <= level]
    told = (
        f"{len(compared):,} slices, {len(compared) - len({bound.of for bound in bounds}):,} of them too small to fail"
    )
    if not bounds:
        return GateResult(gate="slices", verdict="pass", value=None, limit=-margin, reason=told)
    worst = min(bounds, key=lambda bound: bound.value - bound.limit)
    verdict: GateVerdict = "pass" if worst.value >= worst.limit else "fail"
    reason = f"{worst.of.column} {worst.of.value!r:.60}, {worst.of.n:,} rows: {worst.said}; the worst of {told}"
    return GateResult(gate="slices", verdict=verdict, value=worst.value, limit=worst.limit, reason=reason)


def _difference(one: Slice, margin: float, confidence: float) -> _Bound:
    """Bound the difference; by the exact critical value where the normal quantile, which is never above it, would fail."""
    upper = stats.paired_bounds(one.lost, one.won, one.n, confidence)[1]
    if upper < -margin:
        critical = exact_test.critical_value(one.n, margin, confidence, "more")
        upper = -stats.paired_bounds(one.won, one.lost, one.n, confidence, critical)[0]
    said = f"{one.lost:,} lost, {one.won:,} won, a difference of at most {upper:+.4f}; allowed {-margin:+.4f}"
    return _Bound(of=one, value=upper, limit=-margin, said=said)


def _accuracy(one: Slice, floor: float, confidence: float) -> _Bound:
    upper = exact_test.proportion_upper(one.right, one.n, confidence)
    return _Bound(
        of=one, value=upper, limit=floor, said=f"{one.right:,} right, at most {upper:.4f}; the floor is {floor:.4f}"
    )
