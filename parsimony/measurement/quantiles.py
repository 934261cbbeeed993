"""Arithmetic of latency samples: order statistics with their intervals, paired ratios, spread. numpy only."""

from __future__ import annotations

import math

import numpy as np

from parsimony.measurement.records import Measurement, Quantile

_RESAMPLES = 2_000


def p99_of(measurement: Measurement) -> Quantile | None:
    """Return the 99th percentile of a measurement, None with too few samples for its interval to have an upper end."""
    return measurement.p99 if measurement.samples >= fewest_samples(0.99) else None


def paired_ratio(mine: np.ndarray, theirs: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the median over rounds of mine / theirs, and its 95 % interval; positive values [rounds] each.

    A bootstrap of whole rounds (2,000 resamples), because what happens within one is no independent sample.
    """
    if mine.ndim != 1 or mine.shape != theirs.shape or not len(mine):
        raise ValueError(f"found shapes {mine.shape} and {theirs.shape}, expected one length of at least 1 round")
    if not ((mine > 0) & (theirs > 0) & np.isfinite(mine) & np.isfinite(theirs)).all():
        raise ValueError("found a duration that is not a positive number, expected positive durations only")
    each = mine / theirs
    picked = np.random.default_rng(seed).integers(0, len(each), (_RESAMPLES, len(each)))
    low, high = np.quantile(np.median(each[picked], axis=1), (0.025, 0.975))
    return float(np.median(each)), float(low), float(high)


def quantile(samples_ms: np.ndarray, share: float) -> Quantile:
    """Return an order statistic with its distribution-free 95 % interval from the binomial distribution.

    Where the sample is too small for the upper limit to exist, the largest sample stands there; see `fewest_samples`.
    """
    if len(samples_ms) == 0 or not np.isfinite(samples_ms).all():
        raise ValueError(f"{len(samples_ms)} samples, expected at least 1 and finite durations only")
    ordered = np.sort(samples_ms)
    n = len(ordered)
    half_width = 1.96 * math.sqrt(n * share * (1 - share))
    low, high = math.floor(n * share - half_width) - 1, math.ceil(n * share + half_width)
    pick = [float(ordered[min(max(i, 0), n - 1)]) for i in (math.ceil(n * share) - 1, low, high)]
    return Quantile(value_ms=pick[0], low_ms=pick[1], high_ms=pick[2])


def fewest_samples(share: float) -> int:
    """Return how many samples the upper limit of a quantile's 95 % interval needs: 368 for share 0.99.

    With fewer, all of them lie below the true quantile more than one time in 40.
    """
    return math.ceil(math.log(0.025) / math.log(share))


def spread(values: np.ndarray) -> float:
    """Return the relative spread of repeated values: 1.4826 x median absolute deviation / median."""
    middle = float(np.median(values))
    if not middle > 0:  # NaN too
        raise ValueError(f"the median of the repeated values is {middle}, expected more than 0")
    return 1.4826 * float(np.median(np.abs(values - middle))) / middle
