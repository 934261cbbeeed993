"""Arithmetic of paired comparisons and order statistics. No I/O; standard library and numpy only.

b counts the rows that only the reference gets right, c those that only the candidate gets right.
A difference is candidate minus reference.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from parsimony.records import Quantile

_BISECTIONS = 80
_RESAMPLES = 2_000
_LARGEST_SET = 10_000_000


def z_of(confidence: float) -> float:
    """Return the one-sided normal quantile; confidence strictly between 0.5 and 1."""
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}, expected more than 0.5 and less than 1")
    return NormalDist().inv_cdf(confidence)


def paired_bounds(b: int, c: int, n: int, confidence: float) -> tuple[float, float]:
    """Return one-sided lower and upper bounds of the difference of two paired proportions.

    The score interval of Tango (1998), Statistics in Medicine 17:891; it keeps its level when few rows differ,
    where the Wald interval is too narrow.
    """
    if n <= 0 or b < 0 or c < 0 or b + c > n:
        raise ValueError(f"b={b}, c={c}, n={n}: expected 0 <= b + c <= n and n > 0")
    z = z_of(confidence)
    return -_largest_loss(b, c, n, z), _largest_loss(c, b, n, z)


def _largest_loss(b: int, c: int, n: int, z: float) -> float:
    """Return the largest loss (b - c) / n that a score test at z does not reject."""
    low, high = (b - c) / n, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _score(b, c, n, middle) > -z:
            low = middle
        else:
            high = middle
    return high


def _score(b: int, c: int, n: int, loss: float) -> float:
    """Return Tango's statistic for the hypothesis that the true loss is `loss`."""
    first = 2 * n
    second = -b - c + (2 * n - b + c) * loss
    third = -c * loss * (1 - loss)
    cell = (math.sqrt(max(second * second - 4 * first * third, 0.0)) - second) / (2 * first)
    variance = n * (2 * cell + loss * (1 - loss))
    if variance <= 0:
        return 0.0 if b - c == n * loss else math.copysign(math.inf, b - c - n * loss)
    return (b - c - n * loss) / math.sqrt(variance)


def rows_needed(b: int, c: int, n: int, margin: float, confidence: float) -> int | None:
    """Return about how many rows would certify these rates, or None when no number would.

    The rates of b and c are taken as true; a candidate that loses the margin or more is never certified.
    """
    if (b - c) / n >= margin:
        return None
    size = n
    while size < _LARGEST_SET:
        share = size / n
        if paired_bounds(round(b * share), round(c * share), size, confidence)[0] > -margin:
            return size
        size = math.ceil(size * 1.05) + 1
    return None


def smallest_margin(discordance: float, n: int, confidence: float) -> float:
    """Return the margin that a truly equal candidate can just be certified for.

    discordance: share of rows on which exactly one of the two is right.
    """
    half = round(discordance * n / 2)
    return -paired_bounds(half, half, n, confidence)[0]


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of rows predicted right; class numbers [rows] each."""
    if len(truth) == 0:
        raise ValueError("accuracy of zero rows is undefined")
    return float((truth == predicted).mean())


def macro_f1(truth: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Return the mean of the classes' F1; a class neither present nor predicted is left out."""
    if len(truth) == 0:
        raise ValueError("macro-F1 of zero rows is undefined")
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    total = np.bincount(truth, minlength=classes) + np.bincount(predicted, minlength=classes)
    present = total > 0
    return float((2 * hits[present] / total[present]).mean())


def macro_f1_bounds(
    truth: np.ndarray, reference: np.ndarray, candidate: np.ndarray, classes: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return one-sided bounds of the macro-F1 difference by a paired bootstrap over rows (2,000 resamples)."""
    chance = np.random.default_rng(seed)
    n = len(truth)
    differences = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        rows = chance.integers(0, n, n)
        differences[i] = macro_f1(truth[rows], candidate[rows], classes) - macro_f1(
            truth[rows], reference[rows], classes
        )
    low, high = np.quantile(differences, (1 - confidence, confidence))
    return float(low), float(high)


def macro_f1_lower(truth: np.ndarray, predicted: np.ndarray, classes: int, confidence: float, seed: int) -> float:
    """Return a one-sided lower bound of one macro-F1 by bootstrap over rows."""
    chance = np.random.default_rng(seed)
    samples = (chance.integers(0, len(truth), len(truth)) for _ in range(_RESAMPLES))
    values = [macro_f1(truth[rows], predicted[rows], classes) for rows in samples]
    return float(np.quantile(values, 1 - confidence))


def proportion_lower(correct: int, n: int, confidence: float) -> float:
    """Return Wilson's one-sided lower bound of a proportion (Wilson 1927)."""
    z = z_of(confidence)
    share = correct / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n)


def quantile(samples_ms: np.ndarray, share: float) -> Quantile:
    """Return an order statistic with its distribution-free 95 % interval from the binomial distribution.

    Where the sample is too small for the upper limit to exist, the largest sample stands there.
    """
    if len(samples_ms) == 0:
        raise ValueError("a quantile of zero samples is undefined")
    ordered = np.sort(samples_ms)
    n = len(ordered)
    half_width = 1.96 * math.sqrt(n * share * (1 - share))
    low, high = math.floor(n * share - half_width), math.ceil(n * share + half_width)
    pick = [float(ordered[min(max(i, 0), n - 1)]) for i in (math.ceil(n * share) - 1, low, high)]
    return Quantile(value_ms=pick[0], low_ms=min(pick[1], pick[0]), high_ms=max(pick[2], pick[0]))


def spread(values: np.ndarray) -> float:
    """Return the relative spread of repeated values: 1.4826 x median absolute deviation / median."""
    middle = float(np.median(values))
    if middle <= 0:
        raise ValueError(f"the median of the repeated values is {middle}, expected more than 0")
    return 1.4826 * float(np.median(np.abs(values - middle))) / middle
