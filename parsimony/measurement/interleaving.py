"""When a process is warm, and in which order processes take their turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

FLAT = 0.03
WINDOW = 3
MOST_PASSES = 40
MOST_SECONDS = 1.0
_GOLDEN = 0.6180339887498949


def warmed(pass_ms: Callable[[], Sequence[float]]) -> int:
    """Repeat a pass over the same texts until its median is flat; return the predictions that it took.

    Flat: the medians of the last 3 passes lie within 3 % of each other. After 40 passes or a second it is left at
    that: a process that never settles gives blocks that disagree, and its measurement is unsteady.
    """
    medians: list[float] = []
    count, end = 0, time.monotonic() + MOST_SECONDS
    while len(medians) < MOST_PASSES and not _is_flat(medians):
        durations = pass_ms()
        medians.append(statistics.median(durations))
        count += len(durations)
        if time.monotonic() > end and len(medians) >= WINDOW:
            break
    return count


def _is_flat(medians: Sequence[float]) -> bool:
    last = medians[-WINDOW:]
    return len(last) == WINDOW and max(last) <= (1 + FLAT) * min(last)


def turns(names: Sequence[str], rounds: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Yield the order of the names in each round: a random order, then the same backwards, then another.

    A slow minute then falls on all alike, and so does the state in which a predecessor leaves the caches.
    """
    rng = np.random.default_rng(seed)
    order = tuple(names)
    for number in range(rounds):
        order = order[::-1] if number % 2 else tuple(names[i] for i in rng.permutation(len(names)))
        yield order


def mixed(texts: Sequence[str]) -> list[int]:
    """Return an order of the texts in which every stretch holds short and long ones alike.

    Data are often sorted by class; blocks of unlike texts would disagree on the quietest machine. Steps of the golden
    ratio through the texts sorted by length spread every stretch evenly (Weyl's sequence).
    """
    count = len(texts)
    by_length = sorted(range(count), key=lambda i: len(texts[i]))
    step = max(1, round(count * _GOLDEN))
    while math.gcd(step, count) > 1:
        step += 1
    return [by_length[j * step % count] for j in range(count)]
