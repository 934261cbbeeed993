"""How the level of the tests is shared: which candidates are tested, and with which part of the level each begins.

Larger candidates come before smaller ones, and each may begin with some tenths of the level, 1 - confidence. One that passes
hands its tenths on to the next; one that does not keeps them (the fallback procedure, Wiens 2003, Pharmaceutical Statistics
2:211; a graphical procedure, Bretz et al. 2009, Statistics in Medicine 28:586). With all tenths at the first it is a fixed
sequence. Whatever the tenths, at most 1 - confidence of samples certify anything that is truly worse, so they are chosen for
the largest saving that the validation split lets expect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from parsimony.decision.chances import Comparison, Outlook

TENTHS = 10
# Samples of the test split that may come; how alike two candidates' statistics are; how many tenths are moved at once.
_SAMPLES, _CORRELATION, MOVES = 500, 0.5, (1, 2, 4, TENTHS)
# More candidates than these are never shared among: those that promise least stand back.
MOST = 9
_LEAST_GAIN = 1e-9
_OUT = -1

# One place in a row of candidates for each: the tenths that it begins with, or `_OUT` when it is not tested.
Shares = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is shared among: for each candidate, largest first, the logarithm of what it saves, and in each sample of the
    test split the fewest tenths at which it passes, more than all where it does not: int8 [samples, candidates]."""

    savings: np.ndarray
    needed: np.ndarray


def draw_scene(front: Sequence[Comparison], outlooks: Mapping[str, Outlook], start_bytes: int, level: float) -> Scene:
    """Draw what the test split may say of candidates, sorted from the largest; `level` is 1 - confidence."""
    means = np.array([outlooks[e.candidate].mean for e in front])
    spreads = np.array([outlooks[e.candidate].spread for e in front])
    words = np.array([outlooks[e.candidate].words for e in front])
    noise = _noise()
    common = math.sqrt(_CORRELATION) * noise[:, :1] + math.sqrt(1 - _CORRELATION) * noise[:, 2 : len(front) + 2]
    quantiles = np.array([NormalDist().inv_cdf(1 - level * tenths / TENTHS) for tenths in range(1, TENTHS + 1)])
    statistics = means + spreads * common - words * noise[:, 1:2]
    passing = (statistics[:, :, None] > quantiles).sum(axis=2)
    savings = np.array([math.log(start_bytes / e.size_bytes) for e in front])
    return Scene(savings=savings, needed=(TENTHS + 1 - passing).astype(np.int8))


@cache
def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((_SAMPLES, MOST + 2))


def best_shares(scene: Scene, moves: Sequence[int] = MOVES) -> Shares:
    """Return the shares with the largest mean logarithm of the saving, as far as single changes lead there.

    `moves` are the numbers of tenths that go from one to another at once; only all of them together make a fixed sequence,
    with the best order. The logarithm weighs the lower tail: twice as small counts as much at the large end as at the small one.
    """
    count = len(scene.savings)
    if not count:
        return ()
    alone = [tuple(TENTHS if i == j else _OUT for i in range(count)) for j in range(count)]
    chain = (TENTHS, *(0,) * (count - 1))
    best, promise = _best([*alone, chain], scene)
    while True:
        other, better = _best([best, *_changed(best, moves)], scene)
        if better <= promise + _LEAST_GAIN:
            return best
        best, promise = other, better


def _best(proposals: Sequence[Shares], scene: Scene) -> tuple[Shares, float]:
    promises = promised(np.array(proposals, dtype=np.int8), scene)
    place = int(np.argmax(promises))
    return proposals[place], float(promises[place])


def promised(proposals: np.ndarray, scene: Scene) -> np.ndarray:
    """Return the mean logarithm of the saving of each proposal; int8 [proposals, candidates]."""
    samples, count = scene.needed.shape
    carried = np.zeros((len(proposals), samples), dtype=np.int8)
    smallest = np.zeros((len(proposals), samples), dtype=np.int8)  # the place of the last that passed, counted from 1
    for place in range(count):
        begins = proposals[:, place, None]
        tenths = carried + begins
        passed = (tenths >= scene.needed[None, :, place]) & (begins != _OUT)
        np.copyto(smallest, place + 1, where=passed)
        np.copyto(carried, tenths * passed, where=begins != _OUT)
    means: np.ndarray = np.concatenate(([0.0], scene.savings))[smallest].mean(axis=1)
    return means


def _changed(shares: Shares, moves: Sequence[int]) -> Iterator[Shares]:
    """Yield what differs in one step: a candidate less or more, or some tenths from one candidate to another, which then
    may be left out."""
    for place, tenths in enumerate(shares):
        if tenths in (0, _OUT):
            yield _with(shares, {place: _OUT if tenths == 0 else 0})
    for source, tenths in enumerate(shares):
        for target in range(len(shares)):
            if source == target or tenths <= 0:
                continue
            for moved in {min(move, tenths) for move in moves}:
                more = max(shares[target], 0) + moved
                yield _with(shares, {source: tenths - moved, target: more})
                if moved == tenths:
                    yield _with(shares, {source: _OUT, target: more})


def _with(shares: Shares, changes: Mapping[int, int]) -> Shares:
    return tuple(changes.get(place, tenths) for place, tenths in enumerate(shares))
