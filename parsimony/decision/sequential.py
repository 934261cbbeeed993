"""Whether a share has fallen below what was promised: a test that may be looked at as often as one likes.

Someone bets against the promise, one row after another. As long as the promise holds, no way of betting makes the stake grow on
average, so by Ville's inequality it ever reaches 1 / level with a chance of at most `level`: every look together, not each look
(Waudby-Smith and Ramdas 2024, Journal of the Royal Statistical Society B 86:1). The stake is spread evenly over fixed bets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from parsimony.errors import require

# Shares of the largest bet that cannot lose more than the stake.
_BETS = np.arange(1, 20) / 20
_BISECTIONS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What was seen of a promise: `right` of `rows`, and the least share that was promised.

    `evidence` is the largest stake that there was, of 1 at first; `most` the share that is not exceeded, by all rows together.
    """

    rows: int
    right: int
    promised: float
    confidence: float
    evidence: float
    most: float

    def __post_init__(self) -> None:
        require(0 <= self.right <= self.rows, f"{self.right} of {self.rows} rows are right")
        require(0.0 < self.promised < 1.0, f"a share of {self.promised} was promised, expected between 0 and 1")

    @property
    def has_fallen(self) -> bool:
        """Whether the promise is refuted."""
        return self.evidence >= 1 / (1 - self.confidence)

    @property
    def share(self) -> float | None:
        """The share of the rows that are right; None without rows."""
        return self.right / self.rows if self.rows else None


def watch(correct: np.ndarray, promised: float, confidence: float) -> Watched:
    """Look at rows in the order in which they came, bool [rows]; what was seen once stays seen.

    promised: the least share of right rows, between 0 and 1. Raises ValueError for a share or a confidence outside.
    """
    if not (0.0 < promised < 1.0 and 0.5 < confidence < 1.0):
        raise ValueError(
            f"promised {promised}, confidence {confidence}: expected shares below 1, a confidence above 0.5"
        )
    log_evidence = _largest(correct, promised)
    return Watched(
        rows=len(correct),
        right=int(np.count_nonzero(correct)),
        promised=promised,
        confidence=confidence,
        evidence=math.exp(min(log_evidence, 700.0)),
        most=_most(correct, confidence),
    )


def _largest(correct: np.ndarray, promised: float) -> float:
    """Return the logarithm of the largest stake after any number of rows, 0.0 before the first."""
    right = np.cumsum(correct)
    wrong = np.arange(1, len(correct) + 1) - right
    return float(max(0.0, _log_stakes(right, wrong, promised).max(initial=0.0)))


def _log_stakes(right: np.ndarray, wrong: np.ndarray, promised: float) -> np.ndarray:
    """Return the logarithm of the stake after so many right and wrong rows, each float [looks]."""
    bets = _BETS / (1 - promised)  # one right row leaves at least a twentieth of the stake
    each = np.outer(right, np.log1p(-bets * (1 - promised))) + np.outer(wrong, np.log1p(bets * promised))
    stakes: np.ndarray = np.logaddexp.reduce(each, axis=1) - math.log(len(bets))
    return stakes


def _most(correct: np.ndarray, confidence: float) -> float:
    """Return the smallest share that all rows together refute, 1.0 where they refute none."""
    if not len(correct):
        return 1.0
    right = np.array([np.count_nonzero(correct)])
    level, low, high = -math.log(1 - confidence), 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if _log_stakes(right, len(correct) - right, middle)[0] >= level else (middle, high)
    return high
