"""Arithmetic of paired comparisons and order statistics. No I/O; standard library and numpy only.

b counts the rows that only the reference gets right, c those that only the candidate gets right.
A difference is candidate minus reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

_BISECTIONS = 80
_RESAMPLES = 2_000
_LARGEST_SET = 10_000_000


def z_of(confidence: float) -> float:
    """Return the one-sided normal quantile; confidence strictly between 0.5 and 1."""
    if not 0.5 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}, expected more than 0.5 and less than 1")
    return NormalDist().inv_cdf(confidence)


def paired_bounds(b: int, c: int, n: int, confidence: float, critical: float | None = None) -> tuple[float, float]:
    """Return one-sided lower and upper bounds of the difference of two paired proportions.

    The score interval of Tango (1998), Statistics in Medicine 17:891; close to its level where few rows differ and the
    Wald interval is far too narrow. `critical` replaces the normal quantile in the lower bound, which is the one that
    certifies (see `exact.critical_value`); by the quantile alone, a bound at confidence 0.95 is wrong in up to 7 % of
    samples.
    """
    if n <= 0 or b < 0 or c < 0 or b + c > n:
        raise ValueError(f"b={b}, c={c}, n={n}: expected 0 <= b + c <= n and n > 0")
    z = z_of(confidence)
    return -_largest_loss(b, c, n, z if critical is None else critical), _largest_loss(c, b, n, z)


def _largest_loss(b: float, c: float, n: int, z: float) -> float:
    """Return the largest loss (b - c) / n that a score test at z does not reject."""
    low, high = (b - c) / n, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if score(b, c, n, middle) > -z:
            low = middle
        else:
            high = middle
    return high


def score(b: float, c: float, n: int, loss: float) -> float:
    """Return Tango's statistic for the hypothesis that the true loss is `loss`; negative where less is lost."""
    first = 2 * n
    second = -b - c + (2 * n - b + c) * loss
    third = -c * loss * (1 - loss)
    cell = (math.sqrt(max(second * second - 4 * first * third, 0.0)) - second) / (2 * first)
    variance = n * (2 * cell + loss * (1 - loss))
    gap = b - c - n * loss
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)


def rows_needed(b: int, c: int, n: int, margin: float, confidence: float) -> int | None:
    """Return about how many rows would certify these rates, or None when no number would.

    The rates of b and c are taken as true; a candidate that loses the margin or more is never certified. On that many
    rows a candidate of just these rates is certified about every second time.
    """
    z = z_of(confidence)

    def certified(size: int) -> bool:
        return _largest_loss(b * size / n, c * size / n, size, z) < margin

    if not certified(_LARGEST_SET):
        return None
    if certified(n):
        return n
    too_few, enough = n, _LARGEST_SET
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if certified(middle) else (middle, enough)
    return enough


def needed_for(n: int, gap: float, room: float) -> int | None:
    """Return about how many observations bring a bound `gap` away from its estimate within `room`; None for no room.

    The distance of a bound shrinks with the square root of the number of observations, n of which gave `gap`.
    """
    if not room > 0:
        return None
    return max(n + 1, math.ceil(n * (gap / room) ** 2))


