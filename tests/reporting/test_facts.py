"""What follows from a decision: levels, differences, numbers and the nearest miss."""

from __future__ import annotations

from dataclasses import replace

import decisions
import pytest

from parsimony.reporting.facts import (
    built,
    further_gates,
    ladder,
    nearest_miss,
    not_built,
    numbers,
    reference_quality,
    validation_difference,
)


def test_a_gate_without_a_value_is_no_near_miss() -> None:
    before = decisions.nothing_passed()
    valueless = tuple(replace(j, gates=tuple(replace(g, value=None) for g in j.gates)) for j in before.judged)
    assert nearest_miss(replace(before, judged=valueless)) is None


def test_the_reference_level_follows_from_any_certificate() -> None:
    before = decisions.decision()
    untested = tuple(replace(j, certificate=None) if j.is_reference else j for j in before.judged)
    assert reference_quality(replace(before, judged=untested)) == pytest.approx(2831 / 3080)
    none = tuple(replace(j, certificate=None) for j in before.judged)
    assert reference_quality(replace(before, judged=none)) is None


def test_numbers_count_the_built_candidates_from_the_smallest() -> None:
    decision = decisions.many(40)
    assert set(built(decision)) | set(not_built(decision)) == set(ladder(decision))
    assert [j.candidate for j in built(decision)] == list(numbers(decision))
    assert list(numbers(decision).values()) == list(range(1, len(built(decision)) + 1))
    assert all(judged.bundle is None for judged in not_built(decision))


def test_a_validation_difference_needs_both_scores() -> None:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    assert validation_difference(before, winner) == pytest.approx((1374 - 1380) / 1500)
    unscored = tuple(replace(j, validation=None) if j.is_reference else j for j in before.judged)
    assert validation_difference(replace(before, judged=unscored), winner) is None
    assert validation_difference(before, replace(winner, validation=None)) is None


def test_a_gate_that_the_reason_tells_of_is_not_told_twice() -> None:
    near = decisions.nothing_passed().of("linear-char-ngrams")
    assert further_gates(near) == ()
    assert further_gates(replace(near, reason="")) == (near.gates[0],)
