"""The arithmetic against published values, other libraries, independent solutions and exact enumeration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from decisions import measurement
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom, binomtest, bootstrap, norm
from sklearn.metrics import f1_score

from parsimony.decision import stats
from parsimony.measurement import quantiles
from parsimony.measurement.records import Quantile

PAIRS = [(0, 0, 40), (1, 0, 44), (0, 5, 25), (7, 1, 21), (13, 3, 400), (40, 20, 160), (60, 60, 3080), (30, 0, 30)]


# --- paired bounds --------------------------------------------------------------------------------


def test_bounds_are_the_published_ones() -> None:
    """Fagerland, Lydersen and Laake (2014), Statistics in Medicine 33:2850, table V; and R's PropCIs 0.3-0."""
    airway = stats.paired_bounds(7, 1, 21, 0.975)
    assert tuple(round(bound, 3) for bound in airway) == (-0.517, -0.026)
    in_r = stats.paired_bounds(25, 28, 618, 0.95)
    assert tuple(round(bound, 4) for bound in in_r) == (-0.0148, 0.0247)


def score_by_search(b: int, c: int, n: int, loss: float) -> float:
    """Return the score statistic with the restricted maximum likelihood found by search, not by formula."""

    def unlikely(cell: float) -> float:
        rest = 1 - 2 * cell - loss
        return -(b * math.log(cell + loss) + c * math.log(cell) + (n - b - c) * math.log(rest))

    cell = minimize_scalar(
        unlikely, bounds=(max(0.0, -loss), (1 - loss) / 2), method="bounded", options={"xatol": 1e-12}
    ).x
    return (b - c - n * loss) / math.sqrt(n * (2 * cell + loss * (1 - loss)))


@pytest.mark.parametrize(("b", "c", "n"), [(7, 1, 21), (13, 3, 400), (40, 20, 160), (60, 60, 3080)])
def test_a_bound_is_where_the_score_test_with_the_likeliest_cells_turns(b: int, c: int, n: int) -> None:
    loss = brentq(lambda value: score_by_search(b, c, n, value) + norm.ppf(0.95), (b - c) / n + 1e-6, 0.9)
    assert stats.paired_bounds(b, c, n, 0.95)[0] == pytest.approx(-loss, abs=1e-6)


@pytest.mark.parametrize("n", [1, 10, 268, 3080])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_without_a_row_apart_the_bound_is_that_of_no_loss_in_n_rows(n: int, confidence: float) -> None:
    z = float(norm.ppf(confidence))
    expected = z * z / (n + z * z)
    assert stats.paired_bounds(0, 0, n, confidence) == pytest.approx((-expected, expected), abs=1e-12)


@pytest.mark.parametrize(("b", "c", "n"), PAIRS)
def test_swapping_the_models_mirrors_the_bounds(b: int, c: int, n: int) -> None:
    low, high = stats.paired_bounds(b, c, n, 0.95)
    assert stats.paired_bounds(c, b, n, 0.95) == (-high, -low)


@pytest.mark.parametrize(("b", "c", "n"), PAIRS)
def test_bounds_lie_around_the_difference_and_widen_with_confidence(b: int, c: int, n: int) -> None:
    bounds = [stats.paired_bounds(b, c, n, confidence) for confidence in (0.99, 0.95, 0.75)]
    lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
    assert lows == sorted(lows)
    assert highs == sorted(highs, reverse=True)
    assert all(-1 <= low <= (c - b) / n <= high <= 1 for low, high in bounds)


def test_each_further_loss_lowers_and_each_further_gain_raises_the_bound() -> None:
    losing = [stats.paired_bounds(b, 10, 500, 0.95)[0] for b in range(60)]
    gaining = [stats.paired_bounds(10, c, 500, 0.95)[0] for c in range(60)]
    assert all(later < earlier for earlier, later in pairwise(losing))
    assert all(later > earlier for earlier, later in pairwise(gaining))


def test_at_equal_rates_more_rows_give_a_nearer_bound() -> None:
    bounds = [stats.paired_bounds(4 * k, 2 * k, 100 * k, 0.95)[0] for k in (1, 2, 5, 20, 100)]
    assert bounds == sorted(bounds)


