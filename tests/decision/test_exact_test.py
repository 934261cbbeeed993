"""The critical value keeps its level in every world that is enumerated, and is no larger than that takes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, multinomial, norm

from parsimony.decision import exact_test, stats


def false_certificates(n: int, margin: float, gain: float, critical: float) -> float:
    """Return how often a candidate that truly loses the margin is certified: every table of n rows, one by one."""
    tables = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)])
    certified = -exact_test.scores(tables[:, 0], tables[:, 1], n, margin) > critical
    cells = np.column_stack((tables, n - tables.sum(1)))
    return float(multinomial.pmf(cells[certified], n, [gain + margin, gain, 1 - 2 * gain - margin]).sum())


def test_many_statistics_at_once_are_those_of_one_by_one() -> None:
    tables = np.array([(0, 0), (1, 0), (0, 1), (7, 1), (13, 3), (21, 0), (0, 21)])
    for loss in (0.001, 0.01, 0.2):
        single = [stats.score(int(b), int(c), 21, loss) for b, c in tables]
        np.testing.assert_allclose(exact_test.scores(tables[:, 0], tables[:, 1], 21, loss), single, rtol=1e-12)


@pytest.mark.parametrize(("n", "margin"), [(60, 0.05), (58, 0.05), (90, 0.03), (45, 0.1)])
def test_no_share_of_rows_apart_gives_more_false_certificates_than_promised(n: int, margin: float) -> None:
    critical = exact_test.critical_value(n, margin, 0.95)
    shares = [false_certificates(n, margin, gain, critical) for gain in (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.4)]
    assert max(shares) <= 0.0502  # between the grid's points the chance may rise by so much
    assert max(shares) > 0.035


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "margin"), [(60, 0.05), (20, 0.2), (30, 0.1), (50, 0.2), (7, 0.3), (5, 0.5), (268, 0.01)]
)
def test_it_is_the_smallest_that_keeps_the_level_at_every_point_of_the_grid(n: int, margin: float) -> None:
    """Every table of n rows with scipy's chances, none left out as unlikely, at the points that the docstring names."""
    tables = np.array([(b, c) for b in range(n + 1) for c in range(n + 1 - b)])
    statistic = -exact_test.scores(tables[:, 0], tables[:, 1], n, margin)
    order = np.argsort(statistic)[::-1]
    cells = np.column_stack((tables, n - tables.sum(1)))[order]
    most = n * (1 - margin) / 2
    points = [*(w for w in (0.0, *np.geomspace(0.01, 1000.0, 80)) if w <= most), most]
    shares = [(w / n + margin, w / n, max(0.0, 1 - 2 * w / n - margin)) for w in points]
    rejected = [np.cumsum(multinomial.pmf(cells, n, share)) for share in shares]
    largest = max(statistic[order][np.flatnonzero(sums > 0.05 + 1e-9)[0]] for sums in rejected)
    assert exact_test.critical_value(n, margin, 0.95) == pytest.approx(max(largest, float(norm.ppf(0.95))), rel=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "margin", "value"),
    [(3080, 0.01, 1.645536013197067), (1821, 0.02, 1.649908471616434), (650, 0.03, 1.6476096128336402)],
)
def test_on_many_rows_it_lies_hardly_above_the_normal_quantile(n: int, margin: float, value: float) -> None:
    """Pinned, with the grid as it is; five times as many points raise it by less than 0.003."""
    assert exact_test.critical_value(n, margin, 0.95) == pytest.approx(value, rel=1e-12)


def test_rows_without_a_loss_certify_from_the_number_on_that_the_promise_takes() -> None:
    """The chance of no loss in n rows is (1 - margin)^n: 0.05003 in 298, 0.0495 in 299; just 0.05 in 1 at a margin of 0.95."""
    assert 0.99**299 < 0.05 < 0.99**298
    for n, margin, certified in ((298, 0.01, False), (299, 0.01, True), (1, 0.95, True), (1, 0.94, False)):
        bound = stats.paired_bounds(0, 0, n, 0.95, exact_test.critical_value(n, margin, 0.95))[0]
        assert (bound > -margin) is certified, (n, margin)


@pytest.mark.slow
def test_the_level_is_kept_where_every_row_is_apart() -> None:
    """The end of the grid: the candidate alone is right on 1,000 of 8,000 rows, the reference alone on all others."""
    n, margin = 8_000, 0.75
    wins = np.arange(n + 1)
    certified = -exact_test.scores(n - wins, wins, n, margin) > exact_test.critical_value(n, margin, 0.95)
    assert 0.045 < binom.pmf(wins[certified], n, (1 - margin) / 2).sum() <= 0.05


