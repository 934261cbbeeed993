"""What has moved between two sides, by counts."""

from __future__ import annotations

import random

import pytest
from scipy.stats import binomtest, hypergeom

from parsimony.decision.drift import MOST_NAMED, Drift, Moved, distinguished, moved


@pytest.mark.parametrize(("right", "rows"), [(0, 10), (5, 10), (60, 100), (100, 100)])
def test_the_lower_bound_is_that_of_clopper_and_pearson(right: int, rows: int) -> None:
    expected = binomtest(right, rows, alternative="greater").proportion_ci(0.95, method="exact").low
    assert distinguished(right, rows, 0.95) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("before", "after", "rows"), [(0, 3, (10, 20)), (7, 1, (40, 12)), (5, 5, (9, 9)), (40, 12, (40, 12))]
)
def test_the_chance_is_twice_the_smaller_tail_of_fishers_exact_test(
    before: int, after: int, rows: tuple[int, int]
) -> None:
    given = hypergeom(sum(rows), before + after, rows[0])
    expected = min(1.0, 2 * min(given.cdf(before), given.sf(before - 1)))
    for confidence in (1 - expected * 0.999, 1 - expected * 1.001):
        if 0.0 < confidence < 1.0:
            assert bool(moved({"w": before}, {"w": after}, rows, confidence)) == (expected <= 1 - confidence)


def test_what_has_moved_is_named_the_largest_change_first() -> None:
    before, after = {"invoice": 200, "refund": 100, "hello": 500}, {"invoice": 20, "refund": 160, "hello": 500}
    assert moved(before, after, (1_000, 1_000), 0.95) == (
        Moved(name="invoice", before=0.2, after=0.02),
        Moved(name="refund", before=0.1, after=0.16),
    )


def test_a_name_of_one_side_alone_has_moved() -> None:
    assert moved({}, {"new": 90}, (100, 100), 0.95) == (Moved(name="new", before=0.0, after=0.9),)


def test_of_many_names_none_is_said_to_have_moved_more_often_than_promised() -> None:
    rng, wrong = random.Random(5), 0
    for _ in range(60):
        sides = [{f"w{i}": sum(rng.random() < 0.2 for _ in range(120)) for i in range(20)} for _ in range(2)]
        wrong += bool(moved(sides[0], sides[1], (120, 120), 0.95))
    assert wrong <= 60 * 0.05 + 3 * (60 * 0.05 * 0.95) ** 0.5


def test_no_more_names_than_can_be_read() -> None:
    names = {f"w{i}": 1_000 for i in range(50)}
    assert len(moved(names, {}, (1_000, 1_000), 0.95)) == MOST_NAMED


def test_only_what_is_proven_beyond_the_limit_is_drift() -> None:
    def of(bound: float, limit: float) -> bool:
        return Drift(rows=10, right=9, distinguished=bound, limit=limit, words=(), labels=()).has_drifted

    assert [of(0.61, 0.6), of(0.6, 0.6), of(float("nan"), 0.6)] == [True, False, False]
