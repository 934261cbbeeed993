"""What people read about a decision: a page, Markdown, a model card, a terminal table, a sentence.

`html(decision, receipt)` is one self-contained page, `markdown(decision)` the same substance for artifacts, `folded(decision, links)`
that substance behind five lines, `version_card(decision)` the description of a registered version, `table(decision)` the most telling rows of the ladder
for a terminal, `left_out(decision)` what these leave out, `unsteady(decision)` what a mark in them means,
`ladder_table(decision)` the whole ladder, `sentence(decision)` the whole decision in words, `remedies(decision)` what to do
when nothing passed.
"""

from __future__ import annotations

from parsimony.reporting.html import html
from parsimony.reporting.markdown import folded, markdown
from parsimony.reporting.model_card import version_card
from parsimony.reporting.remedy import remedies
from parsimony.reporting.sentences import sentence
from parsimony.reporting.terminal import ladder_table, left_out, table, unsteady

__all__ = [
    "folded",
    "html",
    "ladder_table",
    "left_out",
    "markdown",
    "remedies",
    "sentence",
    "table",
    "unsteady",
    "version_card",
]
