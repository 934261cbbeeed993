"""The decision procedure as a whole: from comparisons on the validation split to the winner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from decisions import cost
from test_verdicts import MEASUREMENT, REFERENCE, ROWS, SETTINGS, TARGET, TEST, TRUTH, Predictions, wrong_on

from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.data.splits import Splits
from parsimony.data.table import Dataset, Table
from parsimony.decision import gates, procedure, verdicts, winner
from parsimony.decision.certification import on_predictions
from parsimony.decision.chances import chances
from parsimony.decision.procedure import Case, RunFacts
from parsimony.decision.records import Decision, PlannedTest, Rules, Shift, Standing
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry

CASE = Case(reference="reference", gates=SETTINGS, targets=(TARGET,), test_rows=len(TRUTH))


DATASET = Dataset(
    folder="", digest="d", labels=("a", "b", "c"), train_rows=3, validation_rows=3, test_rows=3, test_digest="t",
    quarantined=(), notes=(),
)  # fmt: skip


def entry(family: str, predictions: np.ndarray, size_bytes: int) -> Entry:
    """Return a measured candidate that predicts the same on both splits, which are the same rows here."""
    return Entry(
        candidate=Candidate(spec=ModelSpec(family=family, base="b")),
        predicted_bytes=size_bytes,
        bundle=BuiltBundle(folder="", digest=family, size_bytes=size_bytes),
        predictions=predictions,
        validation=gates.score(TRUTH, predictions, 4),
        measurements=(MEASUREMENT,),
    )


SMALL, GOOD, BAD = wrong_on(range(52)), wrong_on(range(51)), wrong_on(range(200))
ENTRIES = [
    entry("reference", REFERENCE, 4_000_000),
    entry("good", GOOD, 2_000_000),
    entry("small", SMALL, 1_000_000),
    entry("bad", BAD, 100_000),
    Entry(candidate=Candidate(spec=ModelSpec(family="unbuilt", base="b")), predicted_bytes=5, obstacle="no budget"),
]
PREDICTIONS = {"reference": REFERENCE, "good": GOOD, "small": SMALL, "bad": BAD}


def test_every_candidate_with_predictions_is_compared_and_no_other() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    assert comparisons == tuple(verdicts.compare(one, ENTRIES[0], TRUTH, SETTINGS) for one in ENTRIES[:4])
    assert [one.is_reference for one in comparisons] == [True, False, False, False]


def test_the_whole_way_promotes_the_smallest_candidate_that_passes_and_says_why_each_other_does_not() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    asked = Predictions(**PREDICTIONS)
    ruling = procedure.decide(
        CASE, ENTRIES, comparisons, on_predictions(TEST, asked, "reference", Rules(gates=SETTINGS))
    )
    assert (ruling.outcome, ruling.winner) == ("promoted", "small")
    assert ruling.reason == winner.decide(ruling.judged)[2]
    words = {one.candidate: (one.verdict, one.reason) for one in ruling.judged}
    assert words["small"] == ("pass", "")
    assert words["unbuilt"] == ("not built", "no budget")
    assert words["bad"][0] == "not certified"
    assert "chance that 1,000 test rows certify it" in words["bad"][1]
    assert "bad" not in asked.asked
    assert [one.is_reference for one in ruling.judged] == [True, False, False, False, False]
    assert ruling.smallest_certifiable_margin == verdicts.certifiable_margin(comparisons, 1000, SETTINGS)


def test_a_candidate_that_fails_a_target_is_not_asked_about() -> None:
    slow = replace(MEASUREMENT, p99=replace(MEASUREMENT.p99, value_ms=50.0, low_ms=40.0, high_ms=60.0))
    entries = [replace(one, measurements=(slow,)) if one.id == "small" else one for one in ENTRIES]
    comparisons = procedure.compare(CASE, entries, TRUTH)
    asked = Predictions(**PREDICTIONS)
    tests = on_predictions(TEST, asked, "reference", Rules(gates=SETTINGS))
    ruling = procedure.decide(CASE, entries, comparisons, tests)
    assert "small" not in asked.asked
    words = {one.candidate: one.reason for one in ruling.judged}
    assert words["small"].startswith("here p99_ms: 50.000 ms")
    assert ruling.winner != "small"


def test_the_steps_one_by_one_give_what_the_whole_way_gives() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    tests = on_predictions(TEST, Predictions(**PREDICTIONS), "reference", Rules(gates=SETTINGS))
    chosen = procedure.fitting(CASE, ENTRIES, procedure.choose(CASE, comparisons))
    assert chosen.order[0] == "reference"
    certified = procedure.certify(ENTRIES, chosen, tests)
    assert procedure.conclude(CASE, certified, chosen, comparisons) == procedure.decide(
        CASE, ENTRIES, comparisons, tests
    )


def test_what_waits_for_a_person_is_what_would_be_promoted() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    waiting = replace(CASE, gates=replace(SETTINGS, approval="mlflow"))
    for predictions, outcomes in ((PREDICTIONS, ("promoted", "waiting")), ({}, ("none", "none"))):
        known = dict.fromkeys(PREDICTIONS, BAD) | {"reference": REFERENCE} | predictions
        targets = (TARGET,) if predictions else (replace(TARGET, p99_ms=0.01),)
        for case, outcome in zip((CASE, waiting), outcomes, strict=True):
            tests = on_predictions(TEST, Predictions(**known), "reference", Rules(gates=case.gates))
            assert procedure.decide(replace(case, targets=targets), ENTRIES, comparisons, tests).outcome == outcome


def test_what_a_person_has_said_about_promotions_counts() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    tests = on_predictions(TEST, Predictions(**PREDICTIONS), "reference", Rules(gates=SETTINGS))
    ruling = procedure.decide(replace(CASE, standing=Standing(hold="an audit")), ENTRIES, comparisons, tests)
    assert (ruling.outcome, ruling.winner) == ("none", None)
    assert "small would be promoted" in ruling.reason


def test_tests_are_planned_with_the_share_and_the_chance_of_each_candidate_but_the_reference() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    known = chances(comparisons, CASE.question)
    chosen = Shortlist(order=("reference", "good", "small"), left_out=(), shares=(0, 4, 6))
    assert procedure.planned(CASE, chosen, comparisons) == (
        PlannedTest(candidate="good", share=0.4, chance=known["good"]),
        PlannedTest(candidate="small", share=0.6, chance=known["small"]),
    )
    assert [test.share for test in procedure.planned(CASE, replace(chosen, shares=()), comparisons)] == [0.0, 0.0]
    broken = [one for one in comparisons if one.candidate != "good"]
    assert [test.candidate for test in procedure.planned(CASE, chosen, broken)] == ["small"]
    ruling = procedure.decide(
        CASE, ENTRIES, comparisons, on_predictions(TEST, Predictions(**PREDICTIONS), "reference", Rules(gates=SETTINGS))
    )
    fixed = procedure.fitting(CASE, ENTRIES, procedure.choose(CASE, comparisons))
    assert ruling.tests == procedure.planned(CASE, fixed, comparisons) != ()


def test_a_decision_is_the_ruling_the_case_and_what_the_run_says_of_itself() -> None:
    comparisons = procedure.compare(CASE, ENTRIES, TRUTH)
    tests = on_predictions(TEST, Predictions(**PREDICTIONS), "reference", Rules(gates=SETTINGS))
    ruling = procedure.decide(CASE, ENTRIES, comparisons, tests)
    case = replace(CASE, shift=Shift(new_words=0.1), standing=Standing(hold="an audit"))
    facts = RunFacts(model="m", run_id="r", started_at="2026-01-05", seed=7, test_reuse=3, cost=cost())
    assert procedure.decision_of(case, ruling, DATASET, facts) == Decision(
        outcome=ruling.outcome,
        reason=ruling.reason,
        model="m",
        winner=ruling.winner,
        reference="reference",
        judged=ruling.judged,
        gates=SETTINGS,
        targets=(TARGET,),
        dataset=DATASET,
        smallest_certifiable_margin=ruling.smallest_certifiable_margin,
        cost=cost(),
        test_reuse=3,
        seed=7,
        started_at="2026-01-05",
        run_id="r",
        tests=ruling.tests,
        shift=case.shift,
        standing=case.standing,
    )


def test_the_test_set_is_the_test_split_with_its_classes_one_for_what_is_no_label_and_slices() -> None:
    table = Table(
        source="t",
        texts=("x", "y", "z"),
        labels=("b", "a", "b"),
        rows=(1, 2, 3),
        slices=(("region", ("eu", "us", "eu")),),
    )
    other = replace(table, labels=("c", "c", "c"))
    test = procedure.test_set(Splits(DATASET, {"train": other, "validation": other, "test": table}))
    assert (test.truth.tolist(), test.classes, len(test)) == ([1, 0, 1], 4, 3)
    assert {key: rows.tolist() for key, rows in test.slices.items()} == {
        ("label", "a"): [False, True, False],
        ("label", "b"): [True, False, True],
        ("region", "eu"): [True, False, True],
        ("region", "us"): [False, True, False],
    }
    assert set(ROWS) == {("label", str(number)) for number in range(4)}
