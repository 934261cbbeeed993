"""Who is faster, by paired rounds: the ratio of two medians on the same texts in the same seconds, and its verdict."""

from __future__ import annotations

import numpy as np

from parsimony import stats
from parsimony.records import Ratio, RatioVerdict

SMALLEST_FLOOR = 0.02
RESOLUTION = 0.05


def ratio(base_line: str, mine: np.ndarray, theirs: np.ndarray, floor: float, *, trusted: bool) -> Ratio:
    """Compare a bundle's medians with the base line's, round by round; milliseconds [rounds] each.

    floor: the noise floor (see `noise_floor`). trusted: False when a measurement was unsteady or the machine
    disturbed, which makes every verdict inconclusive.
    """
    value, low, high = stats.paired_ratio(mine, theirs)
    return Ratio(
        base_line=base_line,
        value=value,
        low=low,
        high=high,
        rounds=len(mine),
        noise_floor=floor,
        verdict=verdict(low, high, floor) if trusted else "inconclusive",
    )


def verdict(low: float, high: float, floor: float) -> RatioVerdict:
    """Return what an interval of a ratio says: a difference only when all of it lies beyond the noise floor.

    "same" when all of it lies within 5 % of 1, and the floor too: what is smaller this instrument need not find.
    """
    if high < 1 - floor:
        return "faster"
    if low > 1 + floor:
        return "slower"
    return "same" if floor <= RESOLUTION and low > 1 - RESOLUTION and high < 1 + RESOLUTION else "inconclusive"


def noise_floor(base_line: np.ndarray, twin: np.ndarray) -> float:
    """Return how far the interval of a twin's ratio reaches from 1, at least 2 %.

    The twin is a second process with the base line's bundle: whatever sets the two apart is noise of this machine in
    these minutes. One twin does not show all that processes can differ by, so the floor is never lower than 2 %.
    """
    _, low, high = stats.paired_ratio(twin, base_line)
    return max(SMALLEST_FLOOR, 1 - low, high - 1)
