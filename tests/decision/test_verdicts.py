"""From answers to verdicts: the test split is asked in order, and no further than the first that does not pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from decisions import ENVIRONMENT

from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.data.slicing import Rows
from parsimony.decision import certification, exact_test, gates, slices, stats, verdicts, winner
from parsimony.decision.chances import Comparison
from parsimony.decision.records import GateResult, GateSettings, Place, Rules, TestSet
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry
from parsimony.measurement.records import Measurement, Quantile, TargetSettings

N = 1000
TRUTH = np.arange(N) % 4
ROWS = {("label", str(number)): number == TRUTH for number in range(4)}
TEST = TestSet(truth=TRUTH, classes=4, slices=ROWS)
SETTINGS = GateSettings(metric="accuracy", margin=0.02, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0)
WHOLE = Place(position=1, level=1 - SETTINGS.confidence)
TARGET = TargetSettings(name="here", threads=1, p99_ms=10.0, peak_rss_bytes=None, size_bytes=5_000_000)
MILLISECOND = Quantile(value_ms=1.0, low_ms=0.9, high_ms=1.1)
MEASUREMENT = Measurement(
    target="here",
    samples=1500,
    p50=MILLISECOND,
    p90=MILLISECOND,
    p99=MILLISECOND,
    throughput_per_s=900.0,
    peak_rss_bytes=150_000_000,
    startup_s=0.4,
    noise=0.03,
    stable=True,
    environment=ENVIRONMENT,
)


def wrong_on(*rows: range) -> np.ndarray:
    """Return answers that are wrong on these rows alone."""
    predictions = TRUTH.copy()
    for part in rows:
        predictions[part] = (TRUTH[part] + 1) % 4
    return predictions


REFERENCE = wrong_on(range(50))


def entry(family: str = "student", **changes: Any) -> Entry:
    known: dict[str, Any] = {
        "candidate": Candidate(
            spec=ModelSpec(family=family, base="hf:owner/name", shape=("L3",)), techniques=("int8",)
        ),
        "predicted_bytes": 1000,
        "bundle": BuiltBundle(folder="", digest="d", size_bytes=1001),
    }
    return Entry(**{**known, **changes})


def evaluated_entry(family: str, predictions: np.ndarray) -> Entry:
    return entry(family, predictions=predictions, validation=gates.score(TRUTH, predictions, 4))


class Predictions:
    """The answers to the test split, and who was asked for them."""

    def __init__(self, **predictions: np.ndarray) -> None:
        self.known = predictions
        self.asked: list[str] = []

    def __call__(self, name: str) -> np.ndarray:
        self.asked.append(name)
        return self.known[name]


def certify(
    order: tuple[str, ...],
    predictions: Callable[[str], np.ndarray],
    settings: GateSettings = SETTINGS,
    shares: tuple[int, ...] = (),
) -> Any:
    tests = certification.on_predictions(TEST, predictions, "reference", Rules(gates=settings))
    return certification.in_turn(Shortlist(order=order, left_out=(), shares=shares), tests)


def asked(
    entries: Sequence[Entry],
    order: Sequence[str],
    predictions: Callable[[str], np.ndarray],
    settings: GateSettings = SETTINGS,
    rows: Rows = ROWS,
) -> list[Entry]:
    """Return the entries after the test split was asked about them in this order."""
    rules, test = Rules(gates=settings), replace(TEST, slices=rows)
    chosen = Shortlist(order=tuple(order), left_out=())
    return certification.certify(entries, chosen, certification.on_predictions(test, predictions, "reference", rules))


# --- the validation split -----------------------------------------------------------------------------


def test_a_candidate_is_compared_with_the_reference_row_by_row() -> None:
    candidate = evaluated_entry("student", wrong_on(range(40, 70)))
    assert verdicts.compare(candidate, evaluated_entry("encoder", REFERENCE), TRUTH, SETTINGS) == Comparison(
        candidate="student-L3+int8",
        size_bytes=1001,
        rows=1000,
        difference=0.97 - 0.95,
        discordance=0.06,
        kind="student",
    )
    spec = candidate.candidate.spec
    for techniques in (("trim",), ("trim", "int8"), ("int8",), ()):
        one = replace(candidate, candidate=Candidate(spec=spec, techniques=techniques))
        trimmed = verdicts.compare(one, evaluated_entry("encoder", REFERENCE), TRUTH, SETTINGS).trimmed
        assert trimmed is ("trim" in techniques)


def test_the_comparison_uses_the_metric_of_the_gates() -> None:
    candidate, reference = evaluated_entry("student", wrong_on(range(40, 70))), evaluated_entry("encoder", REFERENCE)
    observed = verdicts.compare(candidate, reference, TRUTH, replace(SETTINGS, metric="macro_f1"))
    assert candidate.validation is not None
    assert reference.validation is not None
    assert observed.difference == candidate.validation.macro_f1 - reference.validation.macro_f1


@pytest.mark.parametrize("missing", ["predictions", "validation", "bundle"])
def test_a_candidate_without_answers_or_bundle_is_not_compared(missing: str) -> None:
    candidate, reference = evaluated_entry("student", REFERENCE), evaluated_entry("encoder", REFERENCE)
    with pytest.raises(ValueError, match=r"student-L3\+int8 has no"):
        verdicts.compare(replace(candidate, **{missing: None}), reference, TRUTH, SETTINGS)


# --- the test split -----------------------------------------------------------------------------


def test_testing_stops_at_the_first_that_does_not_pass_and_asks_nobody_behind_it() -> None:
    asked_for = Predictions(
        reference=REFERENCE, safe=wrong_on(range(52)), worse=wrong_on(range(90)), small=wrong_on(range(51))
    )
    tested = certify(("safe", "worse", "small"), asked_for)
    assert {name: certificate.verdict for name, (certificate, _) in tested.items()} == {"safe": "pass", "worse": "fail"}
    assert [certificate.position for certificate, _ in tested.values()] == [1, 2]
    assert asked_for.asked == ["reference", "safe", "worse"]


def test_one_with_a_part_of_the_level_is_tested_whatever_became_of_the_others() -> None:
    asked_for = Predictions(
        reference=REFERENCE,
        safe=wrong_on(range(52)),
        worse=wrong_on(range(90)),
        small=wrong_on(range(51)),
        last=REFERENCE,
    )
    tested = certify(("reference", "safe", "worse", "small", "last"), asked_for, shares=(0, 4, 1, 3, 2))
    levels = {name: round(certificate.level, 9) for name, (certificate, _) in tested.items()}
    assert levels == {"reference": 0.05, "safe": 0.02, "worse": 0.025, "small": 0.015, "last": 0.025}
    assert {name: c.verdict for name, (c, _) in tested.items() if c.verdict != "pass"} == {"worse": "fail"}


def test_the_bound_and_the_verdict_are_those_of_the_level() -> None:
    mine = wrong_on(range(61))
    whole = certify(("mine",), Predictions(reference=REFERENCE, mine=mine))["mine"][0]
    tenth = certify(
        ("none", "mine"), Predictions(reference=REFERENCE, mine=mine, none=wrong_on(range(90))), shares=(9, 1)
    )
    assert (whole.verdict, tenth["mine"][0].verdict) == ("pass", "inconclusive")
    critical = exact_test.critical_value(N, SETTINGS.margin, 1 - tenth["mine"][0].level)
    assert tenth["mine"][0].lower_bound == stats.paired_bounds(11, 0, N, 0.95, critical)[0] < whole.lower_bound


def test_a_floor_is_judged_at_the_level_of_the_candidate() -> None:
    asked_for = Predictions(reference=REFERENCE, large=wrong_on(range(90)), small=REFERENCE)
    floor = certify(("large", "small"), asked_for, shares=(9, 1))["small"][1]
    assert floor.value == stats.proportion_lower(950, N, 1 - 0.1 * WHOLE.level)


def test_nobody_is_tested_behind_a_reference_below_the_floor() -> None:
    asked_for = Predictions(reference=REFERENCE, small=TRUTH)
    tested = certify(("reference", "small"), asked_for, replace(SETTINGS, floor=0.97), shares=(0, 10))
    assert list(tested) == ["reference"]


def test_an_inconclusive_test_stops_the_sequence_too() -> None:
    asked_for = Predictions(reference=REFERENCE, unsure=wrong_on(range(70)), small=REFERENCE)
    tested = certify(("unsure", "small"), asked_for)
    assert [(name, certificate.verdict) for name, (certificate, _) in tested.items()] == [("unsure", "inconclusive")]


def test_a_missed_floor_stops_the_sequence_too() -> None:
    asked_for = Predictions(reference=REFERENCE, safe=REFERENCE.copy(), small=wrong_on(range(1)))
    tested = certify(("safe", "small"), asked_for, replace(SETTINGS, floor=0.96))
    assert {name: (c.verdict, floor.verdict) for name, (c, floor) in tested.items()} == {"safe": ("pass", "fail")}


def test_with_nothing_to_test_the_sealed_split_is_not_asked() -> None:
    asked_for = Predictions(reference=REFERENCE)
    assert certify((), asked_for) == {}
    assert asked_for.asked == []


def test_the_reference_is_certified_by_itself_and_asked_once() -> None:
    asked_for = Predictions(reference=REFERENCE)
    tested = certify(("reference",), asked_for, replace(SETTINGS, margin=1e-9))
    assert tested["reference"][0] == gates.certify_itself(TEST, REFERENCE, WHOLE)
    assert asked_for.asked == ["reference"]


def test_another_bundle_with_the_same_answers_gets_the_bound_of_its_rows() -> None:
    tested = certify(("copy",), Predictions(reference=REFERENCE, copy=REFERENCE.copy()))
    critical = exact_test.critical_value(N, SETTINGS.margin, 0.95)
    assert tested["copy"][0].lower_bound == stats.paired_bounds(0, 0, N, 0.95, critical)[0]


def test_each_certificate_is_that_of_the_gates() -> None:
    mine = wrong_on(range(52))
    tested = certify(("safe",), Predictions(reference=REFERENCE, safe=mine))
    assert tested == {
        "safe": (
            gates.certify(TEST, REFERENCE, mine, Rules(gates=SETTINGS), WHOLE),
            gates.floor(TEST, mine, Rules(gates=SETTINGS), WHOLE.level),
        )
    }


def test_certificates_go_to_the_entries_they_belong_to_and_to_no_other() -> None:
    first, second = entry("student"), entry("encoder")
    pair = certify(("safe",), Predictions(reference=REFERENCE, safe=REFERENCE))["safe"]
    assert certification.with_certificates([first, second], {second.id: pair}) == [
        first,
        replace(second, certificate=pair[0], floor=pair[1]),
    ]


# --- the targets ----------------------------------------------------------------------------------


def test_every_target_is_judged_by_its_own_measurement() -> None:
    there = replace(TARGET, name="there")
    mine = entry(measurements=(MEASUREMENT, replace(MEASUREMENT, target="there", stable=False)))
    assert verdicts.fits(mine, (TARGET, there)) == (
        *gates.on_target(TARGET, MEASUREMENT, 1001),
        *gates.on_target(there, mine.measurements[1], 1001),
    )


def test_a_target_that_was_not_reached_is_not_passed() -> None:
    results = verdicts.fits(entry(measurements=(MEASUREMENT,)), (TARGET, replace(TARGET, name="there")))
    assert gates.overall(results) == "inconclusive"
    assert gates.first_obstacle(results) == "there measured: no result from this target"


def test_no_targets_are_not_a_pass() -> None:
    assert verdicts.fits(entry(measurements=(MEASUREMENT,)), ()) == (
        GateResult(
            gate="targets",
            verdict="inconclusive",
            value=None,
            limit=0.0,
            reason="no target is named, so it was measured nowhere",
        ),
    )


def test_a_candidate_without_a_bundle_has_no_size_that_could_fit() -> None:
    results = verdicts.fits(entry(bundle=None, measurements=(MEASUREMENT,)), (TARGET,))
    assert {r.gate: r.verdict for r in results}["here size_bytes"] == "inconclusive"


# --- the final word -------------------------------------------------------------------------------


def certified(predictions: np.ndarray, **changes: Any) -> Entry:
    certificate, floor = certify(("mine",), Predictions(reference=REFERENCE, mine=predictions))["mine"]
    return entry(**{"measurements": (MEASUREMENT,), "certificate": certificate, "floor": floor, **changes})


def word(mine: Entry, targets: tuple[TargetSettings, ...] = (TARGET,), left_out: str = "") -> tuple[str, str]:
    reasons = {mine.id: left_out} if left_out else {}
    judged = verdicts.verdict(mine, targets, SETTINGS, reasons, "reference")
    return judged.verdict, judged.reason


def test_a_candidate_that_passes_everything_has_no_reason_against_it() -> None:
    mine = certified(wrong_on(range(52)), cost_s=3.0, is_champion=True)
    judged = verdicts.verdict(mine, (TARGET,), SETTINGS, {}, mine.id)
    assert (judged.verdict, judged.reason) == ("pass", "")
    assert mine.certificate is not None
    assert judged.gates == (
        gates.quality(mine.certificate, SETTINGS),
        mine.floor,
        slices.judge(mine.certificate.slices, SETTINGS),
        *verdicts.fits(mine, (TARGET,)),
    )
    assert (judged.candidate, judged.family, judged.base) == ("student-L3+int8", "student", "hf:owner/name")
    assert (judged.shape, judged.techniques) == (("L3",), ("int8",))
    assert (judged.predicted_bytes, judged.cost_s) == (1000, 3.0)
    assert (judged.is_reference, judged.is_champion) == (True, True)
    assert not verdicts.verdict(mine, (TARGET,), SETTINGS, {}, "another").is_reference


def test_a_certified_candidate_that_no_target_measured_does_not_pass() -> None:
    assert word(certified(wrong_on(range(52)), measurements=())) == (
        "inconclusive",
        "here measured: no result from this target",
    )
    assert word(certified(wrong_on(range(52))), ()) == (
        "inconclusive",
        "targets: no target is named, so it was measured nowhere",
    )


def test_a_failure_outweighs_missing_evidence() -> None:
    verdict, reason = word(certified(wrong_on(range(90)), measurements=()))
    assert verdict == "fail"
    assert reason.startswith("margin: accuracy difference -0.0400")


def test_a_candidate_that_was_left_out_says_why() -> None:
    assert word(entry(measurements=(MEASUREMENT,)), left_out="hopeless") == ("not certified", "hopeless")
    assert word(entry(measurements=(MEASUREMENT,))) == ("not certified", verdicts.NOT_REACHED)


def test_a_certificate_without_its_floor_is_not_enough() -> None:
    incomplete = certified(wrong_on(range(52)), floor=None)
    assert word(incomplete)[0] == "not certified"
    judged = verdicts.verdict(incomplete, (TARGET,), SETTINGS, {}, "reference")
    assert judged.gates == verdicts.fits(incomplete, (TARGET,))


def test_a_candidate_that_was_not_built_says_why() -> None:
    """Such as a champion that cannot be compared, because its labels are not those of today's data."""
    unbuilt = entry(bundle=None, obstacle="other labels", is_champion=True)
    judged = verdicts.verdict(unbuilt, (TARGET,), SETTINGS, {}, "reference")
    assert (judged.verdict, judged.reason, judged.gates, judged.is_champion) == ("not built", "other labels", (), True)
    assert word(entry(bundle=None)) == ("not built", "it has no bundle")


