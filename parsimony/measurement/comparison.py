"""Which of two bundles is faster: the paired ratio of their medians on the same texts in the same rounds, and its verdict."""

from __future__ import annotations

import numpy as np

from parsimony.measurement import quantiles
from parsimony.measurement.records import Ratio, RatioVerdict

SMALLEST_FLOOR = 0.02
RESOLUTION = 0.05


def ratio(baseline: str, mine: np.ndarray, theirs: np.ndarray, floor: float, *, trusted: bool) -> Ratio:
    """Compare a bundle's medians with the baseline's, round by round; milliseconds [rounds] each.

    floor: the noise floor (see `noise_floor`). trusted: False when a measurement was unsteady or the machine
    disturbed, which makes every verdict inconclusive.
    """
    value, low, high = quantiles.paired_ratio(mine, theirs)
    return Ratio(
        baseline=baseline,
        value=value,
        low=low,
        high=high,
        rounds=len(mine),
        noise_floor=floor,
        verdict=verdict(low, high, floor) if trusted else "inconclusive",
    )


def verdict(low: float, high: float, floor: float) -> RatioVerdict:
    """Return the verdict of a ratio's interval: a difference only when all of it lies beyond the noise floor.

    "same" when all of it lies within 5 % of 1, and the floor too: this instrument need not find smaller differences.
    """
    if high < 1 - floor:
        return "faster"
    if low > 1 + floor:
        return "slower"
    return "same" if floor <= RESOLUTION and low > 1 - RESOLUTION and high < 1 + RESOLUTION else "inconclusive"


def noise_floor(baseline: np.ndarray, control: np.ndarray) -> float:
    """Return how far the interval of an A/A control's ratio reaches from 1, at least 2 %.

    The control is a second process with the baseline's bundle: every difference between the two is noise of this machine
    in these minutes. One control does not show every difference that processes can have, so the floor is at least 2 %.
    """
    _, low, high = quantiles.paired_ratio(control, baseline)
    return max(SMALLEST_FLOOR, 1 - low, high - 1)
