"""One rule each: what is missing, not a number, too little or unsteady never passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from decisions import ENVIRONMENT

from parsimony.data.slicing import Rows
from parsimony.decision import champion as beside
from parsimony.decision import exact_test, gates, stats
from parsimony.decision.records import (
    Certificate,
    GateResult,
    GateSettings,
    GateVerdict,
    Metric,
    Place,
    Rules,
    Score,
    Slice,
    TestSet,
)
from parsimony.measurement.records import Disturbance, Measurement, Quantile, TargetSettings

SETTINGS = GateSettings(metric="accuracy", margin=0.02, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0)
LEVEL = 1 - SETTINGS.confidence
FIRST = Place(position=1, level=LEVEL)
ALL: Rows = {}  # without slices nothing of a certificate changes but its slices
MACRO = replace(SETTINGS, metric="macro_f1")
TARGET = TargetSettings(name="here", threads=1, p99_ms=10.0, peak_rss_bytes=200_000_000, size_bytes=5_000_000)


def pair(n: int, only_reference: int, only_candidate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, reference and candidate over two balanced classes, with this many rows right for one alone."""
    truth = np.arange(n) % 2
    reference, candidate = truth.copy(), truth.copy()
    candidate[:only_reference] = 1 - truth[:only_reference]
    reference[n - only_candidate :] = 1 - truth[n - only_candidate :]
    return truth, reference, candidate


def asked(truth: np.ndarray, classes: int, slices: Rows = ALL) -> TestSet:
    return TestSet(truth=truth, classes=classes, slices=slices)


def certify(n: int, b: int, c: int, settings: GateSettings = SETTINGS) -> Certificate:
    truth, reference, candidate = pair(n, b, c)
    return gates.certify(asked(truth, 2), reference, candidate, Rules(gates=settings), FIRST)


def bounds(b: int, c: int, n: int, margin: float = 0.02) -> tuple[float, float]:
    return stats.paired_bounds(b, c, n, 0.95, exact_test.critical_value(n, margin, 0.95))


def result(verdict: GateVerdict, name: str = "gate", reason: str = "because") -> GateResult:
    return GateResult(gate=name, verdict=verdict, value=1.0, limit=1.0, reason=reason)


def measurement(p99: tuple[float, float, float] = (7.0, 8.0, 9.0), **changes: Any) -> Measurement:
    """Return a measurement whose p99 is (low, value, high) in milliseconds."""
    low, value, high = p99
    known: dict[str, Any] = {
        "target": "here",
        "samples": 1500,
        "p50": Quantile(value_ms=1.0, low_ms=0.9, high_ms=1.1),
        "p90": Quantile(value_ms=2.0, low_ms=1.9, high_ms=2.1),
        "p99": Quantile(value_ms=value, low_ms=low, high_ms=high),
        "throughput_per_s": 900.0,
        "peak_rss_bytes": 150_000_000,
        "startup_s": 0.4,
        "noise": 0.03,
        "stable": True,
        "environment": ENVIRONMENT,
    }
    return Measurement(**{**known, **changes})


# --- the paired comparison ------------------------------------------------------------------------


@pytest.mark.parametrize(("b", "c", "expected"), [(10, 5, "pass"), (200, 60, "fail"), (80, 30, "inconclusive")])
def test_the_margin_is_judged_by_both_bounds(b: int, c: int, expected: GateVerdict) -> None:
    certificate = certify(3000, b, c)
    low, high = bounds(b, c, 3000)
    assert (certificate.verdict, certificate.lower_bound, certificate.difference) == (expected, low, (c - b) / 3000)
    assert {"pass": low > -0.02, "fail": high < -0.02, "inconclusive": low <= -0.02 <= high}[expected]


