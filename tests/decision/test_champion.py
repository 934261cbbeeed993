"""The champion beside the candidates: on which rows it is judged, and when a candidate is proven to be worse than it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_selection import judged
from test_verdicts import REFERENCE, SETTINGS, TEST, TRUTH, N, Predictions, entry, wrong_on

from parsimony.data.labels import translated
from parsimony.data.row_digests import read_row_digests, row_digests, write_row_digests
from parsimony.data.splits import Splits
from parsimony.data.table import Dataset, Table
from parsimony.decision import champion, exact_test, stats, verdicts
from parsimony.decision.certification import certify, on_predictions
from parsimony.decision.records import Coverage, OverChampion, Rules
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.winner import decide
from parsimony.errors import DataError
from parsimony.reporting.evidence import read_predictions, write_predictions

RULES = Rules(gates=SETTINGS)


def table(texts: str, labels: str) -> Table:
    return Table(source="t", texts=tuple(texts.split()), labels=tuple(labels), rows=tuple(range(1, len(labels) + 1)))


def splits(texts: str, labels: str) -> Splits:
    test = table(texts, labels)
    dataset = Dataset(
        folder="", digest="d", labels=tuple(sorted(set(labels))), train_rows=1, validation_rows=1, test_rows=len(test),
        test_digest="t", quarantined=(), notes=(),
    )  # fmt: skip
    return Splits(dataset, {"train": test, "validation": test, "test": test})


# --- which rows -----------------------------------------------------------------------------------


def test_a_champion_is_judged_on_rows_whose_labels_it_knows_and_that_it_was_not_trained_on() -> None:
    coverage, rows = champion.cover(
        "3", ("a", "b", "old"), splits("one two three four", "abca"), row_digests(["TWO", "four", "no"])
    )
    assert rows.tolist() == [True, False, False, False]
    assert coverage == Coverage(
        version="3", rows=1, new_labels=("c",), gone_labels=("old",), of_new_labels=1, trained_on=2
    )


def test_a_row_of_a_new_label_that_it_was_trained_on_counts_once() -> None:
    coverage, rows = champion.cover("3", ("a",), splits("one two", "ab"), row_digests(["two"]))
    assert (coverage.of_new_labels, coverage.trained_on, coverage.rows, rows.tolist()) == (1, 0, 1, [True, False])


def test_without_the_digests_nothing_is_left_out_and_this_is_said() -> None:
    coverage, rows = champion.cover("3", ("a", "b"), splits("one two", "ab"), None)
    assert (coverage.trained_on, rows.tolist()) == (None, [True, True])


def test_the_digests_of_rows_hold_no_text_and_come_back_sorted_and_once(tmp_path: Path) -> None:
    write_row_digests(tmp_path / "rows.npy", ["secret words", "another", "Secret  WORDS"])
    content = (tmp_path / "rows.npy").read_bytes()
    assert b"secret" not in content.lower() and len(content) < 200
    digests = read_row_digests(tmp_path / "rows.npy")
    assert digests.tolist() == sorted(set(row_digests(["another", "secret words"]).tolist()))


@pytest.mark.parametrize("kind", ["text", "floats", "pickle"])
def test_a_file_of_another_kind_holds_no_digests(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    if kind == "text":
        path.write_text("1 2 3")
    else:
        np.save(path, np.array([1.0] if kind == "floats" else [{}]), allow_pickle=True)
    with pytest.raises(DataError, match="holds no digests of rows"):
        read_row_digests(path)


def test_what_a_champion_of_other_labels_predicts_is_none_of_todays_labels_where_it_is_none(tmp_path: Path) -> None:
    classes = translated(np.array([0, 1, 2, 1]), ("b", "old", "a"), ("a", "b"))
    assert classes.tolist() == [1, 2, 0, 2]
    write_predictions(tmp_path / "p" / "c.json", classes, ("a", "b"))
    assert json.loads((tmp_path / "p" / "c.json").read_text()) == ["b", None, "a", None]
    assert read_predictions(tmp_path / "p" / "c.json", ("a", "b")).tolist() == classes.tolist()


# --- the comparison -------------------------------------------------------------------------------


def test_candidate_and_champion_are_compared_on_the_rows_that_the_champion_is_judged_on() -> None:
    """Of its hundred lost rows ninety are left out, and of the champion's fifty all."""
    mine = entry("student")
    rows = np.ones(N, dtype=bool)
    rows[:90] = rows[500:550] = False
    old = replace(entry("linear"), is_champion=True, covered=rows, coverage=Coverage(version="1", rows=N - 140))
    asked = Predictions(reference=REFERENCE, **{mine.id: wrong_on(range(100)), old.id: wrong_on(range(500, 550))})
    tests = on_predictions(TEST, asked, "reference", Rules(gates=replace(SETTINGS, margin=0.3)), {old.id: rows})
    first, last = certify([mine, old], Shortlist(order=(mine.id,), left_out=()), tests)
    assert first.certificate is not None and last.certificate is not None
    over = first.certificate.over_champion
    assert over is not None
    assert (over.n, over.lost, over.won, over.champion.correct) == (N - 140, 10, 0, N - 140)
    assert sum(one.lost for one in over.labels) == 10
    assert (first.certificate.n, last.certificate.n, last.certificate.score.correct) == (N, N - 140, N - 140)


