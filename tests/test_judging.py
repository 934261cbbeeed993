"""From answers to verdicts: the sealed split is asked in order, and no further than the first that does not pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from decisions import ENVIRONMENT

from parsimony import exact, gates, judging, selection, slices, stats
from parsimony.judging import Entry
from parsimony.records import (
    BuiltBundle,
    Candidate,
    GateResult,
    GateSettings,
    Measurement,
    Quantile,
    TargetSettings,
    Trunk,
)
from parsimony.selection import Searched

N = 1000
TRUTH = np.arange(N) % 4
ROWS = {("label", str(number)): number == TRUTH for number in range(4)}
SETTINGS = GateSettings(metric="accuracy", margin=0.02, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0)
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
    answers = TRUTH.copy()
    for part in rows:
        answers[part] = (TRUTH[part] + 1) % 4
    return answers


REFERENCE = wrong_on(range(50))


def entry(family: str = "student", **changes: Any) -> Entry:
    known: dict[str, Any] = {
        "candidate": Candidate(trunk=Trunk(family=family, base="hf:owner/name", shape=("layers-3",)), after=("int8",)),
        "predicted_bytes": 1000,
        "bundle": BuiltBundle(folder="", digest="d", size_bytes=1001),
    }
    return Entry(**{**known, **changes})


def searched_entry(family: str, answers: np.ndarray) -> Entry:
    return entry(family, answers=answers, search=gates.score(TRUTH, answers, 4))


class Sealed:
    """The answers to the sealed split, and who was asked for them."""

    def __init__(self, **answers: np.ndarray) -> None:
        self.known = answers
        self.asked: list[str] = []

    def __call__(self, name: str) -> np.ndarray:
        self.asked.append(name)
        return self.known[name]


def certify(order: tuple[str, ...], answers: Callable[[str], np.ndarray], settings: GateSettings = SETTINGS) -> Any:
    return judging.certify(order, answers, "reference", TRUTH, 4, ROWS, settings, 0)


# --- the search split -----------------------------------------------------------------------------


def test_a_candidate_is_compared_with_the_reference_row_by_row() -> None:
    candidate = searched_entry("student", wrong_on(range(40, 70)))
    assert judging.searched(candidate, searched_entry("encoder", REFERENCE), TRUTH, SETTINGS) == Searched(
        candidate="student.layers-3(name)+int8",
        size_bytes=1001,
        rows=1000,
        difference=0.97 - 0.95,
        discordance=0.06,
    )


def test_the_comparison_uses_the_metric_of_the_gates() -> None:
    candidate, reference = searched_entry("student", wrong_on(range(40, 70))), searched_entry("encoder", REFERENCE)
    seen = judging.searched(candidate, reference, TRUTH, replace(SETTINGS, metric="macro_f1"))
    assert candidate.search is not None
    assert reference.search is not None
    assert seen.difference == candidate.search.macro_f1 - reference.search.macro_f1


@pytest.mark.parametrize("missing", ["answers", "search", "bundle"])
def test_a_candidate_without_answers_or_bundle_is_not_compared(missing: str) -> None:
    candidate, reference = searched_entry("student", REFERENCE), searched_entry("encoder", REFERENCE)
    with pytest.raises(ValueError, match=r"student\.layers-3\(name\)\+int8 has no"):
        judging.searched(replace(candidate, **{missing: None}), reference, TRUTH, SETTINGS)


# --- the sealed split -----------------------------------------------------------------------------


def test_testing_stops_at_the_first_that_does_not_pass_and_asks_nobody_behind_it() -> None:
    sealed = Sealed(reference=REFERENCE, safe=wrong_on(range(52)), worse=wrong_on(range(90)), small=wrong_on(range(51)))
    found = certify(("safe", "worse", "small"), sealed)
    assert {name: certificate.verdict for name, (certificate, _) in found.items()} == {"safe": "pass", "worse": "fail"}
    assert [certificate.position for certificate, _ in found.values()] == [1, 2]
    assert sealed.asked == ["reference", "safe", "worse"]


def test_an_inconclusive_test_stops_the_sequence_too() -> None:
    sealed = Sealed(reference=REFERENCE, unsure=wrong_on(range(70)), small=REFERENCE)
    found = certify(("unsure", "small"), sealed)
    assert [(name, certificate.verdict) for name, (certificate, _) in found.items()] == [("unsure", "inconclusive")]


def test_a_missed_floor_stops_the_sequence_too() -> None:
    sealed = Sealed(reference=REFERENCE, safe=REFERENCE.copy(), small=wrong_on(range(1)))
    found = certify(("safe", "small"), sealed, replace(SETTINGS, floor=0.96))
    assert {name: (c.verdict, floor.verdict) for name, (c, floor) in found.items()} == {"safe": ("pass", "fail")}


def test_with_nothing_to_test_the_sealed_split_is_not_asked() -> None:
    sealed = Sealed(reference=REFERENCE)
    assert certify((), sealed) == {}
    assert sealed.asked == []


def test_the_reference_is_certified_by_itself_and_asked_once() -> None:
    sealed = Sealed(reference=REFERENCE)
    found = certify(("reference",), sealed, replace(SETTINGS, margin=1e-9))
    assert found["reference"][0] == gates.certify_itself(TRUTH, REFERENCE, 4, ROWS, position=1)
    assert sealed.asked == ["reference"]


def test_another_bundle_with_the_same_answers_gets_the_bound_of_its_rows() -> None:
    found = certify(("twin",), Sealed(reference=REFERENCE, twin=REFERENCE.copy()))
    critical = exact.critical_value(N, SETTINGS.margin, 0.95)
    assert found["twin"][0].lower_bound == stats.paired_bounds(0, 0, N, 0.95, critical)[0]


def test_each_certificate_is_that_of_the_gates() -> None:
    mine = wrong_on(range(52))
    found = certify(("safe",), Sealed(reference=REFERENCE, safe=mine))
    assert found == {
        "safe": (
            gates.certify(TRUTH, REFERENCE, mine, 4, ROWS, SETTINGS, position=1, seed=0),
            gates.floor(TRUTH, mine, 4, SETTINGS, 0),
        )
    }


def test_certificates_go_to_the_entries_they_belong_to_and_to_no_other() -> None:
    first, second = entry("student"), entry("encoder")
    pair = certify(("safe",), Sealed(reference=REFERENCE, safe=REFERENCE))["safe"]
    assert judging.with_certificates([first, second], {second.id: pair}) == [
        first,
        replace(second, certificate=pair[0], floor=pair[1]),
    ]


# --- the targets ----------------------------------------------------------------------------------


def test_every_target_is_judged_by_its_own_measurement() -> None:
    there = replace(TARGET, name="there")
    mine = entry(measurements=(MEASUREMENT, replace(MEASUREMENT, target="there", stable=False)))
    assert judging.fits(mine, (TARGET, there)) == (
        *gates.on_target(TARGET, MEASUREMENT, 1001),
        *gates.on_target(there, mine.measurements[1], 1001),
    )


def test_a_target_that_was_not_reached_is_not_passed() -> None:
    results = judging.fits(entry(measurements=(MEASUREMENT,)), (TARGET, replace(TARGET, name="there")))
    assert gates.overall(results) == "inconclusive"
    assert gates.first_obstacle(results) == "there measured: no result from this target"


def test_no_targets_are_not_a_pass() -> None:
    assert judging.fits(entry(measurements=(MEASUREMENT,)), ()) == (
        GateResult(
            gate="targets",
            verdict="inconclusive",
            seen=None,
            limit=0.0,
            reason="no target is named, so it was measured nowhere",
        ),
    )


def test_a_candidate_without_a_bundle_has_no_size_that_could_fit() -> None:
    results = judging.fits(entry(bundle=None, measurements=(MEASUREMENT,)), (TARGET,))
    assert {r.gate: r.verdict for r in results}["here size_bytes"] == "inconclusive"


# --- the final word -------------------------------------------------------------------------------


def certified(answers: np.ndarray, **changes: Any) -> Entry:
    certificate, floor = certify(("mine",), Sealed(reference=REFERENCE, mine=answers))["mine"]
    return entry(**{"measurements": (MEASUREMENT,), "certificate": certificate, "floor": floor, **changes})


def word(mine: Entry, targets: tuple[TargetSettings, ...] = (TARGET,), left_out: str = "") -> tuple[str, str]:
    reasons = {mine.id: left_out} if left_out else {}
    judged = judging.verdict(mine, targets, SETTINGS, reasons, "reference")
    return judged.verdict, judged.reason


def test_a_candidate_that_passes_everything_has_no_reason_against_it() -> None:
    mine = certified(wrong_on(range(52)), cost_s=3.0, is_champion=True)
    judged = judging.verdict(mine, (TARGET,), SETTINGS, {}, mine.id)
    assert (judged.verdict, judged.reason) == ("pass", "")
    assert mine.certificate is not None
    assert judged.gates == (
        gates.quality(mine.certificate, SETTINGS),
        mine.floor,
        slices.judge(mine.certificate.slices, SETTINGS),
        *judging.fits(mine, (TARGET,)),
    )
    assert (judged.candidate, judged.family, judged.base) == ("student.layers-3(name)+int8", "student", "hf:owner/name")
    assert (judged.techniques, judged.predicted_bytes, judged.cost_s) == (("layers-3", "int8"), 1000, 3.0)
    assert (judged.is_reference, judged.is_champion) == (True, True)
    assert not judging.verdict(mine, (TARGET,), SETTINGS, {}, "another").is_reference


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
    assert word(entry(measurements=(MEASUREMENT,))) == ("not certified", "the sequence of tests ended before it")


def test_a_certificate_without_its_floor_is_not_enough() -> None:
    assert word(certified(wrong_on(range(52)), floor=None))[0] == "not certified"


def test_a_candidate_that_was_not_built_says_why() -> None:
    """Such as a champion that cannot be compared, because its labels are not those of today's data."""
    unbuilt = entry(bundle=None, obstacle="other labels", is_champion=True)
    judged = judging.verdict(unbuilt, (TARGET,), SETTINGS, {}, "reference")
    assert (judged.verdict, judged.reason, judged.gates, judged.is_champion) == ("not built", "other labels", (), True)
    assert word(entry(bundle=None)) == ("not built", "it has no bundle")


