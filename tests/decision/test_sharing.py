"""How the level is shared: what is never exceeded, by enumeration, and what is chosen."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from comparisons import GATES, REFERENCE, ROWS, compared

from parsimony.decision import certification, chances, exact_test, gates, sharing, stats
from parsimony.decision.certification import Tested, Tests
from parsimony.decision.chances import Outlook, Question
from parsimony.decision.records import GateResult, GateSettings, Place, Score, Shift
from parsimony.decision.sharing import TENTHS, Scene
from parsimony.decision.shortlist import Shortlist, most_promising, shortlist

QUESTION = Question(rows=ROWS, gates=GATES)
FLOOR = GateResult(gate="floor", verdict="pass", value=1.0, limit=0.0, reason="")


def with_counts(rows: int, counts: dict[str, tuple[int, int]], settings: GateSettings) -> Tests:
    """Return the tests of candidates with these discordant counts."""

    def candidate(name: str, position: int, level: float) -> Tested:
        score = Score(n=rows, correct=0, accuracy=0.0, macro_f1=0.0)
        pair = gates.Pair(counts=counts[name], score=score, slices=())
        return gates.certify_counts(pair, settings, Place(position=position, level=level)), FLOOR

    def gain(champion: str, name: str, tests: int) -> float:
        raise ValueError("no champion here")

    return Tests(reference="reference", level=1 - settings.confidence, candidate=candidate, gain=gain)


def passing(rows: int, settings: GateSettings, shares: tuple[int, ...]) -> dict[tuple[tuple[int, int], ...], list[int]]:
    """Return, for all tables of so many candidates, whom the sharing certifies."""
    tables = [(b, c) for b in range(rows + 1) for c in range(rows + 1 - b)]
    names = [str(place) for place in range(len(shares))]
    chosen = Shortlist(order=tuple(names), left_out=(), shares=shares)
    known = {}
    for scene in product(tables, repeat=len(shares)):
        tests = with_counts(rows, dict(zip(names, scene, strict=True)), settings)
        tested = certification.in_turn(chosen, tests)
        known[scene] = [int(name) for name, (certificate, _) in tested.items() if certificate.verdict == "pass"]
    return known


def chance_of(table: tuple[int, int], rows: int, lost: float, won: float) -> float:
    (b, c), rest = table, rows - sum(table)
    ways = math.comb(rows, b) * math.comb(rows - b, c)
    return ways * lost**b * won**c * (1 - lost - won) ** rest


SMALL = replace(GATES, margin=0.3, confidence=0.8)


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(10, 0), (5, 5), (2, 8), (7, 3)])
def test_no_two_truly_worse_candidates_pass_too_often_whatever_their_rates(shares: tuple[int, ...]) -> None:
    """Over every table of two independent candidates on 6 rows: the chance that any is certified is summed exactly."""
    rows = 6
    known = passing(rows, SMALL, shares)
    worst = 0.0
    for gains in product((0.0, 0.05, 0.15, 0.3), repeat=2):
        chances_of = [
            {table: chance_of(table, rows, gain + SMALL.margin, gain) for pair in known for table in pair}
            for gain in gains
        ]
        any_false = sum(
            chances_of[0][first] * chances_of[1][second] for (first, second), passed in known.items() if passed
        )
        worst = max(worst, any_false)
    assert 0.02 < worst <= 1 - SMALL.confidence + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(4, 3, 3), (6, 0, 4)])
def test_a_good_candidate_between_worse_ones_adds_nothing_to_the_chance_of_a_false_certificate(
    shares: tuple[int, ...],
) -> None:
    """The first and the last lose just the margin, the one between loses nothing and hands on what it has."""
    rows = 3
    known = passing(rows, replace(SMALL, margin=0.5), shares)
    bad = {table: chance_of(table, rows, 0.5, 0.0) for scene in known for table in scene}
    good = {table: chance_of(table, rows, 0.02, 0.02) for table in bad}
    false = sum(
        bad[one] * good[two] * bad[three] for (one, two, three), passed in known.items() if {0, 2} & set(passed)
    )
    assert false <= 1 - SMALL.confidence + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(4, 3, 3), (10, 0, 0), (1, 0, 9)])
def test_of_worse_candidates_that_answer_alike_no_more_than_the_level_is_certified(shares: tuple[int, ...]) -> None:
    """Three candidates with the same predictions: each table comes with its chance once."""
    rows, settings = 30, replace(GATES, margin=0.1, confidence=0.9)
    names = ("0", "1", "2")
    worst = 0.0
    for gain in (0.0, 0.03, 0.2):
        total = 0.0
        for table in ((b, c) for b in range(rows + 1) for c in range(rows + 1 - b)):
            if -stats.score(*table, rows, settings.margin) < 1.0:
                continue
            tests = with_counts(rows, dict.fromkeys(names, table), settings)
            tested = certification.in_turn(Shortlist(order=names, left_out=(), shares=shares), tests)
            passed = any(certificate.verdict == "pass" for certificate, _ in tested.values())
            total += passed * chance_of(table, rows, gain + settings.margin, gain)
        worst = max(worst, total)
    assert worst <= 1 - settings.confidence + 1e-9


# --- who is tested, and with how much -----------------------------------------------------------------


def scene_of(savings: list[float], needed: list[list[int]]) -> Scene:
    return Scene(savings=np.array(savings), needed=np.array(needed, dtype=np.int8))


def test_what_is_promised_is_the_mean_saving_of_the_smallest_that_passes() -> None:
    scene = scene_of([1.0, 2.0, 3.0], [[5, 5, 10], [5, 5, 11], [2, 11, 4], [11, 1, 11]])
    proposals = [
        ((10, 0, 0), (3.0 + 2.0 + 1.0 + 0.0) / 4),  # the level goes down as far as all pass
        ((0, 10, 0), (3.0 + 2.0 + 0.0 + 2.0) / 4),
        ((-1, 10, 0), (3.0 + 2.0 + 0.0 + 2.0) / 4),
        ((2, 4, 4), (0.0 + 0.0 + 3.0 + 2.0) / 4),
        ((5, 0, 5), (3.0 + 2.0 + 3.0 + 0.0) / 4),
        ((5, -1, 5), (3.0 + 1.0 + 3.0 + 0.0) / 4),  # who is left out is passed over, and hands on what came before
    ]
    observed = sharing.promised(np.array([shares for shares, _ in proposals], dtype=np.int8), scene)
    assert observed.tolist() == [promise for _, promise in proposals]


def test_the_level_is_shared_where_that_saves_more_than_one_sequence() -> None:
    """The small one passes in half of the samples, and needs nine tenths; the large one in the others, and needs one."""
    assert sharing.best_shares(scene_of([1.0, 3.0], [[11, 9], [1, 11]])) == (1, 9)
    assert sharing.best_shares(scene_of([1.0, 3.0], [[11, 9], [1, 11]]), (TENTHS,)) in ((-1, 10), (-1, TENTHS))


def test_shares_promise_as_much_as_any_other_in_small_scenes() -> None:
    rng = np.random.default_rng(3)
    for _ in range(8):
        savings = np.sort(rng.uniform(0.5, 4.0, 3))
        scene = Scene(savings=savings, needed=rng.integers(1, 12, (40, 3)).astype(np.int8))
        every = [shares for shares in product(range(-1, 11), repeat=3) if sum(max(s, 0) for s in shares) == TENTHS]
        best = sharing.promised(np.array(every, dtype=np.int8), scene).max()
        mine = sharing.promised(np.array([sharing.best_shares(scene)], dtype=np.int8), scene)[0]
        assert best - mine <= 0.03 * best


def test_nobody_to_share_among_is_no_shares() -> None:
    assert sharing.best_shares(scene_of([], np.zeros((4, 0)).tolist())) == ()


def test_a_scene_says_how_many_tenths_each_sample_needs() -> None:
    sure, never, even = (compared(name, size) for name, size in (("sure", 50), ("never", 20), ("even", 10)))
    z = stats.z_of(0.95)
    known = {
        "sure": Outlook(mean=20.0, spread=1.0),
        "never": Outlook(mean=-20.0, spread=1.0),
        "even": Outlook(mean=z, spread=1.0),
    }
    scene = sharing.draw_scene([sure, never, even], known, 100, 0.05)
    assert scene.savings.tolist() == [math.log(2), math.log(5), math.log(10)]
    assert set(scene.needed[:, 0].tolist()) == {1}
    assert set(scene.needed[:, 1].tolist()) == {11}
    assert (scene.needed[:, 2] <= TENTHS).mean() == pytest.approx(0.5, abs=0.05)
    tenth = known["even"].chance(1 - 0.005)
    assert (scene.needed[:, 2] == 1).mean() == pytest.approx(tenth, abs=0.04)
    assert np.corrcoef(scene.needed[:, 2], sharing._noise()[:, 0])[0, 1] < -0.4
    assert scene.needed.shape == (500, 3)
    assert scene.needed.dtype == np.int8


def test_new_words_scatter_the_trimmed_ones_together() -> None:
    trimmed, other = compared("trimmed", 20), compared("other", 10)
    outlook = Outlook(mean=stats.z_of(0.95) + 1.0, spread=0.5, words=2.0)
    scene = sharing.draw_scene([trimmed, other], {"trimmed": outlook, "other": outlook}, 100, 0.05)
    for place in (0, 1):
        assert (scene.needed[:, place] <= TENTHS).mean() == pytest.approx(outlook.chance(0.95), abs=0.05)
    assert np.corrcoef(scene.needed[:, 0], scene.needed[:, 1])[0, 1] > 0.8


def test_one_step_takes_a_candidate_out_or_in_or_moves_tenths() -> None:
    assert set(sharing._changed((10, 0, -1), (4, 10))) == {
        (10, -1, -1), (10, 0, 0),
        (6, 4, -1), (0, 10, -1), (-1, 10, -1),
        (6, 0, 4), (0, 0, 10), (-1, 0, 10),
    }  # fmt: skip
    assert set(sharing._changed((9, 1), (1,))) == {(8, 2), (10, 0), (10, -1)}


# --- the shortlist ------------------------------------------------------------------------------------


def test_the_reference_comes_first_and_takes_no_share() -> None:
    small = compared("small", 2_000_000, 0.0, 0.02)
    result = shortlist([small, REFERENCE], QUESTION)
    assert (result.order, result.shares, result.left_out) == (("reference", "small"), (0, 10), ())


def test_a_whole_vocabulary_is_not_beaten_by_a_trimmed_one_that_new_words_may_harm() -> None:
    whole, cut = compared("whole", 4_000_000, 0.0, 0.02), replace(compared("cut", 2_000_000, 0.001, 0.02), trimmed=True)
    assert "whole" in shortlist([REFERENCE, whole, cut], QUESTION).order
    assert "whole" not in shortlist([REFERENCE, whole, replace(cut, trimmed=False)], QUESTION).order
    harmed = replace(QUESTION, shift=Shift(new_words=0.3))
    shares = dict(zip(*(lambda s: (s.order, s.shares))(shortlist([REFERENCE, whole, cut], harmed)), strict=True))
    assert shares["whole"] > 0


def test_the_larger_come_first_and_all_tenths_are_given_away() -> None:
    entries = [REFERENCE, compared("c", 1_000_000, -0.004, 0.03), compared("a", 20_000_000, 0.0, 0.01)]
    result = shortlist(entries, QUESTION)
    assert result.order == ("reference", "a", "c")
    assert sum(result.shares) == TENTHS
    assert result.shares[0] == 0


def test_a_candidate_that_would_hardly_be_certified_is_left_out_with_the_chance() -> None:
    hopeless = compared("linear", 100_000, -0.03, 0.08)
    chance = chances.chances([hopeless], QUESTION)["linear"]
    result = shortlist([REFERENCE, hopeless], QUESTION)
    assert (result.order, result.shares) == (("reference",), (0,))
    assert result.left_out == (
        (
            "linear",
            f"-0.0300 against the reference on the validation split: {chance:.1%} chance that 3,000 test rows certify it",
        ),
    )


def test_one_that_another_beats_in_size_and_safety_is_left_out_and_the_other_named() -> None:
    better, worse = compared("student", 5_000_000, -0.001, 0.02), compared("pruned", 6_000_000, -0.002, 0.02)
    result = shortlist([REFERENCE, worse, better], QUESTION)
    assert result.order == ("reference", "student")
    assert result.left_out == (("pruned", "student is no larger and no less safe on the validation split"),)


def test_one_that_saves_nothing_is_not_tested() -> None:
    result = shortlist([REFERENCE, compared("as large", 90_000_000, 0.001, 0.02)], QUESTION)
    assert result.order == ("reference",)
    assert dict(result.left_out)["as large"].startswith("not tested: the others promise a larger saving")


def test_a_difference_that_is_not_a_number_is_hopeless() -> None:
    result = shortlist([REFERENCE, compared("broken", 1, float("nan")), compared("good", 9, 0.0, 0.01)], QUESTION)
    assert result.order == ("reference", "good")
    assert [name for name, _ in result.left_out] == ["broken"]


def test_everything_is_either_in_the_order_or_left_out() -> None:
    many = [compared(f"c{i}", 80_000_000 - i * 5_000_000, -0.0004 * i, 0.01) for i in range(14)]
    result = shortlist([REFERENCE, *many], QUESTION)
    assert sorted((*result.order, *dict(result.left_out))) == sorted(["reference", *(e.candidate for e in many)])
    assert len(result.order) <= 1 + sharing.MOST
    assert shortlist([], QUESTION) == Shortlist(order=(), left_out=())


def test_one_that_begins_with_nothing_is_tested_with_what_the_one_before_hands_on() -> None:
    first, behind = compared("first", 60_000_000, -0.003, 0.002), compared("behind", 2_000_000, -0.006, 0.02)
    result = shortlist([REFERENCE, behind, first], QUESTION)
    assert (result.order, result.shares) == (("reference", "first", "behind"), (0, 10, 0))


@pytest.mark.parametrize(("mean", "left_out"), [(9.0, 1024), (0.0, 2)])
def test_of_too_many_those_stay_that_promise_most_alone(mean: float, left_out: int) -> None:
    """The smallest saves ten halvings, with certainty or with a chance of 5 %; the largest one halving for sure."""
    sizes = [2**power for power in range(1, sharing.MOST + 2)]
    known = {f"s{size}": Outlook(mean=9.0, spread=1.0) for size in sizes} | {"s2": Outlook(mean=mean, spread=1.0)}
    kept = most_promising([compared(f"s{size}", size) for size in sizes], known, QUESTION, 2 * sizes[-1])
    assert [entry.size_bytes for entry in kept] == [size for size in reversed(sizes) if size != left_out]


def test_who_is_taken_out_leaves_its_share_to_the_next_that_has_one() -> None:
    chosen = Shortlist(order=("r", "a", "b", "c", "d"), left_out=(("x", "no"),), shares=(0, 3, 0, 5, 2))
    gone = chosen.without({"a": "slow"})
    assert (gone.order, gone.shares, gone.left_out) == (
        ("r", "b", "c", "d"), (0, 0, 8, 2), (("x", "no"), ("a", "slow")),
    )  # fmt: skip
    assert chosen.without({"d": "slow", "c": "slow"}).shares == (0, 3, 7)
    assert chosen.without({"d": "slow"}).shares == (0, 3, 0, 7)
    assert chosen.without({"r": "slow"}).shares == (3, 0, 5, 2)
    nobody = chosen.without(dict.fromkeys(chosen.order, "slow"))
    assert (nobody.order, nobody.shares) == ((), ())
    assert chosen.without({}) == chosen
    assert Shortlist(order=("a", "b"), left_out=()).without({"a": "slow"}) == Shortlist(
        order=("b",), left_out=(("a", "slow"),)
    )


def test_shares_that_do_not_fit_are_refused() -> None:
    for shares in ((5,), (6, 5), (-1, 11)):
        with pytest.raises(ValueError, match="share"):
            Shortlist(order=("a", "b"), left_out=(), shares=shares)


# --- the critical value at a part of the level ---------------------------------------------------------


def test_a_smaller_level_has_a_larger_critical_value() -> None:
    values = [exact_test.critical_value(500, 0.02, 1 - 0.05 * tenths / 10) for tenths in range(1, 11)]
    assert values == sorted(values, reverse=True)
    assert values[-1] == exact_test.critical_value(500, 0.02, 0.95)
