"""One rule each, three verdicts. What is missing, not a number or unstable never passes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from parsimony import exact, slices, stats
from parsimony.records import (
    Certificate,
    Disturbance,
    GateResult,
    GateSettings,
    GateVerdict,
    Measurement,
    Score,
    TargetSettings,
)

BUSY = 0.05  # share of the time waited for a core beyond which a latency says little about the bundle


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
    rows: slices.Rows,
    gates: GateSettings,
    *,
    position: int,
    seed: int,
) -> Certificate:
    """Test on the sealed split whether the candidate is at most `margin` worse than the reference.

    `rows` are those of each slice, on which the two are compared too; no slice decides this test. Two models that
    answer all these rows alike may still differ on others, so they get a bound like any pair.
    """
    b, c = stats.discordant(truth, reference, candidate)
    result, n = score(truth, candidate, classes), len(truth)
    if gates.metric == "accuracy":
        difference = (c - b) / n
        critical = exact.critical_value(n, gates.margin, gates.confidence)
        low, high = stats.paired_bounds(b, c, n, gates.confidence, critical)
    else:
        difference = result.macro_f1 - stats.macro_f1(truth, reference, classes)
        low, high = stats.macro_f1_bounds(truth, reference, candidate, classes, gates.confidence, seed)
    verdict = _verdict(low, high, -gates.margin)
    needed = None
    if verdict == "inconclusive" and gates.metric == "accuracy":
        needed = stats.rows_needed(b, c, n, gates.margin, gates.confidence)
    elif verdict == "inconclusive":
        needed = stats.needed_for(n, difference - low, difference + gates.margin)
    return Certificate(
        n=n,
        score=result,
        difference=difference,
        lower_bound=low,
        only_reference_right=b,
        only_candidate_right=c,
        verdict=verdict,
        needed=needed,
        position=position,
        slices=slices.compare(truth, reference, candidate, rows),
    )


def certify_itself(
    truth: np.ndarray, reference: np.ndarray, classes: int, rows: slices.Rows, *, position: int
) -> Certificate:
    """Certify the reference: it is not worse than itself, on no row of any sample."""
    return Certificate(
        n=len(truth),
        score=score(truth, reference, classes),
        difference=0.0,
        lower_bound=0.0,
        only_reference_right=0,
        only_candidate_right=0,
        verdict="pass",
        needed=None,
        position=position,
        slices=slices.compare(truth, reference, reference, rows),
    )


def gain(
    truth: np.ndarray,
    champion: np.ndarray,
    candidate: np.ndarray,
    classes: int,
    gates: GateSettings,
    *,
    tests: int,
    seed: int,
) -> float:
    """Return the lower bound of the metric's difference, candidate minus champion, on the same rows.

    tests: how many candidates are compared with the champion; they share 1 - confidence (Bonferroni).
    """
    confidence = 1 - (1 - gates.confidence) / tests
    if gates.metric == "macro_f1":
        return stats.macro_f1_bounds(truth, champion, candidate, classes, confidence, seed)[0]
    b, c = stats.discordant(truth, champion, candidate)
    return stats.paired_bounds(b, c, len(truth), confidence)[0]


def _verdict(low: float, high: float, limit: float) -> GateVerdict:
    if low > limit:
        return "pass"
    return "fail" if high < limit else "inconclusive"


def quality(certificate: Certificate | None, gates: GateSettings) -> GateResult:
    """Judge the paired comparison with the reference."""
    limit = -gates.margin
    if certificate is None:
        return GateResult(
            gate="margin", verdict="inconclusive", seen=None, limit=limit, reason="not tested on the sealed split"
        )
    bound = certificate.lower_bound
    reason = f"{gates.metric} difference {certificate.difference:+.4f}, at least {bound:+.4f}; allowed {limit:+.4f}"
    if certificate.verdict == "inconclusive":
        reason += _too_few_rows(certificate.n, certificate.needed)
    return GateResult(gate="margin", verdict=certificate.verdict, seen=bound, limit=limit, reason=reason)


def _too_few_rows(n: int, needed: int | None) -> str:
    more = "" if needed is None else f"; label about {needed - n:,} more rows"
    return f": not enough rows to tell{more}"


def floor(truth: np.ndarray, predicted: np.ndarray, classes: int, gates: GateSettings, seed: int) -> GateResult:
    """Judge the absolute bound: the metric's lower confidence bound must reach the floor.

    It fails when the metric itself lies below the floor, and is inconclusive when only the bound does.
    """
    result, n = score(truth, predicted, classes), len(truth)
    value = result.value(gates.metric)
    if gates.metric == "accuracy":
        seen = stats.proportion_lower(result.correct, n, gates.confidence)
    else:
        seen = stats.macro_f1_lower(truth, predicted, classes, gates.confidence, seed)
    seen = max(seen, 0.0)
    verdict: GateVerdict = "pass" if seen >= gates.floor else "inconclusive" if value >= gates.floor else "fail"
    reason = f"{gates.metric} is {value:.4f}, at least {seen:.4f}; the floor is {gates.floor:.4f}"
    if verdict == "inconclusive":
        reason += _too_few_rows(n, stats.needed_for(n, value - seen, value - gates.floor))
    return GateResult(gate="floor", verdict=verdict, seen=seen, limit=gates.floor, reason=reason)


def on_target(
    target: TargetSettings, measurement: Measurement | None, size_bytes: int | None
) -> tuple[GateResult, ...]:
    """Judge one target: it must have been measured, steadily, within every limit that it sets."""
    results = [_measured(target, measurement)]
    if target.p99_ms is not None:
        results.append(_p99(f"{target.name} p99_ms", measurement, target.p99_ms))
    if target.peak_rss_bytes is not None:
        peak = None if measurement is None else measurement.peak_rss_bytes
        results.append(_bytes(f"{target.name} peak_rss_bytes", peak, target.peak_rss_bytes))
    if target.size_bytes is not None:
        results.append(_bytes(f"{target.name} size_bytes", size_bytes, target.size_bytes))
    return tuple(results)


def _measured(target: TargetSettings, measurement: Measurement | None) -> GateResult:
    verdict: GateVerdict = "inconclusive"
    seen = None
    if measurement is None:
        reason = "no result from this target"
    elif (found := (measurement.target, measurement.environment.threads)) != (target.name, target.threads):
        reason = f"measured on {found[0]!r} with {found[1]} threads, expected {target.name!r} with {target.threads}"
    elif not measurement.stable:
        seen = measurement.noise
        reason = (
            f"unsteady: repeated blocks differ by {seen:.1%}{_taken(measurement.disturbance)}; repeat on a quieter one"
        )
    else:
        verdict, seen = "pass", measurement.noise
        reason = f"{measurement.samples:,} samples, blocks differ by {seen:.1%}"
    return GateResult(gate=f"{target.name} measured", verdict=verdict, seen=seen, limit=0.0, reason=reason)


def _taken(found: Disturbance | None) -> str:
    """Return what the machine took away; without a record of it, that it may have."""
    if found is None:
        return ", or the machine was held back"
    stolen = f", {found.steal_share:.1%} of the time went to other machines" if found.steal_share else ""
    return stolen + (f", the quota held it back {found.throttled:,} times" if found.throttled else "")


def _waited(measurement: Measurement) -> float:
    """Return the share of the time that others took by keeping the cores busy; 0 where it is not known."""
    found = measurement.disturbance
    return 0.0 if found is None or found.waited_share is None else found.waited_share


def _p99(gate: str, measurement: Measurement | None, limit: float) -> GateResult:
    """Judge the whole interval: it passes below the limit, fails above it, and says nothing across it.

    Waiting for busy cores only makes latency longer: what passes in spite of it passes, what does not may be good.
    """
    if measurement is None:
        return GateResult(gate=gate, verdict="inconclusive", seen=None, limit=limit, reason="not measured")
    p99, n = measurement.p99, measurement.samples
    reason = f"{p99.value_ms:,.3f} ms, at most {p99.high_ms:,.3f} ms; the limit is {limit:,.3f} ms"
    verdict: GateVerdict = "inconclusive"
    if n < (fewest := stats.fewest_samples(0.99)):
        reason += f": {n:,} samples, at least {fewest:,} are needed"
    elif not measurement.stable:
        reason += ": the measurement is unsteady"
    elif p99.high_ms <= limit:
        verdict = "pass"
    elif p99.low_ms > limit and (waited := _waited(measurement)) > BUSY:
        reason += f": it waited {waited:.0%} of the time for a core that others used; repeat on a quieter machine"
    elif p99.low_ms > limit:
        verdict = "fail"
    else:
        needed = stats.needed_for(n, p99.high_ms - p99.value_ms, limit - p99.value_ms)
        reason += ": not enough samples to tell" + ("" if needed is None else f"; take about {needed - n:,} more")
    return GateResult(gate=gate, verdict=verdict, seen=p99.high_ms, limit=limit, reason=reason)


def _bytes(gate: str, seen: int | None, limit: int) -> GateResult:
    if seen is None or not math.isfinite(seen):
        return GateResult(gate=gate, verdict="inconclusive", seen=None, limit=limit, reason="not measured")
    verdict: GateVerdict = "pass" if seen <= limit else "fail"
    return GateResult(gate=gate, verdict=verdict, seen=seen, limit=limit, reason=f"{seen:,} bytes of at most {limit:,}")


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