def test_a_certificate_holds_the_whole_comparison() -> None:
    truth, reference, candidate = pair(1000, 4, 2)
    rows = {("label", "even"): truth == 0}
    assert gates.certify(asked(truth, 2, rows), reference, candidate, Rules(gates=SETTINGS), FIRST) == Certificate(
        n=1000,
        score=Score(n=1000, correct=996, accuracy=0.996, macro_f1=0.996),
        difference=-0.002,
        lower_bound=bounds(4, 2, 1000)[0],
        only_reference_right=4,
        only_candidate_right=2,
        verdict="pass",
        needed=None,
        position=1,
        level=LEVEL,
        slices=(Slice(column="label", value="even", n=500, right=498, lost=2, won=1),),
    )


@pytest.mark.parametrize("settings", [SETTINGS, MACRO])
def test_two_models_that_answer_few_rows_alike_are_not_certified_alike(settings: GateSettings) -> None:
    """Equal answers to ten rows prove little; only the reference itself is known not to be worse."""
    certificate = certify(10, 0, 0, settings)
    assert (certificate.verdict, certificate.difference) == ("inconclusive", 0.0)
    exactly = bounds(0, 0, 10) if settings == SETTINGS else stats.paired_bounds(0, 0, 10, 0.95)
    assert certificate.lower_bound == exactly[0]


def test_the_reference_is_not_worse_than_itself_on_any_number_of_rows() -> None:
    truth, reference, _ = pair(10, 0, 3)
    rows = {("label", "odd"): truth == 1}
    assert gates.certify_itself(asked(truth, 2, rows), reference, Place(position=4, level=0.01)) == Certificate(
        n=10,
        score=gates.score(truth, reference, 2),
        difference=0.0,
        lower_bound=0.0,
        only_reference_right=0,
        only_candidate_right=0,
        verdict="pass",
        needed=None,
        position=4,
        level=0.01,
        slices=(Slice(column="label", value="odd", n=5, right=3, lost=0, won=0),),
    )


def test_an_inconclusive_comparison_tells_how_many_rows_are_missing() -> None:
    certificate = certify(100, 1, 1)
    needed = stats.rows_needed(1, 1, 100, 0.02, 0.95)
    assert needed is not None
    assert certificate.needed == needed > 100
    told = gates.quality(certificate, SETTINGS)
    assert told == GateResult(
        gate="margin",
        verdict="inconclusive",
        value=certificate.lower_bound,
        limit=-0.02,
        reason=f"accuracy difference +0.0000, at least {certificate.lower_bound:+.4f}; allowed -0.0200: "
        f"not enough rows to tell; label about {needed - 100:,} more rows",
    )


def test_a_gain_is_the_lower_bound_on_the_same_rows_at_the_level_that_all_comparisons_share() -> None:
    truth, champion, candidate = pair(1000, 10, 50)
    assert (
        beside.compare(asked(truth, 2), champion, candidate, Rules(gates=SETTINGS), 1).lower_bound
        == stats.paired_bounds(10, 50, 1000, 0.95)[0]
    )
    shared = beside.compare(asked(truth, 2), champion, candidate, Rules(gates=SETTINGS), 4)
    assert shared.lower_bound == stats.paired_bounds(10, 50, 1000, 1 - (1 - 0.95) / 4)[0]


@pytest.mark.slow
def test_a_gain_in_macro_f1_is_the_lower_bound_of_the_bootstrap() -> None:
    """With a rare class the bound is the bootstrap's own, and follows from the seed."""
    truth = np.arange(200) % 2
    truth[:8] = 2
    champion = truth.copy()
    champion[1:5] = 1
    one, other = (
        beside.compare(asked(truth, 3), champion, truth, Rules(gates=MACRO, seed=seed), 2).lower_bound
        for seed in (3, 4)
    )
    assert one == stats.macro_f1_bounds(truth, champion, truth, 3, 1 - (1 - 0.95) / 2, 3)[0]
    assert one != other


@pytest.mark.slow
def test_an_inconclusive_macro_f1_tells_how_many_rows_are_missing_too() -> None:
    certificate = certify(100, 2, 1, MACRO)
    assert certificate.verdict == "inconclusive"
    assert certificate.needed == stats.needed_for(
        100, certificate.difference - certificate.lower_bound, certificate.difference + 0.02
    )
    assert f"label about {certificate.needed - 100:,} more rows" in gates.quality(certificate, MACRO).reason


