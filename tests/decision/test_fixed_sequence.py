"""The rule of receipts of format 2: which candidates were certified, and in which order."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from comparisons import GATES, REFERENCE, ROWS, compared, ladder

from parsimony.decision import fixed_sequence as shortlisting
from parsimony.decision import shortlist as hopes
from parsimony.decision import stats
from parsimony.decision.chances import Comparison, Question
from parsimony.decision.shortlist import Shortlist


def shortlist(entries: list[Comparison], rows: int, gates: object) -> Shortlist:
    return shortlisting.shortlist(entries, Question(rows=rows, gates=GATES))


@pytest.mark.parametrize("difference", [-0.015, -0.005, 0.0, 0.005])
def test_the_chance_is_how_often_such_a_candidate_is_certified(difference: float) -> None:
    """Against worlds drawn at random: a true difference around the one seen, then test rows around the true one."""
    rows, asked_for, discordance = 1000, 2000, 0.05
    rng = np.random.default_rng(7)
    true = rng.normal(difference, (discordance / rows) ** 0.5, 20_000).clip(-discordance, discordance)
    losses, gains = (discordance - true) / 2, (discordance + true) / 2
    drawn = np.array([rng.multinomial(asked_for, (b, c, 1 - b - c)) for b, c in zip(losses, gains, strict=True)])
    spread = stats.z_of(0.95) * np.sqrt((drawn[:, 0] + drawn[:, 1]) / asked_for**2)
    certified = (drawn[:, 1] - drawn[:, 0]) / asked_for - spread > -GATES.margin
    result = shortlisting.chance(compared("student", 1, difference, discordance, rows=rows), asked_for, GATES)
    assert result == pytest.approx(certified.mean(), abs=0.03)


def test_no_row_apart_is_not_certainty_but_counts_as_one() -> None:
    control = shortlisting.chance(compared("control", 1, rows=50), 60, GATES)
    assert 0.0 < control < 0.5
    one, two = (shortlisting.chance(compared("nearly", 1, discordance=k / 50, rows=50), 60, GATES) for k in (1, 2))
    assert control == one != two


def test_a_candidate_that_would_hardly_be_certified_is_left_out_with_the_chance() -> None:
    hopeless = compared("linear", 100_000, -0.02, 0.05)
    chance = shortlisting.chance(hopeless, ROWS, GATES)
    assert 0.0 < chance < 0.05
    result = shortlist([REFERENCE, hopeless], ROWS, GATES)
    assert result.order == ("reference",)
    reason = (
        f"-0.0200 against the reference on the validation split: {chance:.1%} chance that 3,000 test rows certify it"
    )
    assert result.left_out == (("linear", reason),)


def test_a_chance_of_just_one_in_20_is_not_hopeless() -> None:
    entries = [compared("at", 1), compared("below", 1, -0.01)]
    assert hopes.hopeless(entries, {"at": 0.05, "below": 0.0499}, ROWS) == {
        "below": "-0.0100 against the reference on the validation split: 5.0% chance that 3,000 test rows certify it"
    }


def test_of_one_size_only_the_safer_is_tested() -> None:
    safe, risky = compared("safe", 5_000_000, 0.0, 0.02), compared("risky", 5_000_000, -0.002, 0.02)
    for entries in ((safe, risky), (risky, safe)):
        result = shortlist([REFERENCE, *entries], ROWS, GATES)
        assert result.order == ("reference", "safe")
        assert result.left_out == (("risky", "safe is no larger and no less safe on the validation split"),)


def test_one_that_saves_nothing_is_not_tested() -> None:
    assert shortlist([REFERENCE, compared("as large", 90_000_000, 0.001, 0.02)], ROWS, GATES).order == ("reference",)


def test_an_improbable_candidate_is_tested_after_the_others() -> None:
    bold, calm = compared("bold", 1_000_000, -0.006, 0.05), compared("calm", 2_000_000, 0.0, 0.03)
    assert 0.05 < shortlisting.chance(bold, ROWS, GATES) < 0.5
    assert shortlist([bold, REFERENCE, calm], ROWS, GATES).order == ("reference", "calm", "bold")


def test_a_difference_that_is_not_a_number_is_hopeless() -> None:
    result = shortlist([REFERENCE, compared("broken", 1, float("nan"))], ROWS, GATES)
    assert result.order == ("reference",)
    assert [name for name, _ in result.left_out] == ["broken"]


def test_a_candidate_that_another_beats_in_size_and_safety_is_left_out_and_the_other_named() -> None:
    better, worse = compared("student", 5_000_000, -0.001, 0.02), compared("pruned", 6_000_000, -0.002, 0.02)
    result = shortlist([REFERENCE, worse, better], ROWS, GATES)
    assert result.order == ("reference", "student")
    assert result.left_out == (("pruned", "student is no larger and no less safe on the validation split"),)


def test_a_safer_larger_candidate_stays_as_what_can_win_when_the_smallest_is_not_certified() -> None:
    """The smaller one is as accurate on the validation split, but it answers other rows right: it may yet fail."""
    risky = compared("student", 5_000_000, 0.001, 0.06)
    assert shortlist([REFERENCE, risky], ROWS, GATES).order == ("reference", "student")


def test_the_reference_is_tested_first_even_where_a_smaller_one_did_better() -> None:
    safe = compared("int8", 23_000_000, 0.011, 0.02)
    assert shortlist([safe, REFERENCE], ROWS, GATES).order == ("reference", "int8")


def test_what_is_hopeless_beats_nobody() -> None:
    """The test split is not asked about it, so it cannot stand in for another."""
    risky, calm = compared("risky", 1_000_000, -0.05, 0.05), compared("calm", 2_000_000, -0.06, 0.9)
    assert shortlisting.chance(risky, ROWS, GATES) < 0.05
    assert shortlist([REFERENCE, risky, calm, compared("sound", 3_000_000)], ROWS, GATES).order == (
        "reference",
        "sound",
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_candidates_alike_in_everything_one_is_kept_whatever_the_order(order: tuple[int, ...]) -> None:
    alike = [compared(name, 5_000_000, -0.001, 0.02) for name in ("a", "b", "c")]
    result = shortlist([REFERENCE, *(alike[i] for i in order)], ROWS, GATES)
    assert result.order == ("reference", "a")
    assert sorted(name for name, _ in result.left_out) == ["b", "c"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_the_safest_is_tested_first_and_the_smallest_last(order: tuple[int, ...]) -> None:
    entries = [REFERENCE, *ladder(3)]
    assert shortlist([entries[i] for i in order], ROWS, GATES).order == ("reference", "c1", "c2", "c3")


def test_one_that_saves_little_and_may_fail_is_not_put_before_one_that_saves_much() -> None:
    """Tested, it would end the sequence every other time, and win nothing worth that."""
    safe = compared("safe", 20_000_000, 0.0, 0.01)
    doubtful, small = compared("doubtful", 19_000_000, -0.0045, 0.03), compared("small", 2_000_000, -0.005, 0.03)
    assert 0.3 < shortlisting.chance(small, ROWS, GATES) < shortlisting.chance(doubtful, ROWS, GATES) < 0.6
    result = shortlist([REFERENCE, small, doubtful, safe], ROWS, GATES)
    assert result.order == ("reference", "safe", "small")
    reason = "not tested: if it failed it would end the tests before smaller ones that promise more"
    assert result.left_out == (("doubtful", reason),)


def test_a_sequence_promises_at_least_as_much_as_every_other_part_of_the_front() -> None:
    draw = np.random.default_rng(5)
    for _ in range(20):
        chances = sorted(draw.uniform(0.05, 1.0, 6), reverse=True)
        sizes = sorted(draw.integers(1_000, 1_000_000, 6), reverse=True)
        front = [compared(f"c{i}", int(size)) for i, size in enumerate(sizes)]
        known = {entry.candidate: float(chance) for entry, chance in zip(front, chances, strict=True)}

        def promise(part: tuple[Comparison, ...], known: dict[str, float] = known) -> float:
            total, passed, before, reached = 0.0, 1.0, 2_000_000, 1.0
            for entry in part:
                chance = known[entry.candidate]
                reached *= (chance + min(1.0, chance / passed)) / 2
                total += reached * np.log(before / entry.size_bytes)
                passed, before = chance, entry.size_bytes
            return total

        result = shortlisting._most_promising(front, known, 2_000_000)
        parts = (part for count in range(7) for part in combinations(front, count))
        assert promise(result) == pytest.approx(max(promise(part) for part in parts))


def test_everything_is_either_in_the_order_or_left_out() -> None:
    entries = [REFERENCE, *ladder(12), compared("linear", 1, -0.05, 0.1), compared("copy", 90_000_001)]
    result = shortlist(entries, ROWS, GATES)
    assert sorted((*result.order, *dict(result.left_out))) == sorted(e.candidate for e in entries)


def test_no_candidates_make_an_empty_shortlist() -> None:
    assert shortlist([], ROWS, GATES) == Shortlist(order=(), left_out=())