@pytest.mark.parametrize(
    ("n", "share", "first", "last"),
    [(10_000, 0.3, 2578, 3421), (10_000, 0.001, 0, 47), (10_000, 0.999, 9952, 10_000), (3, 0.5, 0, 3)],
)
def test_counts_are_left_out_only_beyond_nine_deviations_and_nine_rows_of_the_expected(
    n: int, share: float, first: int, last: int
) -> None:
    np.testing.assert_array_equal(exact_test._likely(n, share), np.arange(first, last + 1))
    assert binom.cdf(first - 1, n, share) + binom.sf(last, n, share) < 1e-12


def test_the_nominal_value_does_not_keep_its_level_where_the_exact_one_does() -> None:
    """268 rows without a discordant one: by the normal quantile certified, and with a true loss of 1 % in 6.8 % of samples."""
    z = float(norm.ppf(0.95))
    assert stats.paired_bounds(0, 0, 268, 0.95)[0] > -0.01
    critical = exact_test.critical_value(268, 0.01, 0.95)
    assert critical > z
    assert stats.paired_bounds(0, 0, 268, 0.95, critical)[0] < -0.01
    assert 0.99**268 > 0.06
    assert stats.paired_bounds(0, 0, 299, 0.95, exact_test.critical_value(299, 0.01, 0.95))[0] > -0.01
    assert 0.99**299 < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("n", "margin", "confidence"), [(3080, 0.01, 0.95), (10_000, 0.02, 0.95), (3000, 0.01, 0.99)])
def test_with_many_rows_it_comes_near_the_normal_quantile(n: int, margin: float, confidence: float) -> None:
    nominal = float(norm.ppf(confidence))
    assert pytest.approx(exact_test.critical_value(n, margin, confidence) / nominal, abs=0.005) == 1.0


def test_the_upper_bound_keeps_the_quantile() -> None:
    assert stats.paired_bounds(9, 4, 300, 0.95, 2.5)[1] == stats.paired_bounds(9, 4, 300, 0.95)[1]
    assert stats.paired_bounds(9, 4, 300, 0.95, 2.5)[0] < stats.paired_bounds(9, 4, 300, 0.95)[0]


@pytest.mark.parametrize(("n", "margin"), [(0, 0.01), (10, 0.0), (10, 1.0)])
def test_no_rows_or_no_margin_is_refused(n: int, margin: float) -> None:
    with pytest.raises(ValueError, match="expected rows and a margin between 0 and 1"):
        exact_test.critical_value(n, margin, 0.95)


def test_one_row_can_be_tested_and_never_certifies() -> None:
    critical = exact_test.critical_value(1, 0.01, 0.95)
    assert stats.paired_bounds(0, 0, 1, 0.95, critical)[0] < -0.01


# --- the other claim, and proportions -------------------------------------------------------------


def test_a_claim_of_harm_needs_more_than_the_normal_quantile_where_it_must() -> None:
    """At 1 in 1,540 the normal quantile would find harm up to 3 times too often on 200 rows."""
    level = 0.05 / 77
    tables = np.array([(b, c) for b in range(201) for c in range(201 - b)])
    cells = np.column_stack((tables, 200 - tables.sum(1)))
    observed = exact_test.scores(tables[:, 0], tables[:, 1], 200, 0.1)

    def harmed(critical: float) -> float:
        return float(multinomial.pmf(cells[observed > critical], 200, [0.1, 0.0, 0.9]).sum())

    assert harmed(float(norm.isf(level))) > 2 * level
    assert harmed(exact_test.critical_value(200, 0.1, 1 - level, "more")) <= level


@pytest.mark.parametrize(("n", "margin"), [(5, 0.05), (3, 0.3), (13, 0.1), (40, 0.1)])
def test_below_the_least_level_not_even_the_loss_of_every_row_is_harm_and_above_it_is(n: int, margin: float) -> None:
    """The worst world is one where every row is discordant: (1 + margin) / 2 of them lost, the others won."""
    least, top = exact_test.least_level(n, margin), stats.score(n, 0, n, margin)
    assert least == pytest.approx(max(((1 + margin) / 2) ** n, float(norm.sf(top))), rel=1e-6)
    assert exact_test.critical_value(n, margin, 1 - least * 0.999, "more") >= top
    assert exact_test.critical_value(n, margin, 1 - least * 1.001, "more") < top


def test_with_a_margin_of_one_nothing_is_harm() -> None:
    assert exact_test.least_level(1_000, 1.0) == 1.0


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 40), (8, 10), (39, 40), (700, 1000), (1000, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.9994])
def test_the_upper_bound_of_a_proportion_is_that_of_clopper_and_pearson(
    correct: int, n: int, confidence: float
) -> None:
    two_sided = binomtest(correct, n).proportion_ci(2 * confidence - 1, method="exact")
    assert exact_test.proportion_upper(correct, n, confidence) == pytest.approx(two_sided.high, abs=1e-9)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_a_proportion_that_cannot_be_is_refused(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= right <= rows and at least 1 row"):
        exact_test.proportion_upper(correct, n, 0.95)