# --- slices ---------------------------------------------------------------------------------------

REGION = np.arange(N) >= 960  # forty rows, ten of each label
HARMFUL = wrong_on(range(50), range(960, 980))


def of_region(predictions: np.ndarray, settings: GateSettings, *order: str) -> dict[str, Entry]:
    """Return the entries of this sequence, which all answer so, with the region as a slice."""
    named = {name: entry(name, measurements=(MEASUREMENT,)) for name in order}
    ids = {one.id: one for one in named.values()}
    asked_for = Predictions(reference=REFERENCE, **dict.fromkeys(ids, predictions))
    rows = {**ROWS, ("region", "eu"): REGION}
    done = asked(tuple(ids.values()), tuple(ids), asked_for, settings, rows)
    return dict(zip(order, done, strict=True))


def test_a_harmed_slice_keeps_a_certified_candidate_from_being_promoted() -> None:
    wide = replace(SETTINGS, margin=0.05)
    [mine] = of_region(HARMFUL, wide, "student").values()
    judged = verdicts.verdict(mine, (TARGET,), wide, {}, "reference")
    assert mine.certificate is not None
    assert (mine.certificate.verdict, judged.verdict) == ("pass", "fail")
    assert judged.reason.startswith("slices: region 'eu', 40 rows: 20 lost, 0 won, a difference of at most -0.")
    assert winner.decide((judged,))[:2] == ("none", None)
    blind = replace(wide, slice_margin=1.0)
    assert winner.decide((verdicts.verdict(mine, (TARGET,), blind, {}, "reference"),))[0] == "promoted"


