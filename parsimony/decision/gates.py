"""One rule each, three verdicts. What is missing or not a number never passes, nor what is unsteady where it would have to be fast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from parsimony.decision import exact_test, slices, stats
from parsimony.decision.records import (
    Certificate,
    GateResult,
    GateSettings,
    GateVerdict,
    Place,
    Rules,
    Score,
    Slice,
    TestSet,
)
from parsimony.measurement import quantiles
from parsimony.measurement.records import BUSY, Disturbance, Measurement, TargetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A candidate beside the reference on the test split.

    `counts` are (b, c): how many rows only the reference and how many only the candidate gets right; `score` is the
    candidate's.
    """

    counts: tuple[int, int]
    score: Score
    slices: tuple[Slice, ...]


def score(truth: np.ndarray, predicted: np.ndarray, classes: int) -> Score:
    """Return the point estimates of quality; class numbers [rows] each."""
    return Score(
        n=len(truth),
        correct=int((truth == predicted).sum()),
        accuracy=stats.accuracy(truth, predicted),
        macro_f1=stats.macro_f1(truth, predicted, classes),
    )


def certify(test: TestSet, reference: np.ndarray, candidate: np.ndarray, rules: Rules, place: Place) -> Certificate:
    """Test whether the candidate is at most `margin` worse than the reference; class numbers [rows] each.

    The two are also compared on the rows of each slice; no slice decides this test. Two models that predict all these
    rows alike may still differ on others, so they get a bound like any pair.
    """
    gates = rules.gates
    pair = Pair(
        counts=stats.discordant(test.truth, reference, candidate),
        score=score(test.truth, candidate, test.classes),
        slices=slices.compare(test.truth, reference, candidate, test.slices),
    )
    if gates.metric == "accuracy":
        certificate = certify_counts(pair, gates, place)
        (b, c), n = pair.counts, len(test)
        inconclusive = certificate.verdict == "inconclusive"
        needed = stats.rows_needed(b, c, n, gates.margin, 1 - place.level) if inconclusive else None
        return replace(certificate, needed=needed)
    difference = pair.score.macro_f1 - stats.macro_f1(test.truth, reference, test.classes)
    low, _ = stats.macro_f1_bounds(test.truth, reference, candidate, test.classes, 1 - place.level, rules.seed)
    _, high = stats.macro_f1_bounds(test.truth, reference, candidate, test.classes, gates.confidence, rules.seed)
    certificate = _certificate(pair, difference, low, _verdict(low, high, -gates.margin), place)
    if certificate.verdict != "inconclusive":
        return certificate
    return replace(certificate, needed=stats.needed_for(len(test), difference - low, difference + gates.margin))


def certify_counts(pair: Pair, gates: GateSettings, place: Place) -> Certificate:
    """Test the accuracy of a pair from its discordant counts alone, by the exact critical value of the place's level."""
    (b, c), n = pair.counts, pair.score.n
    critical = exact_test.critical_value(n, gates.margin, 1 - place.level)
    low, high = stats.paired_bounds(b, c, n, gates.confidence, critical)
    return _certificate(pair, (c - b) / n, low, _verdict(low, high, -gates.margin), place)


def certify_itself(test: TestSet, reference: np.ndarray, place: Place) -> Certificate:
    """Certify the reference: it is not worse than itself, on no row of any sample."""
    pair = Pair(
        counts=(0, 0),
        score=score(test.truth, reference, test.classes),
        slices=slices.compare(test.truth, reference, reference, test.slices),
    )
    return certify_identical(pair, place)


def certify_identical(pair: Pair, place: Place) -> Certificate:
    """Certify a pair of one and the same model."""
    return _certificate(pair, 0.0, 0.0, "pass", place)


def _certificate(pair: Pair, difference: float, lower_bound: float, verdict: GateVerdict, place: Place) -> Certificate:
    return Certificate(
        n=pair.score.n,
        score=pair.score,
        difference=difference,
        lower_bound=lower_bound,
        only_reference_right=pair.counts[0],
        only_candidate_right=pair.counts[1],
        verdict=verdict,
        needed=None,
        position=place.position,
        level=place.level,
        slices=pair.slices,
    )


def _verdict(low: float, high: float, limit: float) -> GateVerdict:
    if low > limit:
        return "pass"
    return "fail" if high < limit else "inconclusive"


def quality(certificate: Certificate | None, gates: GateSettings) -> GateResult:
    """Judge the paired comparison with the reference."""
    limit = -gates.margin
    if certificate is None:
        return GateResult(
            gate="margin", verdict="inconclusive", value=None, limit=limit, reason="not tested on the test split"
        )
    bound = certificate.lower_bound
    reason = f"{gates.metric} difference {certificate.difference:+.4f}, at least {bound:+.4f}; allowed {limit:+.4f}"
    if certificate.verdict == "inconclusive":
        reason += _too_few_rows(certificate.n, certificate.needed)
    return GateResult(gate="margin", verdict=certificate.verdict, value=bound, limit=limit, reason=reason)


def _too_few_rows(n: int, needed: int | None) -> str:
    more = "" if needed is None else f"; label about {needed - n:,} more rows"
    return f": not enough rows to tell{more}"


