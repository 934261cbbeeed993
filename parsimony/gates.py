"""One rule each, three verdicts. What is missing, not a number or unstable never passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from parsimony import stats
from parsimony.records import (
    Certificate,
    GateResult,
    GateSettings,
    GateVerdict,
    Measurement,
    Score,
    TargetSettings,
)


def score(truth: np.ndarray, predicted: np.ndarray, classes: int) -> Score:
    """Return the point estimates of quality; class numbers [rows] each."""
    return Score(
        n=len(truth),
        correct=int((truth == predicted).sum()),
        accuracy=stats.accuracy(truth, predicted),
        macro_f1=stats.macro_f1(truth, predicted, classes),
    )


def certify(
    truth: np.ndarray,
    reference: np.ndarray,
    candidate: np.ndarray,
    classes: int,
    gates: GateSettings,
    *,
    position: int,
    seed: int,
) -> Certificate:
    """Test on the sealed split whether the candidate is at most `margin` worse than the reference."""
    right_reference, right_candidate = truth == reference, truth == candidate
    b, c = int((right_reference & ~right_candidate).sum()), int((right_candidate & ~right_reference).sum())
    result = score(truth, candidate, classes)
    if np.array_equal(reference, candidate):
        difference = low = high = 0.0  # the same answers: the difference is known, not estimated
    elif gates.metric == "accuracy":
        difference = (c - b) / len(truth)
        low, high = stats.paired_bounds(b, c, len(truth), gates.confidence)
    else:
        difference = result.macro_f1 - stats.macro_f1(truth, reference, classes)
        low, high = stats.macro_f1_bounds(truth, reference, candidate, classes, gates.confidence, seed)
    verdict = _verdict(low, high, -gates.margin)
    return Certificate(
        n=len(truth),
        score=result,
        difference=difference,
        lower_bound=low,
        only_reference_right=b,
        only_candidate_right=c,
        verdict=verdict,
        needed=stats.rows_needed(b, c, len(truth), gates.margin, gates.confidence)
        if verdict == "inconclusive" and gates.metric == "accuracy"
        else None,
        position=position,
    )


def _verdict(low: float, high: float, limit: float) -> GateVerdict:
    if low > limit:
        return "pass"
    return "fail" if high < limit else "inconclusive"


def quality(certificate: Certificate | None, gates: GateSettings) -> GateResult:
    """Judge the paired comparison with the reference."""
    if certificate is None:
        return GateResult(
            gate="margin",
            verdict="inconclusive",
            seen=None,
            limit=-gates.margin,
            reason="not tested on the sealed split",
        )
    bound = certificate.lower_bound
    reason = (
        f"{gates.metric} difference {certificate.difference:+.4f}, at least {bound:+.4f}; allowed {-gates.margin:+.4f}"
    )
    if certificate.verdict == "inconclusive":
        more = "" if certificate.needed is None else f"; label about {certificate.needed - certificate.n:,} more rows"
        reason += f": not enough rows to tell{more}"
    return GateResult(gate="margin", verdict=certificate.verdict, seen=bound, limit=-gates.margin, reason=reason)


def floor(truth: np.ndarray, predicted: np.ndarray, classes: int, gates: GateSettings, seed: int) -> GateResult:
    """Judge the absolute bound: the metric's lower confidence bound must reach the floor."""
    if gates.metric == "accuracy":
        seen = stats.proportion_lower(int((truth == predicted).sum()), len(truth), gates.confidence)
    elif gates.floor > 0.0:
        seen = stats.macro_f1_lower(truth, predicted, classes, gates.confidence, seed)
    else:
        seen = stats.macro_f1(truth, predicted, classes)
    verdict: GateVerdict = "pass" if seen >= gates.floor else "fail"
    return GateResult(
        gate="floor",
        verdict=verdict,
        seen=seen,
        limit=gates.floor,
        reason=f"{gates.metric} is at least {seen:.4f}, the floor is {gates.floor:.4f}",
    )


def on_target(target: TargetSettings, measurement: Measurement | None, size_bytes: int) -> tuple[GateResult, ...]:
    """Judge one target: it must have been measured, steadily, within every limit that it sets."""
    limits = (
        ("p99_ms", target.p99_ms, None if measurement is None else measurement.p99.high_ms),
        ("peak_rss_bytes", target.peak_rss_bytes, None if measurement is None else measurement.peak_rss_bytes),
        ("size_bytes", target.size_bytes, size_bytes),
    )
    results = [_measured(target, measurement)]
    results.extend(_below(f"{target.name} {name}", seen, limit) for name, limit, seen in limits if limit is not None)
    return tuple(results)


def _measured(target: TargetSettings, measurement: Measurement | None) -> GateResult:
    gate = f"{target.name} measured"
    if measurement is None:
        return GateResult(gate=gate, verdict="inconclusive", seen=None, limit=0.0, reason="no result from this target")
    if not measurement.stable:
        reason = f"unsteady: repeated blocks differ by {measurement.noise:.1%}; repeat on a quieter machine"
        return GateResult(gate=gate, verdict="inconclusive", seen=measurement.noise, limit=0.0, reason=reason)
    reason = f"{measurement.samples:,} samples, blocks differ by {measurement.noise:.1%}"
    return GateResult(gate=gate, verdict="pass", seen=measurement.noise, limit=0.0, reason=reason)


def _below(gate: str, seen: float | None, limit: float) -> GateResult:
    if seen is None or not math.isfinite(seen):
        return GateResult(gate=gate, verdict="inconclusive", seen=None, limit=limit, reason="not measured")
    verdict: GateVerdict = "pass" if seen <= limit else "fail"
    return GateResult(gate=gate, verdict=verdict, seen=seen, limit=limit, reason=f"{seen:,.6g} of at most {limit:,.6g}")


def overall(results: Sequence[GateResult]) -> GateVerdict:
    """Return pass only when there are gates and every one passes; a failure outweighs missing evidence."""
    verdicts = {result.verdict for result in results}
    if "fail" in verdicts:
        return "fail"
    return "pass" if verdicts == {"pass"} else "inconclusive"


def first_obstacle(results: Sequence[GateResult]) -> str:
    """Return the reason of the gate that decided against the candidate; empty when all passed."""
    for wanted in ("fail", "inconclusive"):
        for result in results:
            if result.verdict == wanted:
                return f"{result.gate}: {result.reason}"
    return "" if results else "no gates were judged"