def test_a_verdict_holds_the_gates_of_the_champion_and_carries_what_they_looked_at() -> None:
    mine, old = entry("student"), replace(entry("linear"), is_champion=True)
    asked = Predictions(reference=REFERENCE, **{mine.id: wrong_on(range(100)), old.id: REFERENCE})
    tests = on_predictions(TEST, asked, "reference", Rules(gates=replace(SETTINGS, margin=0.3)))
    first, last = certify([mine, old], Shortlist(order=(mine.id,), left_out=()), tests)
    assert first.certificate is not None and first.certificate.over_champion is not None
    known = replace(last, coverage=Coverage(version="1", rows=N), refused=(("board", "too old"),))
    judged = [verdicts.verdict(one, (), SETTINGS, {}, "reference") for one in (first, known)]
    assert champion.judge(first.certificate.over_champion, SETTINGS)[0] in judged[0].gates
    assert champion.knows_labels(known.coverage)[0] in judged[1].gates
    assert (judged[0].coverage, judged[1].coverage, judged[1].refused) == (None, known.coverage, known.refused)


def test_a_champion_that_can_be_judged_on_no_row_is_not_tested() -> None:
    none = np.zeros(N, dtype=bool)
    old = replace(entry("linear"), is_champion=True, covered=none, coverage=Coverage(version="1", rows=0, trained_on=N))
    mine = entry("student")
    asked = Predictions(reference=REFERENCE, **{mine.id: REFERENCE, old.id: REFERENCE})
    first, last = certify(
        [mine, old],
        Shortlist(order=(mine.id,), left_out=()),
        on_predictions(TEST, asked, "reference", RULES, {old.id: none}),
    )
    assert first.certificate is not None and first.certificate.over_champion is None
    assert last.certificate is None
    word = verdicts.verdict(last, (), SETTINGS, {}, "reference")
    assert (word.verdict, word.reason) == ("not certified", "it can be judged on no row of today's test split")


def over(lost: int, won: int, n: int = 1000) -> OverChampion:
    """Compare on n rows of which only the champion gets `lost` right, and only the candidate `won`."""
    truth = np.zeros(n, dtype=np.int64)
    theirs, mine = truth.copy(), truth.copy()
    mine[:lost], theirs[lost : lost + won] = 1, 1
    test = replace(TEST, truth=truth, slices={("label", "0"): truth == 0})
    return champion.compare(test, theirs, mine, RULES, 1)


def test_what_is_proven_to_be_worse_than_the_champion_by_more_than_the_margin_fails() -> None:
    [proven] = champion.judge(over(84, 0), SETTINGS)
    assert (proven.gate, proven.verdict, proven.limit) == ("champion", "fail", -0.02)
    assert proven.reason.startswith(
        "accuracy -0.0840 against the champion on the same 1,000 rows, 84 lost, 0 won; at most -0.06"
    )
    assert [gate.verdict for gate in champion.judge(over(84, 0), replace(SETTINGS, champion_margin=1.0))] == ["pass"]
    assert champion.judge(None, SETTINGS) == ()


def test_what_is_not_proven_to_be_worse_passes_and_nothing_that_is_no_number_does() -> None:
    [gate] = champion.judge(over(30, 5), SETTINGS)
    assert gate.verdict == "pass" and gate.value is not None and -0.02 < gate.value < -0.01
    unknown = replace(over(30, 5), upper_bound=float("nan"))
    assert [gate.verdict for gate in champion.judge(unknown, SETTINGS)] == ["fail"]


