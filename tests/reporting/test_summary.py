"""The first paragraph: what happens, how small, how fast, how good and how sure, without a word of the field."""

from __future__ import annotations

import re
from dataclasses import replace

import decisions
import pytest
from pages import EVERY, Page, page_of

from parsimony.decision.records import Decision
from parsimony.reporting.summary import in_plain_words, title

TERMS = ("student-", "encoder", "p50", "p99", "certif", "gate", "challenger", "champion", "reference", "int4", "split")


def _with_ratio(value: float, verdict: str, baseline: str = decisions.REFERENCE) -> Decision:
    """Return the promoting decision with another latency ratio of its winner."""
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    ratio = replace(decisions.ratio(1.0, stable=True), value=value, verdict=verdict, baseline=baseline)
    changed = replace(winner, measurements=(replace(winner.measurements[0], ratio=ratio),))
    return replace(before, judged=tuple(changed if j is winner else j for j in before.judged))


def test_a_promotion_is_told_to_a_reader_who_knows_nothing_of_the_field() -> None:
    assert in_plain_words(decisions.decision()) == (
        "A model of 3.74 MB goes into production for banking77. It is 24.3 times smaller than the best model without "
        "compression (91.0 MB), and labels a text in 0.710 ms, 5.8 times faster than that model.",
        "Of 1,000 new texts it labels about 917 correctly; the best model without compression, about 919. With 95 % "
        "confidence it loses at most 6.6 of 1,000 against it; the plan allows 10. This was tested on 3,080 texts that "
        "neither training nor selection had used.",
        "What it means: the promised quality is kept, with 87.3 MB less to store, to ship and to load.",
    )


def test_a_kept_model_is_told_to_stay_and_to_mean_no_change() -> None:
    first, *_, last = in_plain_words(decisions.kept())
    assert first.startswith("The model of 3.74 MB that is in production for banking77 stays there. It is 24.3 times")
    assert last == "What it means: nothing changes in production, and what runs there still keeps the promised quality."


def test_without_a_winner_the_nearest_model_and_what_would_settle_it_are_told() -> None:
    assert in_plain_words(decisions.nothing_passed()) == (
        "No model met every rule of the plan for banking77, so nothing changes in production. The nearest one has 1.86 MB: "
        "there are too few test texts to be sure that it is good enough. What it means: about 4,070 more labelled test "
        "texts would probably settle it.",
    )
    [words] = in_plain_words(decisions.bare())
    assert words.endswith("so nothing changes in production. No model was built.")


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("margin", "it makes too many mistakes"),
        ("slices", "it gets clearly worse on one group of texts"),
        ("here p99_ms", "it is too slow"),
        ("here peak_rss_bytes", "it needs too much memory"),
        ("here size_bytes", "it is too large"),
        ("here measured", "its speed could not be measured reliably"),
        ("a new rule", "it misses the rule a new rule"),
    ],
)
def test_a_failed_gate_is_told_by_what_it_means(gate: str, words: str) -> None:
    before = decisions.nothing_passed()
    near = before.of("linear-char-ngrams")
    failed = replace(near, verdict="fail", gates=(replace(near.gates[0], gate=gate, verdict="fail"),))
    [told] = in_plain_words(replace(before, judged=tuple(failed if j is near else j for j in before.judged)))
    assert f"The nearest one has 1.86 MB: {words}. What it means: either the plan has to allow more" in told


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (0.5, "faster", ", 2.0 times faster than that model."),
        (0.8, "faster", ", 25 % faster than that model."),
        (3.0, "slower", ", 3.0 times slower than that model."),
        (1.0, "same", ", as fast as that model."),
        (0.9, "inconclusive", "labels a text in 0.710 ms."),
    ],
)
def test_speed_is_compared_only_as_far_as_it_was_shown(value: float, verdict: str, words: str) -> None:
    assert in_plain_words(_with_ratio(value, verdict))[0].endswith(words)


def test_a_new_model_is_compared_with_the_one_in_production() -> None:
    words = in_plain_words(_with_ratio(0.5, "faster", "student-champion-v3+trim+int4"))[0]
    assert words.endswith(", 2.0 times faster than the model in production until now.")
    assert in_plain_words(decisions.replaced())[0].endswith(" The model in production until now has 6.01 MB.")


def test_a_winning_reference_is_said_to_be_uncompressed() -> None:
    decision = replace(decisions.decision(), winner=decisions.REFERENCE)
    first, _, last = in_plain_words(decision)
    assert first == (
        "A model of 91.0 MB goes into production for banking77. It was not compressed, because no smaller model met every "
        "rule of the plan, and labels a text in 4.10 ms."
    )
    assert last == "What it means: the promised quality is kept."


def test_macro_f1_is_explained_where_it_decides() -> None:
    words = in_plain_words(decisions.with_metric("macro_f1"))[1]
    assert words.startswith(
        "Its macro F1, the mean over all labels of how reliably each is recognised (1 is perfect), is"
    )
    assert "is 0.9159; the best model without compression has 0.9179" in words
    assert "it has lost at most 0.0066; the plan allows 0.01" in words


def test_the_title_says_what_happens() -> None:
    assert title(decisions.decision()) == "A model 24.3 times smaller goes into production"
    assert title(decisions.kept()) == "The model in production stays"
    assert title(decisions.nothing_passed()) == "Nothing changes in production"
    same = replace(decisions.decision(), winner=decisions.REFERENCE)
    assert title(same) == "The model without compression goes into production"
    assert title(replace(same, winner="encoder+fusion", judged=_passing("encoder+fusion"))) == (
        "A new model goes into production"
    )


def _passing(name: str) -> tuple[object, ...]:
    return tuple(replace(j, verdict="pass") if j.candidate == name else j for j in decisions.decision().judged)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "hostile"])
def test_the_first_paragraphs_use_no_term_of_the_field(name: str) -> None:
    words = " ".join((title(EVERY[name]()), *in_plain_words(EVERY[name]()))).lower()
    assert [term for term in TERMS if term in words] == []


def test_the_page_begins_with_what_it_means_and_goes_on_with_the_key_figures() -> None:
    page = page_of(decisions.decision())
    text = Page(page[page.index("<main>") : page.index('<dl class="figures">')]).text.replace("\N{NO-BREAK SPACE}", " ")
    positions = [text.index(words) for words in (title(decisions.decision()), *in_plain_words(decisions.decision()))]
    assert positions == sorted(positions)
    assert len(re.findall("<h2>", page[: page.index('<dl class="figures">')])) == 0
