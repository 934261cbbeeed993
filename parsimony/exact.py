"""The exact level of the paired test: its critical value from all tables that a sample can give.

Tango's score statistic is close to normal, but not where few rows differ: at its nominal critical value a truly worse
candidate is certified in up to 7 % of samples instead of 5 %. So the critical value is raised until the chance is at most
what was promised, whatever share of rows is apart (an exact unconditional test, Barnard 1945; Chan 1998 for margins).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from parsimony import stats

# Expected numbers of rows that only the candidate gets right. Beyond the last the statistic is as good as normal.
_FEWEST, _MOST, _STEPS = 0.01, 1_000.0, 80
_DEVIATIONS = 9.0
_SLACK = 1e-9


@lru_cache(maxsize=256)
def critical_value(n: int, margin: float, confidence: float) -> float:
    """Return the critical value at which n rows certify a true loss of `margin` with at most 1 - confidence.

    Infinite, so that nothing is certified, when the margin is no number. It is never below the normal quantile. Exact up to the grid of nuisance parameters: the expected number of rows that
    only the candidate gets right, 0 and 80 values from 0.01 to 1,000.
    """
    return _critical_value(n, margin, confidence)


def _critical_value(n: int, margin: float, confidence: float) -> float:
    if np.isnan(margin):
        return np.inf
    if n <= 0 or not 0.0 < margin < 1.0:
        raise ValueError(f"n={n}, margin={margin}: expected rows and a margin between 0 and 1")
    nominal = stats.z_of(confidence)
    wins = np.concatenate(([0.0], np.geomspace(_FEWEST, _MOST, _STEPS)))
    wins = wins[wins <= n * (1 - margin) / 2]
    largest = max(_critical_at(n, margin, float(w) / n, 1 - confidence) for w in wins)
    return max(nominal, largest * (1 + _SLACK))  # the table that gives just this statistic is not certified


def _critical_at(n: int, margin: float, gain: float, level: float) -> float:
    """Return the largest statistic that may not be rejected when the candidate alone is right on a share `gain`.

    Rejecting above it has at most the chance `level`; the candidate truly loses `margin`.
    """
    b, c = np.meshgrid(_likely(n, gain + margin), _likely(n, gain))
    possible = b + c <= n
    b, c = b[possible], c[possible]
    chance = np.exp(_log_chance(b, c, n, gain + margin, gain))
    statistic = -scores(b, c, n, margin)
    order = np.argsort(-statistic)
    rejected = np.cumsum(chance[order])
    return float(statistic[order][np.argmax(rejected > level + _SLACK)])


def scores(b: np.ndarray, c: np.ndarray, n: int, loss: float) -> np.ndarray:
    """Return `stats.score` of many tables at once; arrays of counts of one shape, loss between 0 and 1."""
    second = -b - c + (2 * n - b + c) * loss
    cell = (np.sqrt(second * second + 8 * n * c * loss * (1 - loss)) - second) / (4 * n)
    found: np.ndarray = (b - c - n * loss) / np.sqrt(n * (2 * cell + loss * (1 - loss)))
    return found


def _likely(n: int, share: float) -> np.ndarray:
    """Return the counts that a binomial number takes but for a negligible chance."""
    spread = _DEVIATIONS * (n * share * (1 - share)) ** 0.5 + _DEVIATIONS
    return np.arange(max(0, int(n * share - spread)), min(n, int(n * share + spread)) + 1)


def _log_chance(b: np.ndarray, c: np.ndarray, n: int, loss: float, gain: float) -> np.ndarray:
    """Return the logarithm of the trinomial chance of each table."""
    factorial = np.concatenate(([0.0], np.cumsum(np.log1p(np.arange(n)))))
    rest = n - b - c
    result: np.ndarray = factorial[n] - factorial[b] - factorial[c] - factorial[rest]
    for count, share in ((b, loss), (c, gain), (rest, 1 - loss - gain)):
        result = result + (count * math.log(share) if share > 0 else np.where(count > 0, -np.inf, 0.0))
    return result