def test_a_harmed_slice_does_not_end_the_sequence() -> None:
    tested = of_region(HARMFUL, replace(SETTINGS, margin=0.05), "first", "second")
    positions = [one.certificate.position for one in tested.values() if one.certificate is not None]
    assert positions == [1, 2]


def test_the_champion_faces_the_slices_too() -> None:
    wide = replace(SETTINGS, margin=0.05)
    champion = replace(of_region(HARMFUL, wide, "student")["student"], is_champion=True)
    judged = verdicts.verdict(champion, (TARGET,), wide, {}, "reference")
    assert (judged.is_champion, judged.verdict) == (True, "fail")


def test_the_reference_loses_nothing_but_may_lie_below_the_floor_of_a_slice() -> None:
    rows = {("region", "first"): np.arange(N) < 50}
    itself = gates.certify_itself(replace(TEST, slices=rows), REFERENCE, WHOLE)
    strict = replace(SETTINGS, slice_margin=1e-9)
    assert slices.judge(itself.slices, strict).verdict == "pass"
    assert slices.judge(itself.slices, replace(strict, slice_floor=0.5)).verdict == "fail"


# --- what this split can certify ------------------------------------------------------------------


def observed(name: str, discordance: float) -> Comparison:
    return Comparison(
        candidate=name,
        size_bytes=1,
        rows=1000,
        difference=0.0,
        discordance=discordance,
        is_reference=name == "reference",
    )