@pytest.mark.parametrize(("b", "c", "n"), [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_cannot_be_are_refused(b: int, c: int, n: int) -> None:
    with pytest.raises(ValueError, match=r"expected 0 <= b \+ c <= n and n > 0"):
        stats.paired_bounds(b, c, n, 0.95)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 0.0, 95.0, float("nan")])
def test_a_confidence_outside_its_range_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0.5 and less than 1"):
        stats.paired_bounds(1, 1, 10, confidence)


def chance_of_a_false_certificate(n: int, margin: float, discordant: float, confidence: float = 0.95) -> float:
    """Return how often a candidate that truly loses the margin is certified, by exact enumeration of (b, c)."""
    wins = (discordant - margin) / 2
    total = 0.0
    for c in range(int(binom.isf(1e-12, n, wins)) + 1 if wins > 0 else 1):
        most = max(
            (
                b
                for b in range(n - c + 1)
                if b <= c + n * margin and stats.paired_bounds(b, c, n, confidence)[0] > -margin
            ),
            default=-1,
        )
        total += binom.pmf(c, n, wins) * binom.cdf(most, n - c, (wins + margin) / (1 - wins))
    return float(total)


@pytest.mark.parametrize(
    ("n", "margin", "discordant", "expected"),
    [
        (268, 0.01, 0.01, 0.0676),  # the worst case: the candidate is never right alone
        (268, 0.01, 0.02, 0.0528),
        (300, 0.01, 0.01, 0.0490),
        (300, 0.02, 0.04, 0.0451),
        (872, 0.01, 0.02, 0.0456),
        (872, 0.02, 0.02, 0.0385),
    ],
)
def test_the_level_of_the_test_is_what_the_docstring_says(
    n: int, margin: float, discordant: float, expected: float
) -> None:
    assert chance_of_a_false_certificate(n, margin, discordant) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("b", "c", "n", "loss", "expected"),
    [
        (0, 0, 40, 0.0, 0.0),  # as many lost as the hypothesis says
        (10, 0, 10, 1.0, 0.0),
        (0, 10, 10, -1.0, 0.0),
        (5, 5, 10, 1.0, -math.inf),  # fewer
        (0, 5, 10, -1.0, math.inf),  # more
    ],
)
def test_a_hypothesis_that_leaves_nothing_to_chance_is_true_or_infinitely_far(
    b: int, c: int, n: int, loss: float, expected: float
) -> None:
    assert stats.score(b, c, n, loss) == expected


# --- rows and margins -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("b", "c", "n", "margin"), [(3, 1, 100, 0.03), (0, 0, 10, 0.01), (9, 4, 260, 0.03), (1, 1, 20, 0.02)]
)
def test_the_rows_needed_certify_the_rates_that_were_seen_and_fewer_do_not(
    b: int, c: int, n: int, margin: float
) -> None:
    needed = stats.rows_needed(b, c, n, margin, 0.95)
    assert needed is not None
    times = math.ceil(needed / n)  # whole multiples of what was seen have exactly its rates
    assert stats.paired_bounds(times * b, times * c, times * n, 0.95)[0] > -margin
    assert stats.paired_bounds((times - 1) * b, (times - 1) * c, (times - 1) * n, 0.95)[0] <= -margin


@pytest.mark.parametrize("margin", [0.003, 0.005, 0.01, 0.017, 0.02, 0.03, 0.05])
def test_the_rows_needed_without_a_row_apart_are_known_exactly(margin: float) -> None:
    """z^2 / (n + z^2) < 0.01 from 268 rows on."""
    odds = float(norm.ppf(0.95)) ** 2 * (1 - margin) / margin
    assert stats.rows_needed(0, 0, 10, margin, 0.95) == math.floor(odds) + 1
    assert stats.rows_needed(0, 0, 10, 0.01, 0.95) == 268


def test_rows_whose_bound_is_just_the_margin_are_one_too_few() -> None:
    margin = -stats.paired_bounds(0, 0, 100, 0.95)[0]
    assert stats.rows_needed(0, 0, 10, margin, 0.95) == stats.rows_needed(0, 0, 100, margin, 0.95) == 101


