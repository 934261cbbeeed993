"""What people read about a decision: a page, Markdown, a model card, a terminal table, a sentence.

`html(decision, receipt)` is one self-contained page, `markdown(decision)` the same substance for artifacts,
`version_card(decision)` the description of a registered version, `table(decision)` the ladder for a terminal,
`sentence(decision)` the whole decision in words.
"""

from __future__ import annotations

from parsimony.report_card import version_card
from parsimony.report_html import html
from parsimony.report_markdown import markdown
from parsimony.report_text import sentence, table

__all__ = ["html", "markdown", "sentence", "table", "version_card"]