def test_the_proof_takes_the_exact_critical_value() -> None:
    """At the normal quantile these counts would prove it; one that truly loses just the margin would be refused too often."""
    for lost in range(20, 60):
        nominal, exact = stats.paired_bounds(lost, 0, 1000, 0.95)[1], over(lost, 0).upper_bound
        assert exact >= nominal
    critical = exact_test.critical_value(1000, 0.02, 0.95, "more")
    assert over(84, 0).upper_bound == -stats.paired_bounds(0, 84, 1000, 0.95, critical)[0]


@pytest.mark.slow
def test_macro_f1_is_compared_by_the_bootstrap() -> None:
    macro = Rules(gates=replace(SETTINGS, metric="macro_f1"))
    theirs, mine = TRUTH.copy(), wrong_on(range(0, N, 10))
    result = champion.compare(TEST, theirs, mine, macro, 2)
    low, high = stats.macro_f1_bounds(TRUTH, theirs, mine, 4, 0.975, 0)
    assert (result.lower_bound, result.upper_bound) == (low, high)
    assert result.difference == stats.macro_f1(TRUTH, mine, 4) - 1


# --- what follows ---------------------------------------------------------------------------------


def test_a_candidate_that_is_proven_worse_is_refused_and_a_larger_one_that_is_not_wins() -> None:
    worse = replace(judged("small", 100, "fail"), reason="champion: accuracy -0.0840")
    result = [worse, judged("middle", 400), judged("champion", 900, champion=True)]
    assert decide(result)[:2] == ("promoted", "middle")


def test_a_champion_that_does_not_know_a_label_fails_and_this_is_said() -> None:
    coverage = Coverage(version="1", rows=9, new_labels=tuple("abcdefg"), of_new_labels=1_200)
    [gate] = champion.knows_labels(coverage)
    assert (gate.gate, gate.verdict) == ("labels", "fail")
    assert gate.reason == "it was trained before there was 'a', 'b', 'c', 'd', 'e' and 2 more, 1,200 test rows"
    assert [gate.verdict for gate in champion.knows_labels(Coverage(version="1", rows=9))] == ["pass"]
    assert champion.knows_labels(None) == ()


def test_a_winner_that_is_probably_worse_than_the_champion_is_promoted_with_a_warning() -> None:
    comparison = over(30, 5)
    winner = judged("new", 100, gates=(*judged("x", 1).gates, *champion.judge(comparison, SETTINGS)))
    assert winner.certificate is not None
    winner = replace(winner, certificate=replace(winner.certificate, over_champion=comparison))
    assert decide([winner, judged("champion", 900, champion=True)])[2] == (
        "89% smaller than the champion and passes every gate; "
        "it is probably worse than the champion: -0.0250 on the same 1,000 test rows"
    )


@pytest.mark.parametrize(
    ("difference", "upper", "warned"),
    [
        (-0.001, 0.01, False),
        (-0.03, 0.01, True),  # by more than the margin
        (-0.001, -0.0001, True),  # beyond noise
        (-0.001, 0.0, False),
        (-0.02, 0.01, False),
    ],
)
def test_the_warning_follows_from_the_bound_and_from_the_margin(difference: float, upper: float, warned: bool) -> None:
    comparison = over(30, 5)
    gates = (*judged("x", 1).gates, *champion.judge(comparison, SETTINGS))
    assert gates[-1].limit == -0.02
    winner = judged("new", 100, gates=gates)
    assert winner.certificate is not None
    compared = replace(comparison, difference=difference, upper_bound=upper)
    winner = replace(winner, certificate=replace(winner.certificate, over_champion=compared))
    reason = decide([winner, judged("champion", 900, champion=True)])[2]
    assert ("probably worse than the champion" in reason) == warned


def test_of_a_champion_that_was_not_tested_nothing_is_said_to_pass_no_longer() -> None:
    lost = judged("champion", 100, "not built", champion=True, bound=None)
    assert decide([judged("new", 900), lost])[2] == "the champion could not be tested: reason of champion"
    assert decide([judged("new", 900, "fail"), lost])[2].endswith(
        "the champion could not be tested (reason of champion), and stays"
    )