# --- slices ---------------------------------------------------------------------------------------

REGION = np.arange(N) >= 960  # forty rows, ten of each label
HARMFUL = wrong_on(range(50), range(960, 980))


def of_region(answers: np.ndarray, settings: GateSettings, *order: str) -> dict[str, Entry]:
    """Return the entries of this sequence, which all answer so, with the region as a slice."""
    named = {name: entry(name, measurements=(MEASUREMENT,)) for name in order}
    ids = {one.id: one for one in named.values()}
    sealed = Sealed(reference=REFERENCE, **dict.fromkeys(ids, answers))
    rows = {**ROWS, ("region", "eu"): REGION}
    done = judging.certified(tuple(ids.values()), tuple(ids), sealed, "reference", TRUTH, 4, rows, settings, 0)
    return dict(zip(order, done, strict=True))


def test_a_harmed_slice_keeps_a_certified_candidate_from_being_promoted() -> None:
    wide = replace(SETTINGS, margin=0.05)
    [mine] = of_region(HARMFUL, wide, "student").values()
    judged = judging.verdict(mine, (TARGET,), wide, {}, "reference")
    assert mine.certificate is not None
    assert (mine.certificate.verdict, judged.verdict) == ("pass", "fail")
    assert judged.reason.startswith("slices: region 'eu', 40 rows: 20 lost, 0 won, a difference of at most -0.")
    assert selection.decide((judged,))[:2] == ("none", None)
    blind = replace(wide, slice_margin=1.0)
    assert selection.decide((judging.verdict(mine, (TARGET,), blind, {}, "reference"),))[0] == "promoted"