def test_a_loss_beyond_the_margin_asks_for_no_rows() -> None:
    certificate = certify(100, 4, 1)
    assert (certificate.verdict, certificate.needed) == ("inconclusive", None)
    assert gates.quality(certificate, SETTINGS).reason.endswith("not enough rows to tell")


@pytest.mark.slow
@pytest.mark.parametrize(("b", "c", "end"), [(2, 1, 0), (60, 0, 1)])
def test_a_bound_just_at_the_margin_is_not_beyond_it(b: int, c: int, end: int) -> None:
    """Neither the lower one, to pass, nor the upper one, to fail; those of macro-F1 do not depend on the margin."""
    bounds = stats.macro_f1_bounds(*pair(200, b, c), 2, 0.95, 0)
    for margin, expected in ((-bounds[end], "inconclusive"), (-bounds[end] * (1.01, 0.99)[end], ("pass", "fail")[end])):
        assert certify(200, b, c, replace(MACRO, margin=margin)).verdict == expected


def test_the_margin_is_strict() -> None:
    margins = [float(margin) for margin in np.linspace(0.009, 0.013, 9)]
    words = [certify(1000, 5, 0, replace(SETTINGS, margin=margin)).verdict for margin in margins]
    assert words == ["pass" if bounds(5, 0, 1000, m)[0] > -m else "inconclusive" for m in margins]
    assert set(words) == {"pass", "inconclusive"}
    truth = np.zeros(10, dtype=np.int64)
    with_bound = replace(SETTINGS, margin=-bounds(0, 0, 10)[0])
    assert gates.certify(asked(truth, 2), truth, truth, Rules(gates=with_bound), FIRST).verdict != "fail"


def test_a_margin_that_is_not_a_number_passes_nothing() -> None:
    assert certify(1000, 0, 5, replace(SETTINGS, margin=float("nan"))).verdict == "inconclusive"


@pytest.mark.slow
def test_macro_f1_is_judged_by_its_own_bounds() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 2000)
    reference = np.where(rng.random(2000) < 0.95, truth, (truth + 1) % 4)
    candidate = np.where(rng.random(2000) < 0.01, (truth + 2) % 4, reference)
    certificate = gates.certify(asked(truth, 4), reference, candidate, Rules(gates=MACRO, seed=3), FIRST)
    low, _ = stats.macro_f1_bounds(truth, reference, candidate, 4, 0.95, 3)
    expected = stats.macro_f1(truth, candidate, 4) - stats.macro_f1(truth, reference, 4)
    assert (certificate.verdict, certificate.lower_bound, certificate.difference) == ("pass", low, expected)


@pytest.mark.slow
def test_macro_f1_is_resampled_from_the_seed() -> None:
    """With a rare class the bound is the bootstrap's own."""
    truth = np.arange(200) % 2
    truth[:8] = 2
    candidate = truth.copy()
    candidate[1:5] = 1
    judged = [
        gates.certify(asked(truth, 3, {}), truth, candidate, Rules(gates=MACRO, seed=seed), FIRST) for seed in (0, 0, 1)
    ]
    assert judged[0] == judged[1] != judged[2]
    floors = [gates.floor(asked(truth, 3), candidate, Rules(gates=MACRO, seed=seed), LEVEL) for seed in (0, 0, 1)]
    assert floors[0] == floors[1] != floors[2]


def test_a_comparison_that_was_not_made_does_not_pass() -> None:
    assert gates.quality(None, SETTINGS) == GateResult(
        gate="margin", verdict="inconclusive", value=None, limit=-0.02, reason="not tested on the test split"
    )


def test_zero_rows_are_refused() -> None:
    nothing = np.array([], dtype=np.int64)
    for judge in (
        lambda: gates.certify(asked(nothing, 2), nothing, nothing, Rules(gates=SETTINGS), FIRST),
        lambda: gates.certify_itself(asked(nothing, 2), nothing, FIRST),
        lambda: gates.floor(asked(nothing, 2), nothing, Rules(gates=SETTINGS), LEVEL),
        lambda: gates.score(nothing, nothing, 2),
    ):
        with pytest.raises(ValueError, match="at least 1 row"):
            judge()


