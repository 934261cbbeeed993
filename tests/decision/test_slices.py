"""No group pays for the size: harm to a slice is found where it is proven, and hardly ever where there is none."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from parsimony.decision import exact_test, slices, stats
from parsimony.decision.records import GateResult, GateSettings, Slice

SETTINGS = GateSettings(metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0)


def of(n: int, lost: int = 0, won: int = 0, right: int | None = None, value: str = "a") -> Slice:
    return Slice(column="label", value=value, n=n, right=n - lost if right is None else right, lost=lost, won=won)


def at_most(one: Slice, level: float, margin: float = 0.1) -> float:
    """Return the upper bound of the difference: the lower one with the models changed about."""
    critical = exact_test.critical_value(one.n, margin, 1 - level, "more")
    return -stats.paired_bounds(one.won, one.lost, one.n, 1 - level, critical)[0]


# --- what is compared -----------------------------------------------------------------------------


def test_every_slice_is_compared_on_its_own_rows() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    reference, candidate = np.array([0, 0, 1, 1, 0, 2]), np.array([1, 0, 0, 2, 1, 2])
    rows = {("label", "a"): truth == 0, ("region", "eu"): np.array([False, True, False, False, True, True])}
    assert slices.compare(truth, reference, candidate, rows) == (
        Slice(column="label", value="a", n=3, right=2, lost=1, won=1),
        Slice(column="region", value="eu", n=3, right=3, lost=0, won=1),
    )


def test_a_slice_without_rows_is_refused() -> None:
    truth = np.array([0, 1])
    with pytest.raises(ValueError, match="at least 1 row"):
        slices.compare(truth, truth, truth, {("label", "c"): truth == 2})
    with pytest.raises(ValueError, match="a slice needs at least one row"):
        of(0)


# --- the verdict ----------------------------------------------------------------------------------


def test_a_slice_that_is_proven_to_lose_more_than_its_margin_fails_and_is_named() -> None:
    result = (of(40, 1, 2, value="fine"), of(40, 22, 1, value="harmed"), of(3, 3, value="tiny"))
    bound = at_most(result[1], 0.05 / 2)
    assert slices.judge(result, SETTINGS) == GateResult(
        gate="slices",
        verdict="fail",
        value=bound,
        limit=-0.1,
        reason=f"label 'harmed', 40 rows: 22 lost, 1 won, a difference of at most {bound:+.4f}; allowed -0.1000; "
        "the worst of 3 slices, 1 of them too small to fail",
    )


def test_a_loss_that_is_not_proven_passes_and_the_worst_slice_is_named() -> None:
    result = (of(40, 1, 2, value="fine"), of(40, 9, 1, value="worse"))
    bound = stats.paired_bounds(9, 1, 40, 1 - 0.05 / 2)[1]
    assert slices.judge(result, SETTINGS) == GateResult(
        gate="slices",
        verdict="pass",
        value=bound,
        limit=-0.1,
        reason=f"label 'worse', 40 rows: 9 lost, 1 won, a difference of at most {bound:+.4f}; allowed -0.1000; "
        "the worst of 2 slices, 0 of them too small to fail",
    )


def test_a_slice_that_is_proven_to_lie_below_the_floor_fails_and_is_named() -> None:
    result = (of(40, 1, value="fine"), of(1_040, right=400, value="low"))
    bound = exact_test.proportion_upper(400, 1_040, 1 - 0.05 / 4)
    assert slices.judge(result, replace(SETTINGS, slice_floor=0.5)) == GateResult(
        gate="slices",
        verdict="fail",
        value=bound,
        limit=0.5,
        reason=f"label 'low', 1,040 rows: 400 right, at most {bound:.4f}; the floor is 0.5000; "
        "the worst of 2 slices, 0 of them too small to fail",
    )


def test_an_accuracy_that_may_reach_the_floor_passes() -> None:
    judged = slices.judge((of(40, right=19),), replace(SETTINGS, slice_margin=1.0, slice_floor=0.5))
    assert (judged.verdict, judged.value) == ("pass", exact_test.proportion_upper(19, 40, 0.95))


def test_the_worst_slice_is_the_one_with_the_least_room_left_by_either_rule() -> None:
    result = (of(40, 2, 3, value="some room"), of(400, right=205, value="near the floor"))
    judged = slices.judge(result, replace(SETTINGS, slice_floor=0.5))
    level = 0.05 / 4
    rooms = (
        stats.paired_bounds(2, 3, 40, 1 - level)[1] + 0.1,
        stats.paired_bounds(0, 0, 400, 1 - level)[1] + 0.1,
        exact_test.proportion_upper(38, 40, 1 - level) - 0.5,
        exact_test.proportion_upper(205, 400, 1 - level) - 0.5,
    )
    assert rooms[3] == min(rooms)
    assert (judged.verdict, judged.limit) == ("pass", 0.5)
    assert judged.value == pytest.approx(rooms[3] + 0.5, abs=1e-12)


def test_a_bound_just_at_the_limit_is_no_harm() -> None:
    judged = slices.judge((of(9),), replace(SETTINGS, slice_margin=1.0, slice_floor=1.0))
    assert (judged.verdict, judged.value, judged.limit) == ("pass", 1.0, 1.0)


def test_a_slice_that_one_rule_can_fail_is_not_too_small() -> None:
    judged = slices.judge((of(3, right=1),), replace(SETTINGS, slice_floor=0.9))
    assert judged.reason.endswith("the floor is 0.9000; the worst of 1 slices, 0 of them too small to fail")


def test_rows_that_can_just_reach_the_level_are_judged() -> None:
    just = replace(SETTINGS, slice_margin=0.5, confidence=1 - 0.75**10)  # 0.75^10 has an exact binary form
    assert slices.judge((of(10, 10),), just).verdict == "fail"
    just = replace(SETTINGS, slice_margin=1.0, slice_floor=0.75, confidence=1 - 0.25**3)
    assert slices.judge((of(3, right=0),), just).value == pytest.approx(0.75, abs=1e-12)


def test_slices_that_are_too_small_to_fail_take_no_share_of_the_level() -> None:
    """Six rows can all be lost by chance one time in 36, five one time in 20 and a little more often."""
    small = tuple(of(5, 5, value=str(i)) for i in range(1_000))
    assert slices.judge(small, SETTINGS) == GateResult(
        gate="slices", verdict="pass", value=None, limit=-0.1, reason="1,000 slices, 1,000 of them too small to fail"
    )
    judged = slices.judge((*small, of(6, 6, value="large enough")), SETTINGS)
    assert (judged.verdict, judged.value) == ("fail", at_most(of(6, 6), 0.05))
    assert judged.reason.endswith("the worst of 1,001 slices, 1,000 of them too small to fail")


def test_more_slices_ask_for_more_proof() -> None:
    harmed = of(40, 14, value="harmed")
    words = [slices.judge((harmed, *(of(40, value=str(i)) for i in range(k))), SETTINGS).verdict for k in (0, 76)]
    assert words == ["fail", "pass"]


def test_a_margin_of_one_and_a_floor_of_zero_fail_nothing() -> None:
    never = replace(SETTINGS, slice_margin=1.0)
    assert slices.judge((of(500, 500),), never) == GateResult(
        gate="slices", verdict="pass", value=None, limit=-1.0, reason="1 slices, 1 of them too small to fail"
    )


def test_no_slices_and_limits_that_are_no_numbers_never_pass() -> None:
    nan = float("nan")
    for result, settings in (
        ((), SETTINGS),
        ((of(40),), replace(SETTINGS, slice_margin=nan)),
        ((of(40),), replace(SETTINGS, slice_floor=nan)),
    ):
        judged = slices.judge(result, settings)
        assert (judged.gate, judged.verdict, judged.value) == ("slices", "inconclusive", None)
        assert judged.limit == pytest.approx(-settings.slice_margin, nan_ok=True)
        assert judged.reason == "there is no slice, or a limit is not a number"


def test_a_long_value_is_cut_in_the_reason() -> None:
    reason = slices.judge((of(40, value="x" * 5_000),), SETTINGS).reason
    assert reason.startswith("label '" + "x" * 59 + ", 40 rows: 0 lost, 0 won")


# --- how often an honest model fails --------------------------------------------------------------


@cache
def tables(n: int) -> np.ndarray:
    """Return every (lost, won, rest) of n rows."""
    return np.array([(b, c, n - b - c) for b in range(n + 1) for c in range(n + 1 - b)])


def chance_of_harm(n: int, margin: float, gain: float, level: float) -> float:
    """Return how often a candidate that truly loses just the margin is found harmful on n rows: every table, one by one."""
    if exact_test.least_level(n, margin) > level:
        return 0.0
    critical = exact_test.critical_value(n, margin, 1 - level, "more")
    observed = tables(n)
    harmed = exact_test.scores(observed[:, 0], observed[:, 1], n, margin) > critical
    return float(multinomial.pmf(observed[harmed], n, [gain + margin, gain, 1 - 2 * gain - margin]).sum())


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 20, 77])
@pytest.mark.parametrize("n", [1, 5, 10, 40, 200])
@pytest.mark.parametrize("margin", [0.05, 0.1])
def test_k_slices_that_lose_just_the_margin_fail_no_more_often_than_promised(n: int, k: int, margin: float) -> None:
    level = stats.shared_level([exact_test.least_level(n, margin)] * k, 0.05)
    gains = (1 - margin) / 2 * np.array([0.0, 0.01, 0.03, 0.07, 0.13, 0.22, 0.37, 0.55, 0.71, 0.86, 0.97, 1.0])
    assert k * max(chance_of_harm(n, margin, float(gain), level) for gain in gains) <= 0.05


def test_a_smaller_loss_is_called_harm_less_often() -> None:
    critical = exact_test.critical_value(40, 0.1, 0.9975, "more")
    observed = tables(40)
    harmed = exact_test.scores(observed[:, 0], observed[:, 1], 40, 0.1) > critical
    for gain in (0.0, 0.05, 0.2, 0.4):
        chances = [
            multinomial.pmf(observed[harmed], 40, [gain + m, gain, 1 - 2 * gain - m]).sum() for m in (0.0, 0.05, 0.1)
        ]
        assert chances == sorted(chances)


@pytest.mark.slow
def test_the_verdict_is_that_of_the_enumerated_test() -> None:
    """The bound of `judge` and the statistic of the enumeration draw the line between the same tables."""
    level = stats.shared_level([exact_test.least_level(13, 0.1)] * 20, 0.05)
    critical = exact_test.critical_value(13, 0.1, 1 - level, "more")
    others = tuple(of(13, value=str(i)) for i in range(19))
    for lost, won, _ in tables(13).tolist():
        harmed = bool(exact_test.scores(np.array([lost]), np.array([won]), 13, 0.1)[0] > critical)
        verdict = slices.judge((of(13, lost, won, value="mine"), *others), SETTINGS).verdict
        assert verdict == ("fail" if harmed else "pass")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "k", "worlds", "floor"), [(1, 2, 200, 0.8), (10, 20, 60, 0.8), (40, 77, 60, 0.0), (200, 20, 60, 0.0)]
)
def test_honest_models_with_overlapping_slices_hardly_ever_fail(n: int, k: int, worlds: int, floor: float) -> None:
    """A second column of equal sizes cuts across the first; the margin is truly lost on every row, the floor just kept."""
    rng, settings = np.random.default_rng(n * k), replace(SETTINGS, slice_floor=floor)
    first, truth = np.arange(n * k) % k, np.zeros(n * k)
    failed = 0
    for _ in range(worlds):
        draw, second = rng.random(n * k), rng.permutation(first)
        rows = {(name, str(i)): column == i for name, column in (("a", first), ("b", second)) for i in range(k)}
        result = slices.compare(truth, draw < 0.1, draw < 0.2, rows)
        failed += slices.judge(result, settings).verdict == "fail"
    assert failed <= binom.isf(0.001, worlds, 0.05)


@pytest.mark.slow
def test_real_harm_is_found() -> None:
    """One of 77 labels loses 60 % of its 40 rows; all others keep every row."""
    result = [
        slices.judge((of(40, int(lost)), *(of(40, value=str(i)) for i in range(76))), SETTINGS).verdict
        for lost in np.random.default_rng(0).binomial(40, 0.6, 200)
    ]
    assert result.count("fail") > 190
