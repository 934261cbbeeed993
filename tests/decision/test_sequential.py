"""A promise that is looked at as often as one likes: it is hardly ever called broken while it holds, and soon when it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from parsimony.decision.sequential import Watched, watch


def rows(share: float, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < share


def test_no_row_is_no_evidence() -> None:
    result = watch(np.array([], dtype=bool), 0.9, 0.95)
    assert (result.evidence, result.most, result.share, result.has_fallen) == (1.0, 1.0, None, False)


@pytest.mark.parametrize("promised", [0.1, 0.5, 0.9, 0.99])
def test_the_stake_does_not_grow_on_average_while_the_promise_holds(promised: float) -> None:
    """Every sequence of 10 rows with its chance: the mean stake after each of them is exactly 1."""
    from parsimony.decision import sequential

    bets = sequential._BETS / (1 - promised)
    for count in (1, 4, 10):
        mean = 0.0
        for outcome in itertools.product((True, False), repeat=count):
            right = sum(outcome)
            chance = promised**right * (1 - promised) ** (count - right)
            stakes = (1 - bets * (1 - promised)) ** right * (1 + bets * promised) ** (count - right)
            mean += chance * stakes.mean()
        assert mean == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("promised", [0.6, 0.9, 0.98])
def test_a_promise_that_is_just_kept_is_called_broken_no_more_often_than_said(promised: float) -> None:
    """After every one of 1,000 rows somebody looks."""
    fallen = sum(watch(rows(promised, 1_000, seed), promised, 0.95).has_fallen for seed in range(200))
    assert fallen <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize(("now", "within"), [(0.80, 150), (0.85, 500), (0.88, 3_000)])
def test_a_fall_is_found_the_sooner_the_deeper_it_is(now: float, within: int) -> None:
    noticed = sum(watch(rows(now, within, seed), 0.92, 0.95).has_fallen for seed in range(40))
    assert noticed >= 32


def test_what_was_seen_once_stays_seen() -> None:
    fallen = np.concatenate([np.zeros(20, dtype=bool), np.ones(2_000, dtype=bool)])
    assert watch(fallen, 0.9, 0.95).has_fallen


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_the_upper_bound_is_wrong_no_more_often_than_said(share: float) -> None:
    wrong = sum(watch(rows(share, 300, seed), 0.5, 0.95).most < share for seed in range(200))
    assert wrong <= 200 * 0.05 + 3 * (200 * 0.05 * 0.95) ** 0.5


def test_the_bound_and_the_verdict_agree() -> None:
    correct = np.arange(400) % 10 < 7
    most = watch(correct, 0.5, 0.95).most
    assert not watch(correct, most - 1e-6, 0.95).has_fallen
    assert watch(correct, most + 1e-6, 0.95).has_fallen


@pytest.mark.parametrize(
    ("promised", "confidence"), [(0.0, 0.95), (1.0, 0.95), (1.02, 0.95), (0.9, 0.4), (float("nan"), 0.95)]
)
def test_a_promise_that_is_no_share_is_refused(promised: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        watch(np.array([True]), promised, confidence)


def test_a_record_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2 rows"):
        Watched(rows=2, right=3, promised=0.5, confidence=0.95, evidence=1.0, most=1.0)