def smallest_margin(discordance: float, n: int, confidence: float) -> float:
    """Return the margin that a truly equal candidate can just be certified for.

    discordance: share of rows on which exactly one of the two is right.
    """
    if not 0.0 <= discordance <= 1.0:
        raise ValueError(f"the discordance is {discordance}, expected a share from 0 to 1")
    half = min(round(discordance * n / 2), n // 2)
    return -paired_bounds(half, half, n, confidence)[0]


def _require_rows(*columns: np.ndarray) -> None:
    """Refuse columns that are empty or of different lengths; numpy would stretch one of length 1 over all rows."""
    shapes = [column.shape for column in columns]
    if len(set(shapes)) != 1 or len(shapes[0]) != 1 or shapes[0][0] == 0:
        raise ValueError(f"found columns of shapes {shapes}, expected one length of at least 1 row")


def discordant(truth: np.ndarray, reference: np.ndarray, candidate: np.ndarray) -> tuple[int, int]:
    """Return (b, c): how many rows only the reference and how many only the candidate gets right."""
    _require_rows(truth, reference, candidate)
    by_reference, by_candidate = truth == reference, truth == candidate
    return int((by_reference & ~by_candidate).sum()), int((by_candidate & ~by_reference).sum())


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of rows predicted right; class numbers [rows] each."""
    _require_rows(truth, predicted)
    return float((truth == predicted).mean())


def macro_f1(truth: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Return the mean of the classes' F1; a class neither present nor predicted is left out."""
    _require_rows(truth, predicted)
    if (largest := int(max(truth.max(), predicted.max()))) >= classes:
        raise ValueError(f"found class number {largest}, expected less than {classes}")
    hits = np.bincount(truth[truth == predicted], minlength=classes)
    total = np.bincount(truth, minlength=classes) + np.bincount(predicted, minlength=classes)
    present = total > 0
    return float((2 * hits[present] / total[present]).mean())


def macro_f1_bounds(
    truth: np.ndarray, reference: np.ndarray, candidate: np.ndarray, classes: int, confidence: float, seed: int
) -> tuple[float, float]:
    """Return one-sided bounds of the macro-F1 difference by a paired bootstrap over rows (2,000 resamples).

    A bootstrap cannot see what the sample does not hold: with no discordant row it would be certain. So neither bound lies
    nearer to the estimate than the score interval's bound of the accuracy difference does to its own.
    """
    b, c = discordant(truth, reference, candidate)
    rng = np.random.default_rng(seed)
    n = len(truth)
    differences = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        rows = rng.integers(0, n, n)
        differences[i] = macro_f1(truth[rows], candidate[rows], classes) - macro_f1(
            truth[rows], reference[rows], classes
        )
    low, high = np.quantile(differences, (1 - confidence, confidence))
    estimate = macro_f1(truth, candidate, classes) - macro_f1(truth, reference, classes)
    least, most = (bound - (c - b) / n for bound in paired_bounds(b, c, n, confidence))
    return min(float(low), estimate + least), max(float(high), estimate + most)


def macro_f1_lower(truth: np.ndarray, predicted: np.ndarray, classes: int, confidence: float, seed: int) -> float:
    """Return a one-sided lower bound of one macro-F1 by bootstrap over rows (2,000 resamples).

    It lies no nearer to the estimate than Wilson's bound of the accuracy does to its own.
    """
    _require_rows(truth, predicted)
    rng = np.random.default_rng(seed)
    samples = (rng.integers(0, len(truth), len(truth)) for _ in range(_RESAMPLES))
    values = [macro_f1(truth[rows], predicted[rows], classes) for rows in samples]
    correct, n = int((truth == predicted).sum()), len(truth)
    gap = correct / n - proportion_lower(correct, n, confidence)
    return min(float(np.quantile(values, 1 - confidence)), macro_f1(truth, predicted, classes) - gap)


def proportion_lower(correct: int, n: int, confidence: float) -> float:
    """Return Wilson's one-sided lower bound of a proportion (Wilson 1927)."""
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} right: expected 0 <= right <= rows and at least 1 row")
    z = z_of(confidence)
    share = correct / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n)


def shared_level(least: Sequence[float], level: float) -> float:
    """Return the level of each of several tests at which any of them errs with at most the chance `level`.

    least: the smallest chance that each test can find under its own hypothesis. A test that cannot reach the shared
    level never errs at it and takes no share of it (Tarone 1990, Biometrics 46:515); without such tests this is
    Bonferroni's level / number of tests.
    """
    count = 1
    while sum(chance <= level / count for chance in least) > count:
        count += 1
    return level / count
