"""Which bundle is called faster: none without a reason, and none on a machine that was disturbed."""

from __future__ import annotations

import numpy as np
import pytest

from parsimony.measurement import comparison
from parsimony.measurement.records import RatioVerdict


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
    assert comparison.verdict(low, high, floor) == expected


def test_nothing_is_said_of_an_untrusted_measurement() -> None:
    slow, base = np.full(20, 3.0), np.full(20, 1.0)
    assert comparison.ratio("base", slow, base, 0.02, trusted=True).verdict == "slower"
    ratio = comparison.ratio("base", slow, base, 0.02, trusted=False)
    assert (ratio.verdict, ratio.value, ratio.low, ratio.high, ratio.rounds) == ("inconclusive", 3.0, 3.0, 3.0, 20)


def test_the_noise_floor_reaches_as_far_as_the_controls_interval_and_is_never_below_two_percent() -> None:
    base = np.full(20, 1.0)
    assert comparison.noise_floor(base, base) == 0.02
    assert comparison.noise_floor(base, base * 1.07) == pytest.approx(0.07)
    assert comparison.noise_floor(base, base * 0.95) == pytest.approx(0.05)
