"""Who is called faster: nobody without a reason, and nobody on a machine that was disturbed."""

from __future__ import annotations

import numpy as np
import pytest

from parsimony import ratios, stats
from parsimony.records import RatioVerdict


@pytest.mark.parametrize(
    ("low", "high", "floor", "expected"),
    [
        (0.90, 0.97, 0.02, "faster"),
        (0.90, 0.981, 0.02, "inconclusive"),
        (1.03, 1.04, 0.02, "slower"),
        (1.03, 1.04, 0.035, "same"),
        (1.03, 1.06, 0.035, "inconclusive"),
        (0.96, 1.04, 0.02, "same"),
        (0.94, 1.04, 0.02, "inconclusive"),
        (0.99, 1.01, 0.08, "inconclusive"),
        (1.20, 1.30, 0.08, "slower"),
    ],
)
def test_a_difference_lies_wholly_beyond_the_noise_floor(
    low: float, high: float, floor: float, expected: RatioVerdict
) -> None:
    assert ratios.verdict(low, high, floor) == expected


def test_nothing_is_said_of_an_untrusted_measurement() -> None:
    slow, base = np.full(20, 3.0), np.full(20, 1.0)
    assert ratios.ratio("base", slow, base, 0.02, trusted=True).verdict == "slower"
    found = ratios.ratio("base", slow, base, 0.02, trusted=False)
    assert (found.verdict, found.value, found.low, found.high, found.rounds) == ("inconclusive", 3.0, 3.0, 3.0, 20)


def test_the_noise_floor_reaches_as_far_as_the_twins_interval_and_is_never_below_two_percent() -> None:
    base = np.full(20, 1.0)
    assert ratios.noise_floor(base, base) == 0.02
    assert ratios.noise_floor(base, base * 1.07) == pytest.approx(0.07)
    assert ratios.noise_floor(base, base * 0.95) == pytest.approx(0.05)


def test_a_slow_second_of_the_machine_falls_out_of_the_ratio() -> None:
    base = np.linspace(1.0, 4.0, 20)
    assert stats.paired_ratio(base * 1.1, base) == pytest.approx((1.1, 1.1, 1.1))


def test_three_wild_rounds_of_twenty_do_not_move_a_ratio_far() -> None:
    base = np.ones(20)
    mine = np.where(np.arange(20) < 3, 9.0, 1.0 + np.arange(20) / 1000)
    value, low, high = stats.paired_ratio(mine, base)
    assert 1.0 < low <= value <= high < 1.02


def test_the_interval_of_a_ratio_holds_the_truth_nineteen_times_in_twenty() -> None:
    chance = np.random.default_rng(0)
    outside = 0
    for _ in range(400):
        common = chance.lognormal(0, 0.3, 20)
        mine, base = (common * chance.lognormal(0, 0.03, 20) for _ in range(2))
        _, low, high = stats.paired_ratio(mine * 1.05, base)
        outside += not low <= 1.05 <= high
    assert 400 * 0.02 <= outside <= 400 * 0.09, outside


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="expected positive durations only"):
        stats.paired_ratio(np.array([1.0, wrong]), np.ones(2))
    with pytest.raises(ValueError, match="expected one length"):
        stats.paired_ratio(np.ones(3), np.ones(2))