def test_a_harmed_slice_does_not_end_the_sequence() -> None:
    tested = of_region(HARMFUL, replace(SETTINGS, margin=0.05), "first", "second")
    positions = [one.certificate.position for one in tested.values() if one.certificate is not None]
    assert positions == [1, 2]


def test_the_champion_faces_the_slices_too() -> None:
    wide = replace(SETTINGS, margin=0.05)
    champion = replace(of_region(HARMFUL, wide, "student")["student"], is_champion=True)
    judged = judging.verdict(champion, (TARGET,), wide, {}, "reference")
    assert (judged.is_champion, judged.verdict) == (True, "fail")


def test_the_reference_loses_nothing_but_may_lie_below_the_floor_of_a_slice() -> None:
    rows = {("region", "first"): np.arange(N) < 50}
    itself = gates.certify_itself(TRUTH, REFERENCE, 4, rows, position=1)
    strict = replace(SETTINGS, slice_margin=1e-9)
    assert slices.judge(itself.slices, strict).verdict == "pass"
    assert slices.judge(itself.slices, replace(strict, slice_floor=0.5)).verdict == "fail"


# --- what this split can certify ------------------------------------------------------------------


def seen(name: str, discordance: float) -> Searched:
    return Searched(
        candidate=name,
        size_bytes=1,
        rows=1000,
        difference=0.0,
        discordance=discordance,
        is_reference=name == "reference",
    )