def test_rows_that_suffice_already_are_the_rows_needed() -> None:
    assert stats.rows_needed(2, 2, 3000, 0.01, 0.95) == 3000


@pytest.mark.parametrize(("b", "c"), [(3, 0), (5, 2), (50, 0)])
def test_no_number_of_rows_certifies_a_candidate_that_loses_the_margin(b: int, c: int) -> None:
    assert stats.rows_needed(b, c, 100, 0.03, 0.95) is None


def test_a_bound_comes_nearer_with_the_square_root_of_the_observations() -> None:
    assert stats.needed_for(100, 0.04, 0.02) == 400
    assert stats.needed_for(100, 0.02, 0.02) == 101
    assert [stats.needed_for(100, 0.02, room) for room in (0.0, -0.1, float("nan"))] == [None, None, None]


@pytest.mark.parametrize(("discordance", "n"), [(0.02, 3080), (0.05, 3080), (0.08, 872)])
def test_an_equal_candidate_is_certified_above_the_smallest_margin_and_not_below(discordance: float, n: int) -> None:
    margin = stats.smallest_margin(discordance, n, 0.95)
    half = round(discordance * n / 2)
    assert stats.rows_needed(half, half, n, margin * 1.0001, 0.95) == n
    assert stats.rows_needed(half, half, n, margin * 0.999, 0.95) != n
    assert margin == pytest.approx(1.645 * math.sqrt(discordance / n), rel=0.03)


def test_the_smallest_margin_is_defined_for_every_share_and_nothing_else() -> None:
    for n in (3, 5):  # of an odd number of rows all but one can differ and the two still be equally good
        assert stats.smallest_margin(1.0, n, 0.95) == -stats.paired_bounds(n // 2, n // 2, n, 0.95)[0]
    assert stats.smallest_margin(0.0, 100, 0.95) == -stats.paired_bounds(0, 0, 100, 0.95)[0]
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="expected a share from 0 to 1"):
            stats.smallest_margin(wrong, 100, 0.95)


# --- quality --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "classes", "n"), [(0, 2, 50), (1, 5, 200), (2, 77, 300), (3, 10, 12)])
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(seed: int, classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    predicted = np.where(rng.random(n) < 0.7, truth, rng.integers(0, classes, n))
    assert stats.accuracy(truth, predicted) == float(np.mean(truth == predicted))
    assert stats.macro_f1(truth, predicted, classes) == pytest.approx(
        f1_score(truth, predicted, average="macro"), abs=1e-12
    )


def test_a_class_that_is_neither_there_nor_predicted_does_not_count() -> None:
    truth, predicted = np.array([0, 0, 2]), np.array([0, 2, 2])
    assert stats.macro_f1(truth, predicted, 50) == stats.macro_f1(truth, predicted, 3) == pytest.approx(2 / 3)
    assert stats.macro_f1(np.array([0, 0]), np.array([1, 1]), 2) == 0.0


@pytest.mark.parametrize("measure", [stats.accuracy, lambda t, p: stats.macro_f1(t, p, 3)])
@pytest.mark.parametrize(("rows", "predictions"), [(0, 0), (3, 2), (3, 1), (0, 1)])
def test_columns_that_do_not_match_row_by_row_are_refused(measure, rows: int, predictions: int) -> None:
    with pytest.raises(ValueError, match="expected one length of at least 1 row"):
        measure(np.zeros(rows, dtype=np.int64), np.zeros(predictions, dtype=np.int64))


@pytest.mark.parametrize("rows", [(3, 3, 1), (3, 1, 3), (1, 3, 3)])
def test_a_pair_whose_columns_do_not_match_row_by_row_is_refused(rows: tuple[int, int, int]) -> None:
    columns = [np.zeros(n, dtype=np.int64) for n in rows]
    for compare in (
        lambda: stats.discordant(*columns),
        lambda: stats.macro_f1_bounds(*columns, 2, 0.95, 0),
    ):
        with pytest.raises(ValueError, match="expected one length of at least 1 row"):
            compare()


@pytest.mark.parametrize("rows", [(3, 2), (3, 1), (1, 3), (0, 0)])
def test_a_lower_bound_of_columns_that_do_not_match_is_refused(rows: tuple[int, int]) -> None:
    truth, predicted = (np.zeros(n, dtype=np.int64) for n in rows)
    with pytest.raises(ValueError, match="expected one length of at least 1 row"):
        stats.macro_f1_lower(truth, predicted, 2, 0.95, 0)


def test_a_class_number_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="found class number 3, expected less than 3"):
        stats.macro_f1(np.array([0, 1]), np.array([0, 3]), 3)