def test_answers_of_another_length_are_refused() -> None:
    """numpy would stretch a single answer over all rows."""
    truth, reference, candidate = pair(10, 0, 0)
    with pytest.raises(ValueError, match="expected one length"):
        gates.certify(asked(truth, 2), reference, candidate[:1], Rules(gates=SETTINGS), FIRST)


@pytest.mark.parametrize("field", ["difference", "lower_bound"])
def test_a_certificate_without_a_number_cannot_be_made(field: str) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        replace(certify(100, 1, 1), **{field: float("nan")})


@pytest.mark.parametrize("field", ["accuracy", "macro_f1"])
def test_a_metric_that_is_not_a_number_cannot_become_a_score(field: str) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        Score(**{"n": 5, "correct": 5, "accuracy": 1.0, "macro_f1": 1.0, field: float("nan")})


# --- the floor ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "wrong", "floor", "expected"),
    [(1000, 50, 0.93, "pass"), (100, 5, 0.93, "inconclusive"), (1000, 80, 0.93, "fail"), (5, 5, 0.0, "pass")],
)
def test_the_lower_bound_must_reach_the_floor(n: int, wrong: int, floor: float, expected: GateVerdict) -> None:
    truth, _, candidate = pair(n, wrong, 0)
    judged = gates.floor(asked(truth, 2), candidate, Rules(gates=replace(SETTINGS, floor=floor)), LEVEL)
    bound = max(stats.proportion_lower(n - wrong, n, 0.95), 0.0)
    assert (judged.gate, judged.verdict, judged.value, judged.limit) == ("floor", expected, bound, floor)


def test_a_floor_that_only_the_bound_misses_tells_how_many_rows_are_missing() -> None:
    truth, _, candidate = pair(100, 5, 0)
    judged = gates.floor(asked(truth, 2), candidate, Rules(gates=replace(SETTINGS, floor=0.93)), LEVEL)
    low = stats.proportion_lower(95, 100, 0.95)
    needed = stats.needed_for(100, 0.95 - low, 0.95 - 0.93)
    assert needed is not None
    assert judged.reason == (
        f"accuracy is 0.9500, at least {low:.4f}; the floor is 0.9300: not enough rows to tell; "
        f"label about {needed - 100:,} more rows"
    )


def test_a_metric_just_at_the_floor_may_still_reach_it() -> None:
    truth, _, candidate = pair(100, 5, 0)
    judged = gates.floor(asked(truth, 2), candidate, Rules(gates=replace(SETTINGS, floor=0.95)), LEVEL)
    assert judged.verdict == "inconclusive"
    assert judged.reason.endswith("the floor is 0.9500: not enough rows to tell")


def test_the_floor_looks_at_its_own_metric() -> None:
    """Nine of ten are right by never answering the rare class; the mean F1 of the two is half of that."""
    truth = np.array([0] * 90 + [1] * 10)
    constant = np.zeros(100, dtype=np.int64)
    words = [
        gates.floor(asked(truth, 2), constant, Rules(gates=replace(s, floor=0.88)), LEVEL).verdict
        for s in (SETTINGS, MACRO)
    ]
    assert words == ["inconclusive", "fail"]


@pytest.mark.slow
@pytest.mark.parametrize("floor", [0.0, 0.8])
def test_the_floor_of_macro_f1_looks_at_its_lower_bound(floor: float) -> None:
    truth, _, candidate = pair(200, 10, 0)
    judged = gates.floor(asked(truth, 2), candidate, Rules(gates=replace(MACRO, floor=floor), seed=5), LEVEL)
    assert (judged.verdict, judged.value) == ("pass", stats.macro_f1_lower(truth, candidate, 2, 0.95, 5))


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_three_right_answers_do_not_reach_a_high_floor(metric: Metric) -> None:
    truth, _, candidate = pair(3, 0, 0)
    assert (
        gates.floor(asked(truth, 2), candidate, Rules(gates=replace(SETTINGS, metric=metric, floor=0.9)), LEVEL).verdict
        == "inconclusive"
    )


