"""Which candidate wins, and whether it replaces the champion."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from comparisons import ROWS

from parsimony.candidates import BuiltBundle
from parsimony.decision.records import (
    CandidateVerdict,
    Certificate,
    GateResult,
    GateVerdict,
    Judged,
    OverChampion,
    Score,
    Standing,
)
from parsimony.decision.winner import decide, smallest


def gate(verdict: GateVerdict, name: str = "margin", reason: str = "so it is") -> GateResult:
    return GateResult(gate=name, verdict=verdict, value=0.0, limit=0.0, reason=reason)


def beside(lower_bound: float, score: Score, upper_bound: float = 0.05, difference: float = 0.0) -> OverChampion:
    """Return a comparison with a champion of the same score."""
    return OverChampion(
        n=ROWS, score=score, champion=score, difference=difference, lower_bound=lower_bound, upper_bound=upper_bound, lost=1, won=1,
    )  # fmt: skip


def judged(
    candidate: str,
    size: int,
    verdict: CandidateVerdict = "pass",
    *,
    bound: float | None = -0.004,
    difference: float = 0.0,
    digest: str = "",
    accuracy: float = 0.92,
    gates: tuple[GateResult, ...] | None = None,
    champion: bool = False,
    over: float | None = None,
) -> Judged:
    """Return a candidate at the end of a run; without a bound it did not reach the test split."""
    word: GateVerdict = "pass" if verdict == "pass" else "fail" if verdict == "fail" else "inconclusive"
    results = (gate(word),) if gates is None else gates
    score = Score(n=ROWS, correct=round(ROWS * accuracy), accuracy=accuracy, macro_f1=accuracy)
    certificate = None
    if bound is not None:
        certificate = Certificate(
            n=ROWS,
            score=score,
            difference=difference,
            lower_bound=bound,
            only_reference_right=0,
            only_candidate_right=0,
            verdict=word,
            needed=None,
            position=1,
            level=0.05,
            over_champion=None if over is None else beside(over, score),
        )
    return Judged(
        candidate=candidate,
        family="student",
        base="base",
        shape=(),
        techniques=(),
        predicted_bytes=size,
        bundle=None if verdict == "not built" else BuiltBundle(folder="", digest=digest or candidate, size_bytes=size),
        validation=None if verdict == "not built" else score,
        certificate=certificate,
        measurements=(),
        gates=results,
        verdict=verdict,
        reason=f"reason of {candidate}",
        cost_s=0.0,
        is_champion=champion,
    )


# --- the winner -----------------------------------------------------------------------------------


def test_the_smallest_candidate_that_passes_wins() -> None:
    result = [judged("large", 9), judged("small", 2), judged("smaller", 1, "fail"), judged("unsure", 1, "inconclusive")]
    assert smallest(result) == result[1]
    assert decide(result) == (
        "promoted",
        "small",
        "the smallest candidate that passes every gate; there was no champion",
    )


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_equal_sizes_are_told_apart_by_quality_then_digest_whatever_the_order(order: tuple[int, ...]) -> None:
    result = [judged("a", 5, difference=-0.001), judged("b", 5, digest="2"), judged("c", 5, digest="1")]
    winner = smallest([result[i] for i in order])
    assert winner is not None
    assert winner.candidate == "c"


@pytest.mark.parametrize("verdict", ["fail", "inconclusive", "not built", "not certified"])
def test_only_a_pass_wins(verdict: CandidateVerdict) -> None:
    assert smallest([judged("a", 1, verdict)]) is None


def test_a_pass_without_its_evidence_does_not_win() -> None:
    sound = judged("a", 1)
    assert smallest([sound]) == sound
    assert smallest([replace(sound, gates=())]) is None  # all([]) is True
    assert smallest([replace(sound, gates=(gate("pass"), gate("inconclusive")))]) is None
    assert smallest([replace(sound, certificate=None)]) is None
    assert smallest([replace(sound, bundle=None)]) is None


# --- the champion ---------------------------------------------------------------------------------


def test_a_champion_that_is_the_only_one_to_pass_is_kept() -> None:
    result = [judged("new", 1, "fail"), judged("champion", 9, champion=True)]
    assert decide(result) == ("kept", "champion", "the champion is still the smallest candidate that passes every gate")


def test_a_champion_that_was_built_again_is_kept() -> None:
    result = [judged("again", 5, champion=True), judged("large", 9)]
    assert decide(result)[:2] == ("kept", "again")


@pytest.mark.parametrize(("size", "outcome"), [(94, "promoted"), (95, "promoted"), (96, "kept"), (100, "kept")])
def test_a_champion_is_replaced_only_by_one_at_least_a_twentieth_smaller(size: int, outcome: str) -> None:
    result = [judged("new", size), judged("champion", 100, champion=True)]
    assert decide(result)[:2] == (outcome, "new" if outcome == "promoted" else "champion")


def test_the_reasons_for_replacing_and_for_keeping_a_champion_name_the_saving() -> None:
    champion = judged("champion", 100, champion=True)
    assert decide([judged("new", 40), champion])[2] == "60% smaller than the champion and passes every gate"
    assert decide([judged("new", 98), champion])[2] == (
        "the champion still passes and the best new candidate is not 5% smaller"
    )


def test_of_the_same_size_as_the_champion_one_that_is_better_within_noise_changes_nothing() -> None:
    result = [judged("new", 100, difference=0.01, over=-0.001), judged("champion", 100, champion=True)]
    assert decide(result)[:2] == ("kept", "champion")


@pytest.mark.parametrize(
    ("size", "over", "winner"),
    [
        (96, 0.001, "new"),
        (104, 0.001, "new"),
        (105, 0.001, "champion"),
        (104, 0.0, "champion"),
        (104, None, "champion"),
    ],
)
def test_one_that_is_better_beyond_noise_replaces_a_champion_that_is_hardly_smaller(
    size: int, over: float | None, winner: str
) -> None:
    result = [judged("new", size, over=over), judged("champion", 100, champion=True), judged("encoder", 900, over=0.01)]
    assert decide(result)[1] == winner
    if winner == "new":
        assert decide(result)[::2] == (
            "promoted", "better than the champion beyond noise, not larger, and passes every gate",
        )  # fmt: skip


def test_candidates_that_were_not_built_or_not_tested_replace_no_champion() -> None:
    others = [judged("new", 1, "not built", over=0.01), judged("other", 100, "not certified", bound=None)]
    assert decide([*others, judged("champion", 100, champion=True)])[:2] == ("kept", "champion")


def test_one_that_is_better_but_does_not_pass_replaces_no_champion() -> None:
    result = [judged("new", 100, "fail", over=0.01), judged("champion", 100, champion=True)]
    assert decide(result)[:2] == ("kept", "champion")


def test_the_smallest_of_those_that_are_better_is_promoted() -> None:
    champion = judged("champion", 100, champion=True)
    assert decide([judged("one", 103, over=0.02), judged("two", 101, over=0.01), champion])[1] == "two"


@pytest.mark.parametrize("verdict", ["fail", "not certified", "not built"])
def test_a_champion_that_fails_or_cannot_be_tested_is_replaced_even_by_a_larger_one(verdict: CandidateVerdict) -> None:
    result = [judged("new", 900), judged("champion", 100, verdict, champion=True)]
    told = "no longer passes" if verdict == "fail" else "could not be tested"
    assert decide(result) == ("promoted", "new", f"the champion {told}: reason of champion")


UNSTEADY = (gate("pass"), gate("inconclusive", "here measured", "unsteady"))


@pytest.mark.parametrize(("size", "outcome"), [(99, "promoted"), (100, "kept"), (101, "kept"), (900, "kept")])
def test_a_champion_that_is_only_inconclusive_is_replaced_by_nothing_but_a_smaller_one(size: int, outcome: str) -> None:
    champion = judged("champion", 100, "inconclusive", gates=UNSTEADY, champion=True)
    assert decide([judged("new", size), champion])[:2] == (outcome, "new" if outcome == "promoted" else "champion")


def test_the_reason_tells_what_is_not_certain_about_a_champion_that_stays() -> None:
    champion = judged("champion", 100, "inconclusive", gates=UNSTEADY, champion=True)
    assert decide([judged("new", 900), champion])[2] == (
        "no gate shows that the champion fails, and nothing smaller passes; not certain: reason of champion"
    )
    assert decide([judged("new", 60), champion])[2] == (
        "40% smaller than the champion and passes every gate; the champion is inconclusive: reason of champion"
    )
    assert decide(
        [judged("new", 9_960), replace(champion, bundle=BuiltBundle(folder="", digest="c", size_bytes=9_999))]
    )[2].startswith("0.39% smaller")


def test_an_inconclusive_champion_is_replaced_by_one_that_is_better_beyond_noise_and_not_larger() -> None:
    champion = judged("champion", 100, "inconclusive", gates=UNSTEADY, champion=True)
    assert decide([judged("new", 104, over=0.001), champion])[:2] == ("promoted", "new")
    assert decide([judged("new", 105, over=0.001), champion])[:2] == ("kept", "champion")


@pytest.mark.parametrize(
    "gates",
    [
        (gate("inconclusive"), gate("fail", "here p99_ms")),
        (gate("pass"), replace(gate("inconclusive", "here measured"), value=None)),
        (gate("pass"), replace(gate("inconclusive", "here peak_rss_bytes"), value=float("nan"))),
        (),
    ],
)
def test_a_champion_with_a_failed_gate_or_one_that_had_nothing_to_look_at_no_longer_passes(
    gates: tuple[GateResult, ...],
) -> None:
    champion = judged("champion", 100, "inconclusive", gates=gates, champion=True)
    assert decide([judged("new", 900), champion]) == (
        "promoted", "new", "the champion no longer passes: reason of champion",
    )  # fmt: skip


def test_a_gate_that_passes_needs_no_value() -> None:
    asked = (replace(gate("pass"), value=None), gate("inconclusive", "here measured", "unsteady"))
    champion = judged("champion", 100, "inconclusive", gates=asked, champion=True)
    assert decide([judged("new", 900), champion])[:2] == ("kept", "champion")


def test_an_inconclusive_champion_does_not_turn_nothing_passed_into_something() -> None:
    champion = judged("champion", 100, "inconclusive", gates=UNSTEADY, champion=True)
    assert decide([judged("new", 1, "fail"), champion])[:2] == ("none", None)


def test_a_champion_whose_pass_has_no_evidence_does_not_pass() -> None:
    champion = replace(judged("champion", 1, champion=True), gates=())
    assert decide([judged("new", 9), champion])[:2] == ("promoted", "new")


# --- nothing passed -------------------------------------------------------------------------------


def test_when_nothing_passes_the_nearest_miss_is_named() -> None:
    result = [
        judged("far", 1, "fail", bound=-0.05),
        judged("near", 2, "inconclusive", bound=-0.011),
        judged("untested", 3, "not certified", bound=None),
    ]
    assert decide(result) == ("none", None, "no candidate passes every gate; nearest is near: reason of near")


def test_when_nothing_was_tested_the_best_one_that_a_target_stopped_is_named() -> None:
    slow = (gate("pass", "here measured"), gate("fail", "here p99_ms", "12 ms of at most 10 ms"))
    result = [
        judged("slow", 1, "not certified", bound=None, gates=slow, accuracy=0.9),
        judged("slow and worse", 1, "not certified", bound=None, gates=slow, accuracy=0.8),
        judged("beaten", 1, "not certified", bound=None, gates=(gate("pass"),), accuracy=0.95),
        judged("unbuilt", 1, "not built", bound=None, gates=()),
    ]
    expected = "no candidate reached the test split; nearest is slow: here p99_ms: 12 ms of at most 10 ms"
    assert decide(result) == ("none", None, expected)


def test_of_two_equally_near_misses_the_first_is_named() -> None:
    slow = (gate("fail", "here p99_ms", "12 ms of at most 10 ms"),)
    tested = [judged(name, 1, "fail", bound=-0.02) for name in ("one", "two")]
    stopped = [judged(name, 1, "not certified", bound=None, gates=slow) for name in ("one", "two")]
    assert decide(tested)[2] == "no candidate passes every gate; nearest is one: reason of one"
    assert decide(stopped)[2] == (
        "no candidate reached the test split; nearest is one: here p99_ms: 12 ms of at most 10 ms"
    )


@pytest.mark.parametrize("candidates", [[], [judged("unbuilt", 1, "not built", bound=None, gates=())]])
def test_without_any_result_nothing_is_promoted(candidates: list[Judged]) -> None:
    assert decide(candidates) == ("none", None, "no candidate reached the test split")


def test_when_nothing_passes_the_champion_stays_and_its_reason_is_told() -> None:
    result = [judged("new", 1, "fail", bound=-0.05), judged("champion", 9, "fail", bound=0.0, champion=True)]
    assert decide(result) == (
        "none",
        None,
        "no candidate passes every gate; nearest is new: reason of new; "
        "the champion does not pass either (reason of champion), and stays",
    )


# --- what a person has said -----------------------------------------------------------------------

HELD = Standing(hold="promotions are held by ada at noon: audit")


def rolled_back(*names: str) -> Standing:
    return Standing(withdrawn=tuple((digest_of(name), f"it was rolled back: {name}") for name in names))


def digest_of(name: str) -> str:
    bundle = judged(name, 1).bundle
    assert bundle is not None
    return bundle.digest


def test_a_winner_that_was_rolled_back_leaves_the_champion_where_it_is_and_says_why() -> None:
    result = [judged("small", 1_000), judged("middle", 1_500), judged("champion", 2_000, champion=True)]
    outcome, name, reason = decide(result, rolled_back("small"))
    assert (outcome, name) == ("kept", "champion")
    assert reason == (
        "small would be promoted (50% smaller than the champion and passes every gate), but it was rolled back: small; the champion stays"
    )
    assert decide(result, rolled_back("middle")) == decide(result)


def test_a_champion_that_fails_is_replaced_by_the_smallest_that_was_not_rolled_back() -> None:
    result = [judged("small", 1_000), judged("middle", 1_500), judged("champion", 2_000, "fail", champion=True)]
    outcome, name, reason = decide(result, rolled_back("small"))
    assert (outcome, name) == ("promoted", "middle")
    assert (
        "small would be promoted" in reason and "but it was rolled back: small; the champion no longer passes" in reason
    )
    assert decide(result, rolled_back("small", "middle"))[:2] == ("none", None)


@pytest.mark.parametrize("verdict", ["pass", "inconclusive"])
def test_held_promotions_keep_a_champion_that_may_stay(verdict: CandidateVerdict) -> None:
    result = [judged("small", 1_000), judged("champion", 2_000, verdict, champion=True)]
    outcome, name, reason = decide(result, HELD)
    assert (outcome, name) == ("kept", "champion")
    assert reason.endswith("but promotions are held by ada at noon: audit; the champion stays")


def test_held_promotions_promote_nothing_even_where_the_champion_fails() -> None:
    result = [judged("small", 1_000), judged("champion", 2_000, "fail", champion=True)]
    outcome, name, reason = decide(result, HELD)
    assert (outcome, name) == ("none", None)
    assert reason.endswith("; what is in production stays")


def test_what_promotes_nothing_is_decided_as_if_nobody_had_said_anything() -> None:
    kept = [judged("champion", 1_000, champion=True), judged("large", 2_000)]
    for result in (kept, [judged("a", 1, "fail")], []):
        for said in (HELD, rolled_back("champion", "large", "a")):
            assert decide(result, said) == decide(result)