def floor(test: TestSet, predicted: np.ndarray, rules: Rules, level: float) -> GateResult:
    """Judge the absolute bound: the metric's lower bound, wrong with a chance of `level`, must reach the floor.

    It fails when the metric itself lies below the floor, and is inconclusive when only the bound does.
    """
    gates, n = rules.gates, len(test)
    result = score(test.truth, predicted, test.classes)
    value = result.value(gates.metric)
    if gates.metric == "accuracy":
        bound = stats.proportion_lower(result.correct, n, 1 - level)
    else:
        bound = stats.macro_f1_lower(test.truth, predicted, test.classes, 1 - level, rules.seed)
    bound = max(bound, 0.0)
    verdict: GateVerdict = "pass" if bound >= gates.floor else "inconclusive" if value >= gates.floor else "fail"
    reason = f"{gates.metric} is {value:.4f}, at least {bound:.4f}; the floor is {gates.floor:.4f}"
    if verdict == "inconclusive":
        reason += _too_few_rows(n, stats.needed_for(n, value - bound, value - gates.floor))
    return GateResult(gate="floor", verdict=verdict, value=bound, limit=gates.floor, reason=reason)


def on_target(
    target: TargetSettings, measurement: Measurement | None, size_bytes: int | None, missing: str = ""
) -> tuple[GateResult, ...]:
    """Judge one target: it must have been measured, within every limit that it sets; steadily, where one is of latency.

    missing: why there is no measurement, where that is known.
    """
    results = [_measured(target, measurement, missing)]
    if target.p99_ms is not None:
        results.append(_p99(f"{target.name} p99_ms", measurement, target.p99_ms))
    if target.peak_rss_bytes is not None:
        peak = None if measurement is None else measurement.peak_rss_bytes
        results.append(_bytes(f"{target.name} peak_rss_bytes", peak, target.peak_rss_bytes))
    if target.size_bytes is not None:
        results.append(_bytes(f"{target.name} size_bytes", size_bytes, target.size_bytes))
    return tuple(results)


def _measured(target: TargetSettings, measurement: Measurement | None, missing: str) -> GateResult:
    verdict: GateVerdict = "inconclusive"
    noise = None
    if measurement is None:
        reason = missing or "no result from this target"
    elif (place := (measurement.target, measurement.environment.threads)) != (target.name, target.threads):
        reason = f"measured on {place[0]!r} with {place[1]} threads, expected {target.name!r} with {target.threads}"
    elif different := target.machine.mismatch(measurement.environment):
        reason = f"measured on a machine of another class: {different}"
    elif not measurement.stable:
        noise = measurement.noise
        reason = f"unsteady: repeated blocks differ by {noise:.1%}{_taken(measurement.disturbance)}"
        if target.p99_ms is None:
            verdict, reason = "pass", f"{reason}; the plan sets no limit of latency here"
        else:
            reason += "; repeat on a quieter one"
    else:
        verdict, noise = "pass", measurement.noise
        reason = f"{measurement.samples:,} samples, blocks differ by {noise:.1%}"
    return GateResult(gate=f"{target.name} measured", verdict=verdict, value=noise, limit=0.0, reason=reason)


def _taken(disturbance: Disturbance | None) -> str:
    """Return what the machine took away; without a record of it, that it may have."""
    if disturbance is None:
        return ", or the machine was held back"
    stolen = f", {disturbance.steal_share:.1%} of the time went to other machines" if disturbance.steal_share else ""
    return stolen + (f", the quota held it back {disturbance.throttled:,} times" if disturbance.throttled else "")


def _waited(measurement: Measurement) -> float:
    """Return the share of the time that others took by keeping the cores busy; 0 where it is not known."""
    disturbance = measurement.disturbance
    return 0.0 if disturbance is None or disturbance.waited_share is None else disturbance.waited_share


def _p99(gate: str, measurement: Measurement | None, limit: float) -> GateResult:
    """Judge the whole interval: it passes below the limit, fails above it, and says nothing across it.

    Waiting for busy cores only makes latency longer: what passes in spite of it passes, what does not may be good.
    """
    if measurement is None:
        return GateResult(gate=gate, verdict="inconclusive", value=None, limit=limit, reason="not measured")
    p99, n = measurement.p99, measurement.samples
    reason = f"{p99.value_ms:,.3f} ms, at most {p99.high_ms:,.3f} ms; the limit is {limit:,.3f} ms"
    verdict: GateVerdict = "inconclusive"
    if n < (fewest := quantiles.fewest_samples(0.99)):
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
    return GateResult(gate=gate, verdict=verdict, value=p99.high_ms, limit=limit, reason=reason)


def _bytes(gate: str, size_bytes: int | None, limit: int) -> GateResult:
    if size_bytes is None or not math.isfinite(size_bytes):
        return GateResult(gate=gate, verdict="inconclusive", value=None, limit=limit, reason="not measured")
    verdict: GateVerdict = "pass" if size_bytes <= limit else "fail"
    return GateResult(
        gate=gate, verdict=verdict, value=size_bytes, limit=limit, reason=f"{size_bytes:,} bytes of at most {limit:,}"
    )


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