def test_the_certifiable_margin_is_that_of_the_median_candidate() -> None:
    entries = [seen("reference", 0.0), seen("a", 0.02), seen("b", 0.04), seen("c", 0.3), seen("same", 0.0)]
    expected = stats.smallest_margin(0.04, 3080, 0.95)
    assert judging.certifiable_margin(entries, 3080, SETTINGS) == expected


@pytest.mark.parametrize("entries", [[], [seen("reference", 0.5)], [seen("same", 0.0)]])
def test_without_a_candidate_apart_a_twentieth_is_taken(entries: list[Searched]) -> None:
    expected = stats.smallest_margin(0.05, 3080, 0.95)
    assert judging.certifiable_margin(entries, 3080, SETTINGS) == expected


# --- against the champion -------------------------------------------------------------------------


def test_whoever_is_tested_is_compared_with_the_champion_on_the_same_rows() -> None:
    """The champion alone is right on ten rows, the candidate alone on fifty."""
    mine, other, champion = entry("student"), entry("encoder"), replace(entry("linear"), is_champion=True)
    answers = {mine.id: wrong_on(range(10)), other.id: wrong_on(range(20, 70)), champion.id: wrong_on(range(20, 70))}
    sealed = Sealed(reference=REFERENCE, **answers)
    wide = replace(SETTINGS, margin=0.2)
    done = judging.certified((mine, other, champion), (mine.id, other.id), sealed, "reference", TRUTH, 4, ROWS, wide, 0)
    over = [one.certificate.over_champion for one in done if one.certificate is not None]
    assert over == [
        stats.paired_bounds(10, 50, N, 0.975)[0],
        stats.paired_bounds(0, 0, N, 0.975)[0],
        None,
    ]


def test_without_a_champion_there_is_nothing_to_compare_with() -> None:
    mine = entry("student")
    sealed = Sealed(reference=REFERENCE, **{mine.id: REFERENCE})
    [done] = judging.certified((mine,), (mine.id,), sealed, "reference", TRUTH, 4, ROWS, SETTINGS, 0)
    assert done.certificate is not None
    assert done.certificate.over_champion is None