def test_a_floor_that_is_not_a_number_is_not_reached() -> None:
    truth, _, candidate = pair(100, 0, 0)
    assert (
        gates.floor(asked(truth, 2), candidate, Rules(gates=replace(SETTINGS, floor=float("nan"))), LEVEL).verdict
        == "fail"
    )


# --- targets --------------------------------------------------------------------------------------


def verdicts(results: tuple[GateResult, ...]) -> dict[str, GateVerdict]:
    return {r.gate: r.verdict for r in results}


def test_within_every_limit_all_gates_of_a_target_pass() -> None:
    assert gates.on_target(TARGET, measurement(), 4_999_999) == (
        GateResult(
            gate="here measured", verdict="pass", value=0.03, limit=0.0, reason="1,500 samples, blocks differ by 3.0%"
        ),
        GateResult(
            gate="here p99_ms",
            verdict="pass",
            value=9.0,
            limit=10.0,
            reason="8.000 ms, at most 9.000 ms; the limit is 10.000 ms",
        ),
        GateResult(
            gate="here peak_rss_bytes",
            verdict="pass",
            value=150_000_000,
            limit=200_000_000,
            reason="150,000,000 bytes of at most 200,000,000",
        ),
        GateResult(
            gate="here size_bytes",
            verdict="pass",
            value=4_999_999,
            limit=5_000_000,
            reason="4,999,999 bytes of at most 5,000,000",
        ),
    )


