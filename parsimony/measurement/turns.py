"""Turns of a measurement: which are repeated, and which count.

What counts is chosen by the machine's own counters, steal and throttling, and never by the latencies themselves: to keep the
quickest of several turns would be to measure luck.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from parsimony.measurement.records import Disturbance

STEAL_LIMIT = 0.01
MOST_TURNS = 4
# Between one turn and its repetition: what disturbs for a moment is over soon, what lasts is not waited for.
WAITS_S = (0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn: its number, who took part, what the machine took away meanwhile, and how long it lasted."""

    number: int
    names: frozenset[str]
    disturbance: Disturbance
    lasted_s: float


def is_disturbed(disturbance: Disturbance) -> bool:
    """Say whether the machine took away more than the limits allow; a counter that cannot be read disturbs nothing."""
    return (disturbance.steal_share or 0.0) > STEAL_LIMIT or bool(disturbance.throttled)


def counting(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the turns that count: the undisturbed ones; all of them where every one was disturbed."""
    quiet = tuple(turn for turn in turns if not is_disturbed(turn.disturbance))
    return quiet or tuple(turns)


def taken(
    names: Collection[str],
    pair: Collection[str],
    take: Callable[[int, frozenset[str]], Turn],
    is_noisy: Callable[[str, Sequence[Turn]], bool],
    wait: Callable[[float], None] = time.sleep,
) -> tuple[Turn, ...]:
    """Take turns until one was undisturbed and nobody is noisy in those that count, MOST_TURNS at most.

    names: all who take part in the first turn, and again while every turn was disturbed; afterwards only who is noisy. `pair`
    takes part in every turn, so that every turn can be compared with it.
    """
    turns: list[Turn] = []
    for number in range(MOST_TURNS):
        again = _to_repeat(names, turns, is_noisy)
        if not again:
            break
        if turns:
            wait(WAITS_S[number - 1])
        turns.append(take(number, again | frozenset(pair)))
    return tuple(turns)


def _to_repeat(
    names: Collection[str], turns: Sequence[Turn], is_noisy: Callable[[str, Sequence[Turn]], bool]
) -> frozenset[str]:
    chosen = counting(turns)
    if not chosen or is_disturbed(chosen[0].disturbance):
        return frozenset(names)
    return frozenset(name for name in names if is_noisy(name, chosen))


def together(turns: Sequence[Turn], set_aside: int) -> Disturbance:
    """Return what the machine took away during these turns; shares are means over their time."""
    lasted_s = sum(turn.lasted_s for turn in turns)
    shares = [turn.disturbance.steal_share for turn in turns]
    counts = [turn.disturbance.throttled for turn in turns]
    known = [share * turn.lasted_s for share, turn in zip(shares, turns, strict=True) if share is not None]
    return Disturbance(
        steal_share=sum(known) / lasted_s if len(known) == len(turns) and lasted_s > 0 else None,
        throttled=None if None in counts else sum(count or 0 for count in counts),
        turns=len(turns),
        set_aside=set_aside,
    )
