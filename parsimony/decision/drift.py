"""Whether recent texts differ from those of the training, judged by counts: how well they are distinguished, and what became more or less frequent.

A classifier that can tell on new texts where they come from proves that the two differ (a classifier two-sample test, Lopez-Paz and
Oquab 2017). With many texts every difference can be proven, so what counts is that they are distinguished in more cases than `limit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from parsimony.decision.exact_test import proportion_upper
from parsimony.errors import require

MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A word or a label whose share of the texts has changed, from `before` to `after`."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was seen: `right` of `rows` texts were distinguished, by the lower bound at least `distinguished`; half is chance."""

    rows: int
    right: int
    distinguished: float
    limit: float
    words: tuple[Moved, ...]
    labels: tuple[Moved, ...]

    def __post_init__(self) -> None:
        require(0 <= self.right <= self.rows, f"{self.right} of {self.rows} texts were distinguished")
        require(0.5 <= self.limit < 1.0, f"the limit is {self.limit}, expected at least 0.5 and less than 1")

    @property
    def has_drifted(self) -> bool:
        """Whether more texts are distinguished than the limit allows, proven."""
        return self.distinguished > self.limit


def distinguished(right: int, rows: int, confidence: float) -> float:
    """Return the one-sided lower bound of the share that is distinguished (Clopper and Pearson 1934)."""
    return 1.0 - proportion_upper(rows - right, rows, confidence)


def moved(
    before: Mapping[str, int], after: Mapping[str, int], rows: tuple[int, int], confidence: float
) -> tuple[Moved, ...]:
    """Return what has another share now, the largest change first, MOST_NAMED at most.

    before, after: in how many of the `rows` texts of either side each name occurs. By Fisher's exact test, twice the smaller tail; that
    any of the names has not really moved happens with a chance of at most 1 - confidence (Holm 1979).
    """
    names = sorted(before.keys() | after.keys())
    tables = {name: (before.get(name, 0), after.get(name, 0)) for name in names}
    log_factorials = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, sum(rows) + 1)))))
    chance = {name: _chance(*tables[name], rows, log_factorials) for name in names}
    proven = []
    for place, name in enumerate(sorted(names, key=chance.__getitem__)):
        if chance[name] * (len(names) - place) > 1 - confidence:
            break
        b, a = tables[name]
        proven.append(Moved(name=name, before=b / rows[0], after=a / rows[1]))
    return tuple(sorted(proven, key=lambda one: -abs(one.after - one.before))[:MOST_NAMED])


def _chance(before: int, after: int, rows: tuple[int, int], log_factorials: np.ndarray) -> float:
    """Return how likely so uneven counts are where nothing has moved: hypergeometric, given both counts together."""
    together = before + after
    counts = np.arange(max(0, together - rows[1]), min(together, rows[0]) + 1)
    ways = _log_ways(rows[0], counts, log_factorials) + _log_ways(rows[1], together - counts, log_factorials)
    chances = np.exp(ways - _log_ways(sum(rows), np.array([together]), log_factorials))
    return float(min(1.0, 2 * min(chances[counts <= before].sum(), chances[counts >= before].sum())))


def _log_ways(rows: int, count: np.ndarray, log_factorials: np.ndarray) -> np.ndarray:
    ways: np.ndarray = log_factorials[rows] - log_factorials[count] - log_factorials[rows - count]
    return ways
