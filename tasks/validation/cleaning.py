"""What is mended with a note: a text that is too long, and characters that mean nothing to a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from parsimony.data.normalise import STRAY, clean
from parsimony.data.table import Table
from parsimony.errors import Finding

_FIRST = 5


def cut(table: Table, max_chars: int) -> Table:
    """Return the table with every text cut at its first `max_chars` characters, and a note of how many were."""
    reason = f"have more than {max_chars} characters; each text is cut there"
    return _mended(table, "long texts", lambda text: len(text) > max_chars, lambda text: text[:max_chars], reason)


def cleaned(table: Table) -> Table:
    """Return the table with a space for every C1 control and page break, and a note of how many rows had them."""
    reason = (
        "have C1 controls or page breaks, each read as a space; quotes and dashes become such controls when "
        "Windows-1252 is read as Latin-1"
    )
    return _mended(table, "stray characters", lambda text: STRAY.search(text) is not None, clean, reason)


def _mended(
    table: Table, check: str, is_meant: Callable[[str], bool], mend: Callable[[str], str], reason: str
) -> Table:
    rows = [row for row, text in zip(table.rows, table.texts, strict=True) if is_meant(text)]
    if not rows:
        return table
    some = ", ".join(map(str, rows[:_FIRST])) + (", …" if len(rows) > _FIRST else "")
    note = Finding(
        severity="note",
        check=check,
        source=table.source,
        row=None,
        column="text",
        reason=f"{len(rows)} rows {reason} (rows {some})",
    )
    return replace(table, texts=tuple(map(mend, table.texts)), findings=(*table.findings, note))
