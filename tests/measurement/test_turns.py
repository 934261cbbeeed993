"""Which turns of a measurement are repeated and which count: the counters of the machine decide, never the latencies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from parsimony.measurement.records import Disturbance
from parsimony.measurement.turns import MOST_TURNS, WAITS_S, Turn, counting, is_disturbed, taken, together

QUIET, STOLEN, HELD = (
    Disturbance(steal_share=0.0, throttled=0),
    Disturbance(steal_share=0.02, throttled=0),
    Disturbance(steal_share=0.0, throttled=1),
)
PAIR = ("base", "control")
EVERYBODY = frozenset({"base", "control", "small"})


def run(machine: Sequence[Disturbance], noisy: Sequence[frozenset[str]] = ()) -> tuple[tuple[Turn, ...], list[float]]:
    """Take turns on a machine that is in these states one after the other; `noisy`: who is so after each turn."""
    waits: list[float] = []
    every: list[Turn] = []

    def take(number: int, names: frozenset[str]) -> Turn:
        every.append(Turn(number=number, names=names, disturbance=machine[number], lasted_s=1.0))
        return every[-1]

    def is_noisy(name: str, chosen: Sequence[Turn]) -> bool:
        return len(noisy) >= len(every) and name in noisy[len(every) - 1]

    return taken(sorted(EVERYBODY), PAIR, take, is_noisy, waits.append), waits


def test_a_quiet_turn_is_not_repeated() -> None:
    turns, waits = run([QUIET])
    assert ([turn.number for turn in turns], waits) == ([0], [])


@pytest.mark.parametrize("disturbed", [STOLEN, HELD])
def test_a_disturbed_turn_is_repeated_by_everybody_after_a_wait_and_does_not_count(disturbed: Disturbance) -> None:
    turns, waits = run([disturbed, QUIET])
    assert [turn.names for turn in turns] == [EVERYBODY, EVERYBODY]
    assert [turn.number for turn in counting(turns)] == [1]
    assert waits == [WAITS_S[0]]


def test_the_waits_grow_and_the_turns_are_bounded() -> None:
    turns, waits = run([STOLEN] * 9)
    assert len(turns) == MOST_TURNS == 1 + len(WAITS_S)
    assert waits == sorted(waits) == list(WAITS_S)
    assert counting(turns) == turns
    assert is_disturbed(together(turns, 0))


def test_who_is_noisy_repeats_with_the_pair_and_all_undisturbed_turns_count() -> None:
    turns, _ = run([QUIET, QUIET], [frozenset({"small"})])
    assert [turn.names for turn in turns] == [EVERYBODY, EVERYBODY]
    turns, _ = run([QUIET, QUIET, QUIET], [frozenset({"small", "base"}), frozenset({"control"})])
    assert [turn.names for turn in turns] == [EVERYBODY, EVERYBODY, frozenset(PAIR)]
    assert counting(turns) == turns


def test_a_disturbed_repetition_is_set_aside_and_repeated_again() -> None:
    turns, _ = run([QUIET, HELD, QUIET], [frozenset({"small"}), frozenset({"small"})])
    assert [turn.number for turn in counting(turns)] == [0, 2]


def test_turns_of_which_each_was_disturbed_in_its_own_way_are_disturbed_together() -> None:
    turns, _ = run([STOLEN, HELD, STOLEN, HELD])
    assert is_disturbed(together(turns, 0))


def test_what_several_turns_say_together() -> None:
    turns = (
        Turn(number=0, names=EVERYBODY, disturbance=Disturbance(steal_share=0.03, throttled=2), lasted_s=1.0),
        Turn(number=1, names=EVERYBODY, disturbance=Disturbance(steal_share=0.01, throttled=3), lasted_s=3.0),
    )
    both = together(turns, 1)
    assert both.steal_share == pytest.approx(0.015)
    assert (both.throttled, both.turns, both.set_aside) == (5, 2, 1)
    unread = Turn(number=2, names=EVERYBODY, disturbance=Disturbance(steal_share=None, throttled=None), lasted_s=1.0)
    assert together((*turns, unread), 0) == Disturbance(steal_share=None, throttled=None, turns=3, set_aside=0)
    assert counting((unread,)) == (unread,)