def predictions(seed: int, n: int, right: float, classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, reference and a candidate that differs from the reference on some rows."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    reference = np.where(rng.random(n) < right, truth, (truth + 1) % classes)
    candidate = np.where(rng.random(n) < 0.1, rng.integers(0, classes, n), reference)
    return truth, reference, candidate


def test_discordant_rows_are_counted_both_ways() -> None:
    truth, reference, candidate = np.array([0, 1, 2, 3, 0]), np.array([0, 1, 0, 0, 1]), np.array([0, 0, 2, 3, 2])
    assert stats.discordant(truth, reference, candidate) == (1, 2)


def rare() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth, reference and candidate over 200 rows; of the 8 rows of one class the reference misses 2, the other 4."""
    truth = np.arange(200) % 2
    truth[:8] = 2
    reference, candidate = truth.copy(), truth.copy()
    reference[:2], candidate[1:5] = 0, 1
    return truth, reference, candidate


@pytest.mark.slow
def test_macro_f1_bounds_come_out_the_same_with_the_same_seed_and_lie_around_the_difference() -> None:
    truth, reference, candidate = predictions(0, 400, 0.9)
    bounds = stats.macro_f1_bounds(truth, reference, candidate, 5, 0.95, 7)
    assert bounds == stats.macro_f1_bounds(truth, reference, candidate, 5, 0.95, 7)
    difference = stats.macro_f1(truth, candidate, 5) - stats.macro_f1(truth, reference, 5)
    assert bounds[0] < difference < bounds[1]


def test_macro_f1_of_few_rows_is_never_certain() -> None:
    """A bootstrap of rows on which nothing differs, or all is right, has no spread at all."""
    truth = np.array([0, 1, 2, 3, 4] * 4)
    assert stats.macro_f1_bounds(truth, truth, truth.copy(), 5, 0.95, 0) == stats.paired_bounds(0, 0, 20, 0.95)
    assert stats.macro_f1_lower(truth, truth, 5, 0.95, 0) == pytest.approx(
        stats.proportion_lower(20, 20, 0.95), abs=1e-12
    )


def test_a_single_row_is_bounded_like_any_other_number() -> None:
    row = np.array([0])
    assert stats.macro_f1_bounds(row, row, row, 2, 0.95, 0) == stats.paired_bounds(0, 0, 1, 0.95)
    assert stats.macro_f1_lower(row, row, 2, 0.95, 0) == stats.proportion_lower(1, 1, 0.95)


def test_macro_f1_bounds_lie_as_far_from_the_difference_as_the_score_interval_from_its_own() -> None:
    """One row of 40 differs: a bootstrap says that the candidate is at most equal, and too little of how much worse."""
    truth = np.arange(40) % 5
    candidate = truth.copy()
    candidate[0] = 1
    observed = stats.macro_f1(truth, candidate, 5) - 1.0
    low, high = stats.paired_bounds(1, 0, 40, 0.95)
    expected = (observed + low + 1 / 40, observed + high + 1 / 40)
    assert stats.macro_f1_bounds(truth, truth, candidate, 5, 0.95, 0) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_with_a_rare_class_the_bounds_of_macro_f1_are_the_bootstraps_and_follow_the_seed() -> None:
    """Against scipy's own percentile bootstrap; two rows of 200 decide a third of the metric."""
    truth, reference, candidate = rare()

    def difference(t: np.ndarray, r: np.ndarray, c: np.ndarray) -> float:
        return stats.macro_f1(t, c, 3) - stats.macro_f1(t, r, 3)

    def percentiles(columns: tuple[np.ndarray, ...], statistic: Callable[..., float]) -> tuple[float, float]:
        result = bootstrap(
            columns, statistic, paired=True, vectorized=False, n_resamples=4_000, confidence_level=0.9,
            method="percentile", rng=11,
        )  # fmt: skip
        return result.confidence_interval.low, result.confidence_interval.high

    bounds = [stats.macro_f1_bounds(truth, reference, candidate, 3, 0.95, seed) for seed in (0, 0, 1)]
    assert bounds[0] == bounds[1] != bounds[2]
    assert bounds[0] == pytest.approx(percentiles((truth, reference, candidate), difference), abs=0.015)
    lower = [stats.macro_f1_lower(truth, candidate, 3, 0.95, seed) for seed in (0, 0, 1)]
    assert lower[0] == lower[1] != lower[2]
    whole = percentiles((truth, candidate), lambda t, c: stats.macro_f1(t, c, 3))
    assert lower[0] == pytest.approx(whole[0], abs=0.015)


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (8, 10), (2831, 3080), (3080, 3080), (0, 3080)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_lower_bound_of_a_proportion_is_wilsons(correct: int, n: int, confidence: float) -> None:
    """A one-sided bound at 95 % is the lower end of the two-sided interval at 90 %."""
    two_sided = binomtest(correct, n).proportion_ci(2 * confidence - 1, method="wilson")
    assert stats.proportion_lower(correct, n, confidence) == pytest.approx(two_sided.low, abs=1e-12)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_a_proportion_that_cannot_be_is_refused(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= right <= rows and at least 1 row"):
        stats.proportion_lower(correct, n, 0.95)


# --- several tests at once ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("least", "expected"),
    [
        ([0.0] * 77, 0.05 / 77),  # Bonferroni
        ([0.0] * 3 + [0.02] * 40, 0.05 / 3),  # the forty cannot reach a third of the level
        ([0.0, 0.02, 0.5], 0.05 / 2),
        ([0.0, 0.025], 0.05 / 2),  # just reached is reached
        ([1.0], 0.05),
        ([], 0.05),
    ],
)
def test_a_level_is_shared_by_the_tests_that_can_reach_it(least: list[float], expected: float) -> None:
    assert stats.shared_level(least, 0.05) == expected


# --- latency --------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [1, 2, 10, 99, 100, 101, 700, 1500])
def test_a_quantile_is_the_order_statistic_and_lies_in_its_interval(share: float, n: int) -> None:
    samples = np.random.default_rng(n).lognormal(size=n)
    result = quantiles.quantile(samples, share)
    assert result.value_ms == np.quantile(samples, share, method="inverted_cdf")
    assert result.low_ms <= result.value_ms <= result.high_ms
    assert {result.low_ms, result.value_ms, result.high_ms} <= set(samples)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [368, 500, 720, 1500, 4500])
