"""Targets elsewhere: a candidate passes with the predictions of every target that counts, and of none alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_verdicts import MEASUREMENT, REFERENCE, SETTINGS, TEST, TRUTH, evaluated_entry, wrong_on

from parsimony.decision import certification, gates, procedure, verdicts
from parsimony.decision.records import Rules
from parsimony.decision.shortlist import Shortlist
from parsimony.measurement.records import MachineClass, TargetSettings

HERE = TargetSettings(name="here", threads=1, p99_ms=10.0, peak_rss_bytes=None, size_bytes=None)
BOARD = replace(HERE, name="board", pool="edge")
SPARE = replace(HERE, name="spare", pool="spare", optional=True)
GOOD, BAD = wrong_on(range(40, 60)), wrong_on(range(40, 240))
RULES = Rules(gates=SETTINGS)
STUDENT, ENCODER = evaluated_entry("student", GOOD), evaluated_entry("encoder", REFERENCE)


def certified(**there: np.ndarray) -> verdicts.Entry:
    """Return the student as it is certified where these are its predictions by target."""
    predictions = {
        target: {STUDENT.id: predicted, ENCODER.id: REFERENCE}.__getitem__ for target, predicted in there.items()
    }
    tests = certification.on_targets(TEST, predictions, ENCODER.id, RULES)
    measurements = tuple(replace(MEASUREMENT, target=name or "here") for name in there)
    student = replace(STUDENT, measurements=measurements)
    chosen = Shortlist(order=(ENCODER.id, STUDENT.id), left_out=())
    return procedure.certify([ENCODER, student], chosen, tests)[1]


def word(candidate: verdicts.Entry, *targets: TargetSettings) -> str:
    return verdicts.verdict(candidate, targets, SETTINGS, {}, ENCODER.id).verdict


def test_with_one_place_the_certificate_is_what_it_was() -> None:
    alone = certification.on_predictions(
        TEST, {STUDENT.id: GOOD, ENCODER.id: REFERENCE}.__getitem__, ENCODER.id, RULES
    ).candidate(STUDENT.id, 2, 1 - SETTINGS.confidence)
    assert (certified(here=GOOD).certificate, certified(here=GOOD).floor) == alone


def test_a_candidate_passes_where_it_passes_everywhere() -> None:
    both = certified(here=GOOD, board=GOOD)
    assert both.certificate is not None
    [there] = both.certificate.elsewhere
    assert (there.target, there.certificate.lower_bound) == ("board", both.certificate.lower_bound)
    assert (there.certificate.position, there.certificate.level) == (both.certificate.position, both.certificate.level)
    assert word(both, HERE, BOARD) == "pass"


def test_who_is_judged_on_some_rows_is_judged_on_them_everywhere() -> None:
    rows = np.arange(len(TRUTH)) < 300
    ask = {STUDENT.id: GOOD, ENCODER.id: REFERENCE}.__getitem__
    tests = certification.on_targets(TEST, {"here": ask, "board": ask}, ENCODER.id, RULES, {STUDENT.id: rows})
    certificate, _ = tests.candidate(STUDENT.id, 1, 0.05)
    assert (certificate.n, certificate.elsewhere[0].certificate.n) == (300, 300)


@pytest.mark.parametrize("places", [{"here": GOOD, "board": BAD}, {"here": BAD, "board": GOOD}])
def test_a_candidate_fails_that_is_worse_on_one_target(places: dict[str, np.ndarray]) -> None:
    assert word(certified(**places), HERE, BOARD) == "fail"


def test_a_group_that_is_harmed_on_one_target_alone_is_harmed() -> None:
    first_label = np.flatnonzero(TRUTH == 0)[20:80]
    harmed = REFERENCE.copy()
    harmed[first_label] = 1
    mended = np.flatnonzero(TRUTH != 0)[150:210]
    settings = replace(SETTINGS, margin=0.2)
    harmed[mended] = TRUTH[mended]
    predictions = {
        "here": {STUDENT.id: GOOD, ENCODER.id: REFERENCE}.__getitem__,
        "board": {STUDENT.id: harmed, ENCODER.id: REFERENCE}.__getitem__,
    }
    tests = certification.on_targets(TEST, predictions, ENCODER.id, Rules(gates=settings))
    student = replace(STUDENT, measurements=tuple(replace(MEASUREMENT, target=target) for target in ("here", "board")))
    [judged] = procedure.certify([student], Shortlist(order=(STUDENT.id,), left_out=()), tests)
    said = verdicts.verdict(judged, (HERE, BOARD), settings, {}, ENCODER.id)
    assert {g.gate for g in said.gates if g.verdict == "fail"} == {"board slices"}


def test_who_fails_on_one_target_hands_no_level_on() -> None:
    others = {"first": GOOD, "second": GOOD, ENCODER.id: REFERENCE}
    worse = {**others, "first": BAD}
    order = Shortlist(order=("first", "second"), left_out=(), shares=(10, 0))
    for there, names in ((others, ["first", "second"]), (worse, ["first"])):
        tests = certification.on_targets(
            TEST, {"here": others.__getitem__, "board": there.__getitem__}, ENCODER.id, RULES
        )
        assert list(certification.in_turn(order, tests)) == names


def test_of_several_targets_the_worst_comparison_with_the_champion_counts() -> None:
    champion = {"champion": REFERENCE, ENCODER.id: REFERENCE}
    tests = certification.on_targets(
        TEST,
        {
            "here": {**champion, STUDENT.id: GOOD}.__getitem__,
            "board": {**champion, STUDENT.id: BAD}.__getitem__,
        },
        ENCODER.id,
        RULES,
    )
    assert tests.gain("champion", STUDENT.id, 1).lost == 190


# --- what is missing ------------------------------------------------------------------------------


def test_a_missing_target_passes_nobody_and_says_why() -> None:
    lost = replace(BOARD, missing="No worker: nobody polls")
    candidate = replace(certified(here=GOOD), refused=())
    said = verdicts.verdict(candidate, (HERE, lost), SETTINGS, {}, ENCODER.id)
    assert (said.verdict, said.reason) == ("inconclusive", "board measured: No worker: nobody polls")
    assert verdicts.fitting([candidate], Shortlist(order=(candidate.id,), left_out=()), (HERE, lost)).order == ()


def test_a_target_that_may_be_missing_has_no_say_where_it_is_and_has_one_where_it_is_not() -> None:
    candidate = certified(here=GOOD)
    assert word(candidate, HERE, replace(SPARE, missing="Busy: nobody was free")) == "pass"
    assert word(candidate, HERE, SPARE) == "inconclusive"


def test_targets_that_may_all_be_missing_pass_nobody_when_they_are() -> None:
    gone = replace(SPARE, missing="Busy: nobody was free")
    said = verdicts.verdict(certified(here=GOOD), (gone,), SETTINGS, {}, ENCODER.id)
    assert (said.verdict, said.reason) == ("inconclusive", "targets: no target gave a result: Busy: nobody was free")


def test_what_a_target_cannot_run_says_so() -> None:
    candidate = replace(certified(here=GOOD), refused=(("board", "QAttention is not known"),))
    said = verdicts.verdict(candidate, (HERE, BOARD), SETTINGS, {}, ENCODER.id)
    assert (said.verdict, said.reason) == ("inconclusive", "board measured: QAttention is not known")


def test_a_measurement_of_another_class_of_machine_does_not_count() -> None:
    wanted = replace(BOARD, machine=MachineClass(isa=("amx_int8",)))
    [result, *_] = gates.on_target(wanted, replace(MEASUREMENT, target="board"), 1)
    assert (result.verdict, "another class" in result.reason) == ("inconclusive", True)


def test_predictions_are_certified_where_results_came_from() -> None:
    lost = replace(BOARD, missing="Slow: it still measured")
    assert procedure.predicting((HERE,)) == ("",)
    assert procedure.predicting((HERE, BOARD)) == ("", "board")
    assert procedure.predicting((BOARD, SPARE)) == ("board", "spare")
    assert procedure.predicting((HERE, lost)) == ("",)
    assert procedure.predicting((lost,)) == ("",)
