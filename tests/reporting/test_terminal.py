"""The table for a terminal: the most telling candidates in 100 columns, or the whole ladder."""

from __future__ import annotations

from dataclasses import replace

import decisions
import pytest
from pages import EVERY

from parsimony.candidates import MAX_ID_CHARS, Candidate, ModelSpec
from parsimony.decision.records import CandidateVerdict, Decision, Judged
from parsimony.reporting import ladder_table, left_out, table
from parsimony.reporting.facts import ladder

WIDTH = 100
GAP = 2  # spaces between two columns where the command line prints them


def _width(rows: list[tuple[str, ...]]) -> int:
    return sum(max(map(len, column)) for column in zip(*rows, strict=True)) + GAP * (len(rows[0]) - 1)


def _names(rows: list[tuple[str, ...]]) -> list[str]:
    return [row[0] for row in rows[1:]]


def _renamed(before: Decision) -> Decision:
    """Return the decision with an id of 40 characters for every candidate."""
    long = {j.candidate: f"{i:02d}".ljust(MAX_ID_CHARS, "x") for i, j in enumerate(before.judged)}
    judged = tuple(replace(j, candidate=long[j.candidate]) for j in before.judged)
    winner = None if before.winner is None else long[before.winner]
    return replace(before, judged=judged, winner=winner, reference=long[before.reference])


# --- the whole ladder -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_the_ladder_has_every_candidate(name: str) -> None:
    rows = ladder_table(EVERY[name]())
    assert _names(rows) == [judged.candidate for judged in ladder(EVERY[name]())]
    assert set(table(EVERY[name]())) <= set(rows)


def test_the_ladder_marks_what_was_not_built() -> None:
    [row] = [row for row in ladder_table(decisions.decision()) if row[0] == "student-L1+trim+int4"]
    assert row == ("student-L1+trim+int4", "~2.2", "–", "–", "not built")


def test_names_keep_their_base_where_two_bases_would_look_alike() -> None:
    specs = [ModelSpec(family="student", base=base, shape=("L2",), tag=base) for base in ("a", "b")]
    before = decisions.decision()
    pair = tuple(decisions.judged(Candidate(spec=spec, techniques=("int8",)), 4_000_000) for spec in specs)
    decision = replace(before, judged=(*before.judged, *pair))
    assert {"student-L2@a+int8", "student-L2@b+int8"} < set(_names(ladder_table(decision)))


# --- the most telling rows ------------------------------------------------------------------------


def test_the_table_shows_differences_to_the_reference_and_its_level() -> None:
    rows = table(decisions.decision())
    assert rows[0] == ("candidate", "MB", "vs reference", "p50 ms", "verdict")
    assert rows[1] == ("linear-words", "0.221", "−0.0313 validation", "–", "not certified")
    assert rows[2] == ("linear-char-ngrams", "1.86", "−0.0052 ≥ −0.0125", "0.064", "inconclusive")
    assert rows[4] == ("student-L2+trim+int4", "3.74", "−0.0019 ≥ −0.0066", "0.710", "winner")
    assert rows[-1] == ("encoder", "91.0", "accuracy 0.9192", "4.10", "reference")
    assert table(decisions.with_metric("macro_f1"))[-1][2] == "macro F1 0.9179"


@pytest.mark.parametrize("name", EVERY)
def test_the_table_is_smallest_first_and_never_longer_than_twelve_rows(name: str) -> None:
    decision = EVERY[name]()
    names = _names(table(decision))
    assert len(names) <= 12
    assert names == [judged.candidate for judged in ladder(decision) if judged.candidate in names]


@pytest.mark.parametrize("name", [name for name in EVERY if name != "hostile"])
def test_the_table_fits_100_columns_with_ids_of_40_characters(name: str) -> None:
    assert _width(table(EVERY[name]())) <= WIDTH
    assert _width(table(_renamed(EVERY[name]()))) <= WIDTH
    assert _width(ladder_table(_renamed(EVERY[name]()))) <= WIDTH


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive", "not built", "not certified"])
@pytest.mark.parametrize("champion", [False, True])
def test_no_verdict_of_reference_and_champion_is_too_wide(verdict: CandidateVerdict, champion: bool) -> None:
    before = _renamed(replace(decisions.decision(), outcome="none", winner=None))
    changed = tuple(_large(j, verdict, champion) for j in before.judged)
    rows = table(replace(before, judged=changed))
    assert _width(rows) <= WIDTH
    roles = {"reference", "champion", "reference, champion"}
    assert all(verdict in row[4] or (row[4] in roles and verdict in ("pass", "not certified")) for row in rows[1:])