def test_the_interval_of_a_quantile_holds_it_19_times_in_20(share: float, n: int) -> None:
    """Exactly, for any distribution: the true quantile lies between ranks r and s when r <= Binomial(n, share) < s.

    Its upper end alone, which a gate looks at, is exceeded at most one time in 40.
    """
    result = quantiles.quantile(np.arange(1, n + 1, dtype=float), share)  # a sample that shows its own ranks
    low, high = int(result.low_ms), int(result.high_ms)
    assert 0 <= binom.ppf(0.025, n, share) - low <= 1  # hardly wider than it must be
    assert 0 <= high - 1 - binom.ppf(0.975, n, share) <= 2
    covered = binom.cdf(high - 1, n, share) - binom.cdf(low - 1, n, share)
    assert covered >= 0.95
    assert binom.sf(high - 1, n, share) <= 0.025


def test_the_interval_of_the_median_of_100_runs_from_the_40th_to_the_61st() -> None:
    """It holds the median in 96.5 % of samples; one rank less at each end, in 94.3 %."""
    result = quantiles.quantile(np.arange(1.0, 101.0), 0.5)
    assert result == Quantile(value_ms=50.0, low_ms=40.0, high_ms=61.0)
    assert [round(binom.cdf(59 + k, 100, 0.5) - binom.cdf(40 - k, 100, 0.5), 3) for k in (0, 1)] == [0.943, 0.965]


