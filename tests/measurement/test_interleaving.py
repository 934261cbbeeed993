"""A process is warm when nothing changes any more, and everybody comes after everybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from parsimony.measurement import interleaving


def passes(*medians_ms: float) -> Iterator[list[float]]:
    """Yield passes over four texts with these medians, the last one for ever."""
    for median in medians_ms:
        yield [median] * 4
    while True:
        yield [medians_ms[-1]] * 4


def test_warming_up_ends_when_three_passes_take_the_same() -> None:
    pending = passes(9.0, 5.0, 2.0, 1.02, 1.0, 1.01, 7.0)
    assert interleaving.warmed(lambda: next(pending)) == 6 * 4
    assert next(pending) == [7.0] * 4


def test_a_process_that_is_steady_from_the_beginning_is_asked_three_times() -> None:
    pending = passes(1.0)
    assert interleaving.warmed(lambda: next(pending)) == 3 * 4


def test_a_process_that_never_settles_is_left_at_that() -> None:
    pending = passes(*(2.0**-number for number in range(200)))
    assert interleaving.warmed(lambda: next(pending)) == interleaving.MOST_PASSES * 4


def test_everybody_is_in_every_round_and_every_other_round_is_the_one_before_backwards() -> None:
    names = ("a", "b", "c", "d")
    rounds = list(interleaving.turns(names, 20, seed=3))
    assert all(sorted(order) == list(names) for order in rounds)
    assert all(after == before[::-1] for before, after in zip(rounds[::2], rounds[1::2], strict=True))
    assert min(Counter(order[0] for order in rounds).values()) >= 1
    assert rounds == list(interleaving.turns(names, 20, seed=3)) != list(interleaving.turns(names, 20, seed=4))