def test_the_certifiable_margin_is_that_of_the_median_candidate() -> None:
    entries = [
        observed("reference", 0.0),
        observed("a", 0.02),
        observed("b", 0.04),
        observed("c", 0.3),
        observed("same", 0.0),
    ]
    expected = stats.smallest_margin(0.04, 3080, 0.95)
    assert verdicts.certifiable_margin(entries, 3080, SETTINGS) == expected


@pytest.mark.parametrize("entries", [[], [observed("reference", 0.5)], [observed("same", 0.0)]])
def test_without_a_candidate_apart_a_twentieth_is_taken(entries: list[Comparison]) -> None:
    expected = stats.smallest_margin(0.05, 3080, 0.95)
    assert verdicts.certifiable_margin(entries, 3080, SETTINGS) == expected


# --- against the champion -------------------------------------------------------------------------


def test_whoever_is_tested_is_compared_with_the_champion_on_the_same_rows() -> None:
    """The champion alone is right on ten rows, the candidate alone on fifty."""
    mine, other, champion = entry("student"), entry("encoder"), replace(entry("linear"), is_champion=True)
    predictions = {
        mine.id: wrong_on(range(10)),
        other.id: wrong_on(range(20, 70)),
        champion.id: wrong_on(range(20, 70)),
    }
    asked_for = Predictions(reference=REFERENCE, **predictions)
    wide = replace(SETTINGS, margin=0.2)
    done = asked((mine, other, champion), (mine.id, other.id), asked_for, wide)
    compared = [one.certificate.over_champion for one in done if one.certificate is not None]
    assert [over and (over.lower_bound, over.lost, over.won) for over in compared] == [
        (stats.paired_bounds(10, 50, N, 0.975)[0], 10, 50),
        (stats.paired_bounds(0, 0, N, 0.975)[0], 0, 0),
        None,
    ]


