"""The small parts of an HTML page: every text escaped, every kind of element written in one place."""

from __future__ import annotations

import html as standard_html
from collections.abc import Iterable

from parsimony.reporting import formatting as say
from parsimony.reporting.tables import Grid


def text(value: str) -> str:
    """Return text from anywhere as it may stand between tags and in attributes."""
    return standard_html.escape(say.printable(value), quote=True)


def breakable(name: str) -> str:
    """Return an id that may be broken before each technique."""
    return text(name).replace("+", "<wbr>+")


def badge(word: str, kind: str = "") -> str:
    """Return a word in a coloured frame."""
    return f'<span class="badge {text((kind or word).replace(" ", "-"))}">{text(word)}</span>'


def paragraph(value: str, kind: str = "") -> str:
    """Return a paragraph, or nothing for an empty text."""
    return f'<p class="{kind}">{text(value)}</p>' if value else ""


def cell(column: str, value: str, kind: str = "") -> str:
    """Return a cell of a table; a phone shows the name of its column beside it."""
    return f'<td class="{kind}" data-label="{text(column)}">{text(value)}</td>'


def scroll(label: str, content: str) -> str:
    """Return content that scrolls by itself where it is wider than the page."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">{content}</div>'


def section(title: str, words: str, content: Iterable[Grid]) -> str:
    """Return a titled part of the page with its tables side by side."""
    return f'<h2>{text(title)}</h2>{paragraph(words, "note")}<div class="grids">{"".join(map(grid, content))}</div>'


def grid(of: Grid) -> str:
    """Return one titled table with its note."""
    table = _rows(of) if of.columns else _pairs(of)
    content = scroll(of.title, table) if of.rows else ""
    kind = "wide" if "reason" in of.columns or len(of.columns) > 6 else ""
    return f'<section class="{kind}"><h3>{text(of.title)}</h3>{content}{paragraph(of.note, "note")}</section>'


def _pairs(of: Grid) -> str:
    rows = "".join(f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>' for name, value in of.rows)
    return f'<table class="pairs"><tbody>{rows}</tbody></table>'


def _rows(of: Grid) -> str:
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in of.columns)
    rows = "".join(f"<tr>{''.join(map(cell, of.columns, row))}</tr>" for row in of.rows)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
