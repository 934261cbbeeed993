"""The report as Markdown: tables with a cell for every column, every candidate, no markup of others."""

from __future__ import annotations

import re

import decisions
import pytest
from pages import EVERY

from parsimony.reporting import folded, markdown
from parsimony.reporting.markdown import escape
from parsimony.reporting.sentences import why
from parsimony.reporting.summary import in_plain_words, title


@pytest.mark.parametrize("name", EVERY)
def test_every_markdown_table_has_cells_for_its_columns(name: str) -> None:
    width = 0
    for line in markdown(EVERY[name]()).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


@pytest.mark.parametrize("name", EVERY)
def test_markdown_has_every_candidate_and_every_reason(name: str) -> None:
    decision = EVERY[name]()
    text = markdown(decision)
    for judged in decision.judged:
        assert escape(judged.candidate) in text
        if judged.candidate != decision.winner and judged.verdict != "pass":
            assert f" {judged.verdict}: {escape(why(decision, judged))}" in text
            assert escape(judged.reason) in text


def test_a_candidate_that_passes_and_is_larger_needs_no_reason() -> None:
    decision = decisions.decision()
    reasons = markdown(decision).split("## Why not the others")[1].split("## Step by step")[0]
    passing = [j.candidate for j in decision.judged if j.verdict == "pass" and j.candidate != decision.winner]
    assert passing and not any(f"**{escape(name)}** pass" in reasons for name in passing)


def test_markdown_begins_with_what_a_product_owner_understands() -> None:
    decision = decisions.decision()
    assert markdown(decision).split("\n\n")[1:4] == [escape(words) for words in in_plain_words(decision)]


def test_markdown_shows_hostile_text_as_text() -> None:
    text = markdown(decisions.hostile())
    assert "<" not in text
    assert escape("[a](https://b) `c` *d*\n# e | f") == (r"\[a\](https:&#8203;//b) \`c\` \*d\* \# e \| f")


@pytest.mark.parametrize("name", EVERY)
def test_the_report_of_a_run_begins_with_five_lines_and_folds_the_rest(name: str) -> None:
    decision = EVERY[name]()
    front, fold, rest = folded(decision, {"MLflow run": "http://127.0.0.1:5000/#/runs/1"}).partition("<details>")
    lines = [line for line in front.splitlines() if line]
    assert 3 <= len(lines) <= 5 and "<" not in front
    assert lines[0] == f"**{escape(decision.model)}: {escape(title(decision))}.**"
    assert lines[-1] == "- [MLflow run](http://127.0.0.1:5000/#/runs/1)"
    assert fold and markdown(decision) in rest