def test_a_target_without_limits_must_still_be_measured() -> None:
    free = replace(TARGET, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    assert verdicts(gates.on_target(free, measurement(), 1)) == {"here measured": "pass"}
    assert verdicts(gates.on_target(free, None, 1)) == {"here measured": "inconclusive"}


def test_without_a_measurement_only_the_size_is_known() -> None:
    results = gates.on_target(TARGET, None, 1)
    unknown = GateResult(gate="", verdict="inconclusive", value=None, limit=0.0, reason="not measured")
    assert results[:3] == (
        replace(unknown, gate="here measured", reason="no result from this target"),
        replace(unknown, gate="here p99_ms", limit=10.0),
        replace(unknown, gate="here peak_rss_bytes", limit=200_000_000),
    )
    assert verdicts(results[3:]) == {"here size_bytes": "pass"}
    assert gates.overall(results) == "inconclusive"
    assert gates.first_obstacle(results) == "here measured: no result from this target"


def test_without_a_bundle_there_is_no_size_that_could_pass() -> None:
    assert verdicts(gates.on_target(TARGET, measurement(), None))["here size_bytes"] == "inconclusive"


def test_an_unsteady_measurement_neither_passes_nor_fails() -> None:
    for p99 in ((1.0, 2.0, 3.0), (100.0, 200.0, 300.0)):
        results = gates.on_target(TARGET, measurement(p99, stable=False, noise=0.4), 1)
        assert verdicts(results)["here measured"] == verdicts(results)["here p99_ms"] == "inconclusive"
        assert gates.overall(results) == "inconclusive"
        told = f"{p99[1]:.3f} ms, at most {p99[2]:.3f} ms; the limit is 10.000 ms: the measurement is unsteady"
        assert results[1].reason == told
    assert gates.first_obstacle(results) == (
        "here measured: unsteady: repeated blocks differ by 40.0%, or the machine was held back; repeat on a quieter one"
    )


def test_an_unsteady_measurement_stops_nothing_where_no_limit_of_latency_was_asked_for() -> None:
    unsteady = measurement(stable=False, noise=0.4)
    for free in (replace(TARGET, p99_ms=None), replace(TARGET, p99_ms=None, peak_rss_bytes=None, size_bytes=None)):
        results = gates.on_target(free, unsteady, 1)
        assert gates.overall(results) == "pass"
        assert results[0] == GateResult(
            gate="here measured",
            verdict="pass",
            value=0.4,
            limit=0.0,
            reason="unsteady: repeated blocks differ by 40.0%, or the machine was held back; the plan sets no limit of "
            "latency here",
        )
    too_large = gates.on_target(replace(TARGET, p99_ms=None), unsteady, 5_000_001)
    assert gates.overall(too_large) == "fail"
    assert gates.overall(gates.on_target(replace(TARGET, p99_ms=float("nan")), unsteady, 1)) == "inconclusive"


@pytest.mark.parametrize(
    "unsteady",
    [
        None,
        measurement(stable=False, target="elsewhere"),
        measurement(stable=False, environment=replace(ENVIRONMENT, threads=2)),
    ],
)
def test_what_was_not_measured_on_the_target_never_passes_without_a_limit_of_latency(
    unsteady: Measurement | None,
) -> None:
    [result] = gates.on_target(replace(TARGET, p99_ms=None, peak_rss_bytes=None, size_bytes=None), unsteady, 1)
    assert (result.verdict, result.value) == ("inconclusive", None)


@pytest.mark.parametrize(
    ("p99", "waited_share", "expected"),
    [
        ((11.0, 12.0, 13.0), 0.051, "inconclusive"),
        ((11.0, 12.0, 13.0), 0.05, "fail"),
        ((11.0, 12.0, 13.0), None, "fail"),
        ((7.0, 8.0, 9.0), 0.6, "pass"),
    ],
)
def test_who_waits_for_busy_cores_may_pass_in_spite_of_it_but_does_not_fail(
    p99: tuple[float, float, float], waited_share: float | None, expected: GateVerdict
) -> None:
    taken = Disturbance(steal_share=0.0, throttled=0, waited_share=waited_share)
    results = gates.on_target(TARGET, measurement(p99, disturbance=taken), 1)
    outcome = next(result for result in results if result.gate == "here p99_ms")
    assert outcome.verdict == expected
    assert ("that others used" in outcome.reason) == (expected == "inconclusive")
    if expected == "inconclusive":
        assert outcome.reason == (
            "12.000 ms, at most 13.000 ms; the limit is 10.000 ms: it waited 5% of the time for a core that others used; "
            "repeat on a quieter machine"
        )


def test_a_latency_whose_interval_begins_at_the_limit_needs_more_samples_not_a_quieter_machine() -> None:
    taken = Disturbance(steal_share=0.0, throttled=0, waited_share=0.5)
    results = gates.on_target(TARGET, measurement((10.0, 12.0, 13.0), disturbance=taken), 1)
    outcome = next(result for result in results if result.gate == "here p99_ms")
    assert (outcome.verdict, "others used" in outcome.reason) == ("inconclusive", False)


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (None, "differ by 3.0%, or the machine was held back;"),
        (
            Disturbance(steal_share=0.021, throttled=0),
            "differ by 3.0%, 2.1% of the time went to other machines;",
        ),
        (Disturbance(steal_share=0.0, throttled=7), "differ by 3.0%, the quota held it back 7 times;"),
        (Disturbance(steal_share=None, throttled=None), "differ by 3.0%;"),
    ],
)
def test_what_the_machine_took_away_is_the_reason(taken: Disturbance | None, said: str) -> None:
    free = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    unsteady = measurement(stable=False, disturbance=taken)
    [result] = gates.on_target(free, unsteady, 1)
    [limited, _] = gates.on_target(replace(free, p99_ms=10.0), unsteady, 1)
    assert (result.verdict, limited.verdict) == ("pass", "inconclusive")
    assert said in result.reason and said in limited.reason


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"target": "elsewhere"}, "'elsewhere' with 1 threads"),
        ({"environment": replace(ENVIRONMENT, threads=2)}, "'here' with 2 threads"),
    ],
)
def test_a_measurement_of_another_target_or_with_other_threads_does_not_count(
    changes: dict[str, Any], place: str
) -> None:
    assert gates.on_target(TARGET, measurement(**changes), 1)[0] == GateResult(
        gate="here measured",
        verdict="inconclusive",
        value=None,
        limit=0.0,
        reason=f"measured on {place}, expected 'here' with 1",
    )


