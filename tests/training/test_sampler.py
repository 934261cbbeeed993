"""Every row comes once a pass, in batches of like length, in an order that says nothing of length."""

from __future__ import annotations

import numpy as np

from parsimony.training.sampler import LengthGroups

LENGTHS = tuple(int(n) for n in np.random.default_rng(0).integers(3, 60, size=3_333))


def _passes(lengths: tuple[int, ...], seed: int, count: int = 1, batch_size: int = 32) -> list[list[list[int]]]:
    groups = LengthGroups(lengths=lengths, batch_size=batch_size, rng=np.random.default_rng(seed))
    return [list(groups) for _ in range(count)]


def test_every_row_comes_once_a_pass() -> None:
    for batches in _passes(LENGTHS, 0, count=2):
        assert len(batches) == -(-len(LENGTHS) // 32)
        assert sorted(row for batch in batches for row in batch) == list(range(len(LENGTHS)))
        assert sorted(map(len, batches)) == [len(LENGTHS) % 32, *[32] * (len(LENGTHS) // 32)]


def test_little_of_a_batch_is_padding() -> None:
    (batches,) = _passes(LENGTHS, 0)
    padded = sum(len(batch) * max(LENGTHS[row] for row in batch) for batch in batches)
    assert padded < 1.05 * sum(LENGTHS)


def test_the_order_of_batches_says_nothing_of_length() -> None:
    longest = np.array([[max(LENGTHS[row] for row in batch) for batch in p] for p in _passes(LENGTHS, 0, count=20)])
    places = np.arange(longest.shape[1])
    correlations = [np.corrcoef(places, row)[0, 1] for row in longest]
    assert abs(np.mean(correlations)) < 0.1


def test_every_pass_is_drawn_anew_and_a_seed_draws_the_same_passes() -> None:
    first, second = _passes(LENGTHS, 7, count=2)
    assert first != second
    assert _passes(LENGTHS, 7, count=2) == [first, second]
    assert _passes(LENGTHS, 8) != [first]


def test_of_little_data_a_batch_is_not_always_the_same_rows() -> None:
    first, second = _passes(LENGTHS[:144], 0, count=2, batch_size=16)
    assert not {frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}


def test_a_few_rows_are_one_batch() -> None:
    assert [sorted(batch) for batch in _passes((5, 3, 4), 0)[0]] == [[0, 1, 2]]
