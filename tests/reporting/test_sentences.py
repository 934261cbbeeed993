"""The decision in the words of the field: who won by which numbers, or what was missed by how much."""

from __future__ import annotations

from dataclasses import replace

import decisions

from parsimony.measurement.records import Ratio
from parsimony.reporting import markdown, sentence
from parsimony.reporting.facts import nearest_miss
from parsimony.reporting.sentences import key_figures, why
from parsimony.reporting.speed_text import how_fast


def test_the_sentence_of_a_promotion_says_who_won_by_which_numbers() -> None:
    assert sentence(decisions.decision()) == (
        "student-L2+trim+int4 goes into production: 3.74 MB, 24.3× smaller than the reference (91.0 MB), "
        "accuracy 0.9172 against 0.9192, with 95 % confidence at most 0.0066 lower (0.0100 allowed). The smallest of 6 "
        "candidates that pass every gate on every target."
    )


def test_the_sentence_of_a_kept_champion_says_that_it_stays() -> None:
    text = sentence(decisions.kept())
    assert text.startswith("student-L2+trim+int4 stays in production: 3.74 MB, 24.3× smaller")
    assert text.endswith("(0.0100 allowed). No candidate that passes is smaller.")


def test_the_sentence_without_a_winner_names_the_nearest_miss() -> None:
    assert sentence(decisions.nothing_passed()) == (
        "Nothing passed. The nearest miss is linear-char-ngrams (1.86 MB): margin missed by 0.0025, accuracy difference "
        "-0.0052, at least -0.0125; allowed -0.0100: not enough rows to tell; label about 4,070 more rows. No candidate "
        "passes every gate."
    )


def test_the_sentence_without_any_gate_says_that_nothing_came_near() -> None:
    assert sentence(decisions.bare()) == (
        "Nothing passed, and no candidate came far enough to be called a near miss. The budget was spent before anything "
        "was built."
    )


def test_a_winning_reference_is_not_compared_with_itself() -> None:
    decision = replace(decisions.decision(), winner=decisions.REFERENCE, reason="")
    assert sentence(decision) == "encoder goes into production: 91.0 MB, the reference itself, accuracy 0.9192."


def test_the_speed_of_the_winner_is_told_against_the_baseline_and_the_roofline_peak() -> None:
    told = "p99 1.56 ms, 1 thread, target here; 5.8× faster than encoder; 14.1 % of the roofline peak"
    assert told in markdown(decisions.decision())


def test_a_factor_is_told_the_right_way_round() -> None:
    comparison = Ratio(
        baseline="encoder", value=0.0038, low=0.0036, high=0.0040, verdict="faster", rounds=9, noise_floor=0.02
    )  # fmt: skip
    assert how_fast(comparison, "linear") == "263× faster than encoder"
    assert how_fast(replace(comparison, value=1.5, verdict="slower"), "linear") == "1.5× slower than encoder"
    assert how_fast(replace(comparison, verdict="inconclusive"), "linear") == "cannot be distinguished from encoder"
    assert (
        how_fast(replace(comparison, value=1.01, verdict="same"), "encoder") == "the baseline; its A/A control, 1.01×"
    )
    decision = decisions.decision()
    larger = replace(decision, reference=decisions.WINNER, winner=decisions.REFERENCE)
    assert [(f.label, f.value) for f in key_figures(larger)][1] == ("larger than the reference", "24.3×")


def test_the_reason_of_the_nearest_miss_is_told_once() -> None:
    decision = decisions.nothing_passed()
    miss = nearest_miss(decision)
    assert miss is not None
    reason = f"no candidate passes every gate; nearest is {miss.judged.candidate}: {miss.judged.reason}"
    text = sentence(replace(decision, reason=reason))
    assert text.count(miss.gate.reason) == 1 and text.endswith(" more rows.")
    stays = sentence(replace(decision, reason=f"{reason}; the champion does not pass either (floor), and stays"))
    assert stays.endswith(" more rows. The champion does not pass either (floor), and stays.")


def test_a_candidate_that_passes_and_does_not_win_is_told_why() -> None:
    decision = decisions.decision()
    winner, larger = decision.of(decisions.WINNER), decision.of("student-L3+trim+int8")
    assert (why(decision, winner), why(decision, larger)) == ("", "")
    kept = replace(decision, winner=larger.candidate, reason="the champion still passes")
    assert why(kept, winner) == "passes every gate, but was not chosen: the champion still passes"
    assert why(decision, decision.of("linear-words")) == "0.0313 below the reference on the validation split"