@pytest.mark.parametrize(
    ("p99", "expected"),
    [
        ((8.0, 9.0, 10.0), "pass"),
        ((8.0, 9.0, 10.001), "inconclusive"),
        ((9.0, 10.5, 11.0), "inconclusive"),
        ((10.0, 11.0, 12.0), "inconclusive"),
        ((10.001, 11.0, 12.0), "fail"),
    ],
)
def test_p99_is_judged_by_its_whole_interval(p99: tuple[float, float, float], expected: GateVerdict) -> None:
    results = gates.on_target(TARGET, measurement(p99), 1)
    assert verdicts(results)["here p99_ms"] == expected
    assert gates.overall(results) == expected
    assert results[1].value == p99[2]


def test_an_upper_end_above_the_limit_tells_how_many_samples_are_missing() -> None:
    reason = gates.on_target(TARGET, measurement((8.0, 9.0, 11.0)), 1)[1].reason
    assert reason == (
        "9.000 ms, at most 11.000 ms; the limit is 10.000 ms: not enough samples to tell; take about 4,500 more"
    )
    hopeless = gates.on_target(TARGET, measurement((9.0, 10.5, 11.0)), 1)[1].reason
    assert hopeless.endswith("not enough samples to tell")


def test_too_few_samples_have_no_p99() -> None:
    """With fewer than 368 samples the largest one is no upper limit of the 99th percentile."""
    few = gates.on_target(TARGET, measurement(samples=367), 1)[1]
    assert (few.verdict, few.reason) == (
        "inconclusive",
        "8.000 ms, at most 9.000 ms; the limit is 10.000 ms: 367 samples, at least 368 are needed",
    )
    assert gates.on_target(TARGET, measurement(samples=368), 1)[1].verdict == "pass"


def test_bytes_are_told_apart_to_the_last_one() -> None:
    just = gates.on_target(TARGET, measurement(peak_rss_bytes=200_000_000), 5_000_000)
    assert [r.verdict for r in just] == ["pass"] * 4
    results = gates.on_target(TARGET, measurement(peak_rss_bytes=200_000_001), 5_000_001)
    assert [(r.verdict, r.reason) for r in results[2:]] == [
        ("fail", "200,000,001 bytes of at most 200,000,000"),
        ("fail", "5,000,001 bytes of at most 5,000,000"),
    ]


@pytest.mark.parametrize("limit", ["p99_ms", "peak_rss_bytes", "size_bytes"])
def test_a_limit_that_is_not_a_number_is_not_kept(limit: str) -> None:
    results = gates.on_target(replace(TARGET, **{limit: float("nan")}), measurement(), 1)
    assert gates.overall(results) != "pass"


def test_memory_that_is_not_a_number_is_not_measured() -> None:
    results = gates.on_target(TARGET, measurement(peak_rss_bytes=float("nan")), 1)
    assert (results[2].verdict, results[2].reason) == ("inconclusive", "not measured")


@pytest.mark.parametrize("field", ["value_ms", "low_ms", "high_ms"])
def test_a_latency_that_is_not_a_number_cannot_be_recorded(field: str) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        Quantile(**{"value_ms": 1.0, "low_ms": 1.0, "high_ms": 1.0, field: float("nan")})


# --- all together ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "inconclusive"),  # all([]) is True
        (["pass"], "pass"),
        (["pass", "pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["inconclusive", "fail", "pass"], "fail"),
        (["fail"], "fail"),
        (["skipped"], "inconclusive"),
    ],
)
def test_only_gates_that_all_pass_are_a_pass(given: list[GateVerdict], expected: GateVerdict) -> None:
    assert gates.overall([result(verdict) for verdict in given]) == expected


def test_the_first_failure_is_named_before_what_is_inconclusive() -> None:
    results = [result("pass", "a"), result("inconclusive", "b"), result("fail", "c", "too slow"), result("fail", "d")]
    assert gates.first_obstacle(results) == "c: too slow"
    assert gates.first_obstacle(results[:2]) == "b: because"
    assert gates.first_obstacle(results[:1]) == ""
    assert gates.first_obstacle([]) == "no gates were judged"