def test_without_a_champion_there_is_nothing_to_compare_with() -> None:
    mine = entry("student")
    asked_for = Predictions(reference=REFERENCE, **{mine.id: REFERENCE})
    [done] = asked((mine,), (mine.id,), asked_for)
    assert done.certificate is not None
    assert done.certificate.over_champion is None


# --- what a verdict carries -----------------------------------------------------------------------


def test_a_candidate_that_was_not_certified_still_faces_its_targets() -> None:
    mine = entry("student", measurements=(MEASUREMENT,))
    judged = verdicts.verdict(mine, (TARGET,), SETTINGS, {}, "reference")
    assert judged.verdict == "not certified"
    assert judged.gates == verdicts.fits(mine, (TARGET,)) != ()


def test_a_verdict_carries_what_was_measured_and_the_validation_score() -> None:
    mine = replace(evaluated_entry("student", REFERENCE), measurements=(MEASUREMENT,))
    judged = verdicts.verdict(mine, (TARGET,), SETTINGS, {}, "reference")
    assert (judged.validation, judged.measurements) == (mine.validation, (MEASUREMENT,))


def test_a_champion_of_the_sequence_keeps_its_place_and_is_asked_once() -> None:
    first, champion = entry("student"), replace(entry("linear"), is_champion=True)
    predictions = Predictions(reference=REFERENCE, **{first.id: REFERENCE, champion.id: REFERENCE})
    _, done = asked((first, champion), (first.id, champion.id), predictions)
    assert done.certificate is not None
    assert (done.certificate.position, done.certificate.over_champion) == (2, None)
    assert predictions.asked.count(champion.id) == 1


def test_a_champion_that_is_not_of_the_sequence_is_asked_at_the_whole_level_in_the_first_place() -> None:
    first, champion = entry("student"), replace(entry("linear"), is_champion=True)
    predictions = Predictions(reference=REFERENCE, **{first.id: REFERENCE, champion.id: REFERENCE})
    _, done = asked((first, champion), (first.id,), predictions)
    assert done.certificate is not None
    assert (done.certificate.position, done.certificate.level) == (1, pytest.approx(0.05))
