"""What the validation split lets expect of the test split."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from comparisons import GATES, REFERENCE, ROWS, compared

from parsimony.decision import chances as module
from parsimony.decision.chances import Comparison, Outlook, Question, chances, outlooks
from parsimony.decision.records import Shift

QUESTION = Question(rows=ROWS, gates=GATES)


def of(entry: Comparison, question: Question = QUESTION, *like: Comparison) -> float:
    return chances([REFERENCE, entry, *like], question)[entry.candidate]


def test_an_outlook_by_hand() -> None:
    """30 of 1,000 rows differ, 20 of them are lost; alone of its kind.

    Usual: (30 + 0.01 * 300) / 1,300 = 0.0253846 of rows, (20 + 0.62 * 30) / 60 = 0.6433333 of these lost.
    Its own: (30 + 300 * 0.0253846) / 1,300 = 0.0289349 and (20 + 60 * 0.6433333) / 90 = 0.6511111, so 0.0087448 is lost.
    """
    outlook = outlooks([compared("student", 1, -0.01, 0.03)], QUESTION)["student"]
    discordance, lost = 37.6153846 / 1300, 58.6 / 90
    loss = (2 * lost - 1) * discordance
    error = discordance / 3000
    variance = 4 * discordance**2 * lost * (1 - lost) / 60 + loss**2 * (1 / 37.6153846 + 0.09)
    assert loss == pytest.approx(0.0087448, abs=1e-6)
    assert outlook.mean == pytest.approx((0.01 - loss) / math.sqrt(error), rel=1e-6)
    assert outlook.spread == pytest.approx(math.sqrt(1 + variance / error), rel=1e-6)
    assert outlook.words == 0.0


def test_an_outlook_on_a_small_split_by_hand() -> None:
    """6 of 24 rows differ, all are lost: of its like count a third of the rows and a fourth, 8 and 6."""
    entry = compared("student", 1, -0.25, 0.25, rows=24)
    usual = (6 + 0.01 * 300) / 324, (6 + 0.62 * 30) / 36
    weight = 6 + 8 * usual[0]
    discordance, lost = weight / 32, (6 + 6 * usual[1]) / 12
    loss, error = (2 * lost - 1) * discordance, discordance / 3000
    variance = 4 * discordance**2 * lost * (1 - lost) / 9 + loss**2 * (1 / weight + 0.09)
    outlook = outlooks([entry], QUESTION)["student"]
    assert outlook.mean == pytest.approx((0.01 - loss) / math.sqrt(error), rel=1e-6)
    assert outlook.spread == pytest.approx(math.sqrt(1 + variance / error), rel=1e-6)
    harder = outlooks([entry], replace(QUESTION, shift=Shift(discordance=100.0)))["student"]  # all rows differ at most
    assert harder.mean == pytest.approx((0.01 - (2 * lost - 1)) / math.sqrt(1 / 3000), rel=1e-6)


def test_the_chance_is_that_of_a_normal_number_beyond_the_quantile() -> None:
    assert Outlook(mean=1.6448536, spread=3.0).chance(0.95) == pytest.approx(0.5, abs=1e-6)
    assert Outlook(mean=3.6448536, spread=2.0).chance(0.95) == pytest.approx(0.8413447, abs=1e-6)


def test_one_row_of_many_is_drawn_towards_what_like_candidates_showed() -> None:
    nearly = compared("nearly", 1, -1 / 1500, 1 / 1500, rows=1500)
    alone = outlooks([nearly], QUESTION)["nearly"]
    like = [replace(nearly, candidate=str(i), difference=-0.01, discordance=0.04) for i in range(3)]
    among = outlooks([nearly, *like], QUESTION)["nearly"]
    assert among.mean < alone.mean
    others = [replace(one, kind="other") for one in like]
    assert outlooks([nearly, *others], QUESTION)["nearly"] == alone


def test_no_row_apart_is_not_certainty() -> None:
    assert 0.0 < of(compared("control", 1, rows=50), Question(rows=60, gates=GATES)) < 0.5


def test_a_harder_test_split_lowers_the_chance_of_whoever_loses() -> None:
    losing = compared("student", 1, -0.004, 0.03)
    assert (
        of(losing, replace(QUESTION, shift=Shift(discordance=2.0)))
        < of(losing)
        < of(losing, replace(QUESTION, shift=Shift(discordance=0.5)))
    )
    assert of(losing, replace(QUESTION, shift=Shift(discordance=1e6))) >= 0.0


def test_new_words_lower_the_chance_of_trimmed_candidates_alone_and_make_it_less_certain() -> None:
    entry, harmed = compared("student", 1, -0.002, 0.03), replace(QUESTION, shift=Shift(new_words=0.2))
    cut = replace(entry, trimmed=True)
    assert of(entry, harmed) == of(entry) == of(cut)
    before, after = (outlooks([cut], question)["student"] for question in (QUESTION, harmed))
    assert after.mean < before.mean
    assert after.spread == before.spread
    assert (before.mean - after.mean) / after.words == pytest.approx(0.03 / 0.02)
    assert after.chance(0.95) == pytest.approx(
        Outlook(mean=after.mean, spread=math.hypot(after.spread, after.words)).chance(0.95)
    )


def test_more_rows_and_a_wider_margin_raise_the_chance() -> None:
    entry = compared("student", 1, -0.002, 0.03)
    wide = replace(QUESTION, gates=replace(GATES, margin=0.02))
    assert of(entry, replace(QUESTION, rows=500)) < of(entry) < of(entry, wide)


def test_the_reference_is_nobodys_like_and_nothing_is_lost_without_a_number() -> None:
    entry = compared("student", 1, -0.002, 0.03)
    assert outlooks([REFERENCE, entry], QUESTION)["student"] == outlooks([entry], QUESTION)["student"]
    broken = compared("broken", 1, float("nan"), 0.03)
    assert outlooks([broken, entry], QUESTION)["student"] == outlooks([entry], QUESTION)["student"]
    assert math.isnan(of(broken))


def test_lost_rows_are_never_more_than_differ_nor_less_than_none() -> None:
    assert [compared("x", 1, difference, 0.02).lost for difference in (-0.02, 0.0, 0.02)] == [20.0, 10.0, 0.0]
    assert [compared("x", 1, difference, 0.02).lost for difference in (-0.05, 0.05)] == [20.0, 0.0]
    assert compared("x", 1, 0.0, 0.02).discordant == 20.0


def test_of_candidates_given_a_chance_about_that_share_is_certified() -> None:
    """Worlds drawn at random: true rates as they are usual, validation rows, test rows."""
    rng = np.random.default_rng(4)
    told, passed = [], []
    for _ in range(400):
        rate, lost = rng.uniform(0.01, 0.05), np.clip(rng.normal(0.6, 0.08), 0.3, 0.9)
        cells = (rate * lost, rate * (1 - lost), 1 - rate)
        b, c, _ = rng.multinomial(1000, cells)
        told.append(of(compared("x", 1, (c - b) / 1000, (b + c) / 1000)))
        b, c, _ = rng.multinomial(ROWS, cells)
        passed.append((c - b) / ROWS - 1.645 * ((b + c) / ROWS**2) ** 0.5 > -GATES.margin)
    assert np.mean(told) == pytest.approx(np.mean(passed), abs=0.06)
    hopeful = np.array(told) > 0.6
    assert np.mean(np.array(passed)[hopeful]) > 0.65


def test_the_constants_say_what_is_usual() -> None:
    assert (module._USUAL_DISCORDANCE, module._USUAL_LOST) == (0.01, 0.62)


@pytest.mark.parametrize("rows", [24, 60, 150, 300, 1_000])
def test_its_like_speak_for_no_candidate_that_is_wrong_on_every_row(rows: int) -> None:
    """On 24 rows, two good ones of its family gave it a chance of 99.99 %."""
    good = [
        Comparison(candidate=name, size_bytes=10, rows=rows, difference=0.0, discordance=0.02, kind="linear")
        for name in ("one", "two")
    ]
    wrong = Comparison(candidate="wrong", size_bytes=5, rows=rows, difference=-0.87, discordance=0.87, kind="linear")
    for margin in (0.01, 0.1, 0.3):
        question = Question(rows=4 * rows, gates=replace(GATES, margin=margin))
        assert chances([*good, wrong], question)["wrong"] < 0.05