def test_the_fewest_samples_are_those_whose_largest_lies_above_the_quantile_39_times_in_40() -> None:
    assert (quantiles.fewest_samples(0.5), quantiles.fewest_samples(0.9), quantiles.fewest_samples(0.99)) == (
        6,
        36,
        368,
    )
    assert 0.99**368 <= 0.025 < 0.99**367


@pytest.mark.parametrize("samples", [[], [1.0, float("nan")], [1.0, float("inf")]])
def test_a_quantile_of_nothing_or_of_no_durations_is_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least 1 and finite durations only"):
        quantiles.quantile(np.array(samples), 0.5)


def test_spread_is_the_scaled_median_deviation_over_the_median() -> None:
    assert quantiles.spread(np.array([9.0, 10.0, 11.0, 10.0, 100.0])) == pytest.approx(1.4826 * 1.0 / 10.0)
    assert quantiles.spread(np.array([2.0, 2.0, 2.0])) == 0.0


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_spread_is_the_same_in_every_unit(unit: float) -> None:
    assert quantiles.spread(unit * np.array([9.0, 10.0, 11.0])) == pytest.approx(0.14826)


@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0], [float("nan"), 1.0]])
def test_a_spread_without_a_scale_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        quantiles.spread(np.array(values))


# --- ratios of paired rounds ----------------------------------------------------------------------


def test_a_ratio_is_the_median_over_rounds_with_the_bootstrap_of_whole_rounds() -> None:
    """Pinned: the middle 95 % of 2,000 medians, resampled from the seed."""
    mine = np.random.default_rng(5).lognormal(size=15)
    result = quantiles.paired_ratio(mine, np.ones(15))
    assert result == (1.1159503785679685, 0.45621989704377947, 1.5226393417143438)
    assert quantiles.paired_ratio(2 * mine, np.full(15, 2.0)) == result
    assert quantiles.paired_ratio(mine, np.ones(15), 0) == result
    assert quantiles.paired_ratio(mine, np.ones(15), 1) == (result[0], 0.4484619563586842, result[2])


@pytest.mark.parametrize("theirs", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ratio_to_no_duration_is_refused(theirs: float) -> None:
    with pytest.raises(
        ValueError, match="^found a duration that is not a positive number, expected positive durations only$"
    ):
        quantiles.paired_ratio(np.ones(2), np.array([1.0, theirs]))


def test_a_slow_second_of_the_machine_falls_out_of_the_ratio() -> None:
    base = np.linspace(1.0, 4.0, 20)
    assert quantiles.paired_ratio(base * 1.1, base) == pytest.approx((1.1, 1.1, 1.1))


def test_three_wild_rounds_of_twenty_do_not_move_a_ratio_far() -> None:
    base = np.ones(20)
    mine = np.where(np.arange(20) < 3, 9.0, 1.0 + np.arange(20) / 1000)
    value, low, high = quantiles.paired_ratio(mine, base)
    assert 1.0 < low <= value <= high < 1.02


@pytest.mark.slow
def test_the_interval_of_a_ratio_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    outside = 0
    for _ in range(400):
        common = rng.lognormal(0, 0.3, 20)
        mine, base = (common * rng.lognormal(0, 0.03, 20) for _ in range(2))
        _, low, high = quantiles.paired_ratio(mine * 1.05, base)
        outside += not low <= 1.05 <= high
    assert 400 * 0.02 <= outside <= 400 * 0.09, outside


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="expected positive durations only"):
        quantiles.paired_ratio(np.array([1.0, wrong]), np.ones(2))
    with pytest.raises(ValueError, match="expected one length"):
        quantiles.paired_ratio(np.ones(3), np.ones(2))


def test_a_test_that_can_just_reach_the_shared_level_takes_its_share() -> None:
    assert stats.shared_level([0.05, 0.01], 0.05) == 0.025


def test_a_p99_of_fewer_than_368_samples_is_not_given() -> None:
    enough = replace(measurement(1.0), samples=368)
    assert quantiles.p99_of(enough) == enough.p99
    assert quantiles.p99_of(replace(enough, samples=367)) is None
