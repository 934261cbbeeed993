"""What a suite of trials gives: how many were made, what went wrong with the seed that repeats it, and what that bounds."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CONFIDENCE = 0.95
# The names of the suites on the command line: those on a registry, and those on files alone.
ON_A_REGISTRY = (
    "stops", "kills", "calls", "crowd2", "crowd8", "crowd32", "tampering", "secrets", "rollback", "runs",
)  # fmt: skip
ON_FILES = ("bundles", "tables", "graphs", "bases", "turns")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The trials of one suite: how many, how many a whole storm has, what went wrong (each with its seed), seconds, a remark."""

    name: str
    trials: int
    whole: int
    violations: tuple[str, ...]
    seconds: float
    remark: str = ""

    @property
    def upper_bound(self) -> float:
        """The highest rate of violations that this many trials leave possible at 95 % (Clopper and Pearson 1934, one-sided)."""
        return upper_bound(len(self.violations), self.trials)


def upper_bound(violations: int, trials: int) -> float:
    """Return the one-sided exact upper bound of a rate; 1 without a trial. Without a violation it is close to 3/n."""
    if violations >= trials:
        return 1.0
    if violations == 0:
        return -math.expm1(math.log1p(-CONFIDENCE) / trials)
    from scipy.stats import beta

    return float(beta.ppf(CONFIDENCE, violations + 1, trials - violations))


@dataclass(slots=True, kw_only=True)
class Tally:
    """A suite in progress."""

    name: str
    whole: int
    trials: int = 0
    violations: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def trial(self, what: str) -> Iterator[None]:
        """Count a trial; an AssertionError in the block is a violation with this name."""
        self.trials += 1
        try:
            yield
        except AssertionError as error:
            self.violations.append(f"{what}: {' '.join(str(error).split())[:400]}")

    def result(self, remark: str = "") -> SuiteResult:
        """Return what the suite gave."""
        return SuiteResult(
            name=self.name,
            trials=self.trials,
            whole=self.whole,
            violations=tuple(self.violations),
            seconds=time.monotonic() - self.begun,
            remark=remark,
        )


Suite = Callable[[float, random.Random], SuiteResult]


def part(whole: int, share: float, least: int = 1) -> int:
    """Return how many trials of a whole suite a share of it has."""
    return max(least, math.ceil(whole * share))
