"""Exact levels: the critical value of the paired test from all tables that a sample can give, and Clopper-Pearson.

Tango's score statistic is close to normal, but not where few rows differ: at its nominal critical value a truly worse
candidate is certified in up to 7 % of samples instead of 5 %. So the critical value is raised until the chance is at most
what was promised, whatever the discordance (an exact unconditional test, Barnard 1945; Chan 1998 for margins).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np

from parsimony.decision import stats

# Expected numbers of rows that only the candidate gets right. Beyond the last the statistic is as good as normal.
_FEWEST, _MOST, _STEPS = 0.01, 1_000.0, 80
_DEVIATIONS = 9.0
_SLACK = 1e-9
_BISECTIONS = 60

# What a table speaks for, against a true loss of just the margin: that less is lost, or that more is.
Claim = Literal["less", "more"]
_SIGNS: dict[Claim, int] = {"less": -1, "more": 1}


@lru_cache(maxsize=256)
def critical_value(n: int, margin: float, confidence: float, claim: Claim = "less") -> float:
    """Return the critical value at which n rows, of which truly `margin` is lost, pass for the claim.

    That happens with a chance of at most 1 - confidence. Infinite, so that nothing is claimed, when the margin is no
    number. It is never below the normal quantile. Exact up to the grid of nuisance parameters: the expected number of
    rows that only the candidate gets right, 0, 80 values from 0.01 to 1,000 and the most there can be.
    """
    return _critical_value(n, margin, confidence, claim)


# A function of its own, without the cache, because `make mutate` leaves functions with a decorator as they are.
def _critical_value(n: int, margin: float, confidence: float, claim: Claim) -> float:
    if np.isnan(margin):
        return np.inf
    if n <= 0 or not 0.0 < margin < 1.0:
        raise ValueError(f"n={n}, margin={margin}: expected rows and a margin between 0 and 1")
    nominal = stats.z_of(confidence)
    wins = np.concatenate(([0.0], np.geomspace(_FEWEST, _MOST, _STEPS)))
    most = n * (1 - margin) / 2
    wins = np.append(wins[wins <= most], most)
    largest = max(_critical_at(n, margin, float(w) / n, confidence, claim) for w in wins)
    return max(nominal, largest * (1 + _SLACK))  # the table that gives just this statistic is not certified


def _critical_at(n: int, margin: float, gain: float, confidence: float, claim: Claim) -> float:
    """Return the largest statistic that may not be rejected when the candidate alone is right on a share `gain`.

    Rejecting above it has at most the chance 1 - confidence; the candidate truly loses `margin`. Minus infinity where even
    the normal quantile has no greater chance: only tables beyond it are looked at.
    """
    b, c = np.meshgrid(_likely(n, gain + margin), _likely(n, gain))
    possible = b + c <= n
    b, c = b[possible], c[possible]
    statistic = _SIGNS[claim] * scores(b, c, n, margin)
    extreme = statistic > stats.z_of(confidence)
    b, c, statistic = b[extreme], c[extreme], statistic[extreme]
    order = np.argsort(-statistic)
    rejected = np.cumsum(np.exp(_log_chance(b, c, n, gain + margin, gain))[order])
    too_often = rejected > 1 - confidence + _SLACK
    return float(statistic[order][np.argmax(too_often)]) if too_often.any() else -np.inf


def scores(b: np.ndarray, c: np.ndarray, n: int, loss: float) -> np.ndarray:
    """Return `stats.score` of many tables at once; arrays of counts of one shape, loss between 0 and 1."""
    second = -b - c + (2 * n - b + c) * loss
    cell = (np.sqrt(second * second + 8 * n * c * loss * (1 - loss)) - second) / (4 * n)
    statistics: np.ndarray = (b - c - n * loss) / np.sqrt(n * (2 * cell + loss * (1 - loss)))
    return statistics


def least_level(n: int, margin: float) -> float:
    """Return the smallest level at which n rows can speak for a greater loss than `margin`: when every row is lost.

    That happens by chance most often when every row is discordant; the critical value is never below the normal quantile.
    """
    return max(((1 + margin) / 2) ** n, NormalDist().cdf(-stats.score(n, 0, n, margin)))


def proportion_upper(correct: int, n: int, confidence: float) -> float:
    """Return the one-sided upper bound of a proportion by Clopper and Pearson (1934): never wrong too often."""
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} right: expected 0 <= right <= rows and at least 1 row")
    counts = np.arange(correct + 1)
    low, high = correct / n, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        chance = np.exp(_log_chance(counts, 0 * counts, n, middle, 0.0)).sum()
        low, high = (middle, high) if chance > 1 - confidence else (low, middle)
    return high


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