def _large(judged: Judged, verdict: CandidateVerdict, champion: bool) -> Judged:
    """Return a candidate of 10 GB and a minute a text, whose test difference is as wide as can be."""
    slow = tuple(decisions.measurement(60_000.0) for _ in judged.measurements)
    bundle = judged.bundle and replace(judged.bundle, size_bytes=9_990_000_000)
    return replace(judged, verdict=verdict, is_champion=champion, measurements=slow, bundle=bundle)


def test_a_winner_with_every_role_is_not_too_wide() -> None:
    before = _renamed(replace(decisions.decision(), winner=decisions.REFERENCE))
    every = replace(before, judged=tuple(replace(j, is_champion=j.is_reference) for j in before.judged))
    assert table(every)[-1][4] == "winner, champion"
    assert _width(table(every)) <= WIDTH


def test_roles_stand_beside_a_verdict_that_is_no_pass() -> None:
    assert table(decisions.nothing_passed())[-1][4] == "fail, reference"
    assert [row[4] for row in table(decisions.replaced())[1:] if "champion" in row[0]] == ["champion"]
    assert [row[4] for row in table(decisions.kept())[1:] if row[0] == decisions.WINNER] == ["winner, champion"]
    assert table(decisions.bare())[1:] == [("encoder", "~91", "–", "–", "not built, reference")]


def test_winner_reference_champion_and_the_tested_are_shown_before_the_best_of_the_rest() -> None:
    decision = decisions.replaced()
    tested = {judged.candidate for judged in decision.judged if judged.certificate is not None}
    assert tested <= set(_names(table(decision)))
    rest = [name for name in _names(table(decision)) if name not in tested]
    assert rest == ["linear-words", "encoder+int4", "encoder-frozen+int8", "encoder+fusion"]
    left = {judged.candidate for judged in decision.judged} - set(_names(table(decision)))
    assert left == {"student-L1+trim+int8", "student-L1+trim+int4"}


def test_of_many_tested_candidates_the_smallest_are_shown_with_winner_and_reference() -> None:
    decision = decisions.many(60)
    names = _names(table(decision))
    tested = [judged.candidate for judged in ladder(decision) if judged.certificate is not None]
    assert len(names) == 12 < len(tested)
    assert {decisions.WINNER, decisions.REFERENCE} < set(names)
    assert names[:-1] == tested[:11]


def test_what_is_larger_than_the_reference_is_no_near_miss() -> None:
    before = decisions.decision()
    bundle = before.of("encoder+fusion").bundle
    assert bundle is not None
    larger = tuple(
        replace(j, bundle=replace(bundle, size_bytes=91_100_000)) if j.candidate == "encoder+fusion" else j
        for j in before.judged
    )
    assert "encoder+fusion" in _names(table(before))
    assert "encoder+fusion" not in _names(table(replace(before, judged=larger)))


# --- what is left out -----------------------------------------------------------------------------


def test_one_line_says_what_the_table_leaves_out() -> None:
    assert left_out(decisions.decision()) == "1 more candidate, not built: --all shows it"
    assert left_out(decisions.replaced()) == "2 more candidates, 1 of them not built: --all shows them"
    assert left_out(decisions.many(40)) == "28 more candidates, 10 of them not built: --all shows them"
    assert left_out(decisions.bare()) == "12 more candidates, none of them built: --all shows them"


def test_nothing_is_said_when_nothing_is_left_out() -> None:
    before = decisions.decision()
    few = tuple(judged for judged in before.judged if judged.certificate is not None)
    assert left_out(replace(before, judged=few)) == ""
    larger = tuple(judged for judged in before.judged if judged.bundle is not None)
    assert left_out(replace(before, judged=larger)) == ""


@pytest.mark.parametrize("name", EVERY)
def test_rows_shown_and_rows_left_out_are_all_rows(name: str) -> None:
    decision = EVERY[name]()
    words = left_out(decision)
    assert len(_names(table(decision))) + int(words.split()[0] if words else 0) == len(decision.judged)
