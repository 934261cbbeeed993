"""Texts that differ in their numbers only and lie in different splits: a model that has seen one knows the other."""

from __future__ import annotations

from parsimony.data.normalise import without_numbers
from parsimony.data.table import Table
from parsimony.errors import Finding

_FIRST = 5


def near_duplicates(train: Table, validation: Table, test: Table) -> tuple[Finding, ...]:
    """Return a note for validation and for test that counts rows which differ in numbers only from rows before them."""
    known = set(map(without_numbers, train.texts))
    notes = _notes(validation, known, "train")
    known |= set(map(without_numbers, validation.texts))
    return (*notes, *_notes(test, known, "train or validation"))


def _notes(table: Table, known: set[str], where: str) -> tuple[Finding, ...]:
    rows = [row for row, text in zip(table.rows, table.texts, strict=True) if without_numbers(text) in known]
    if not rows:
        return ()
    which = "validation" if where == "train" else "test"
    some = ", ".join(map(str, rows[:_FIRST])) + (", …" if len(rows) > _FIRST else "")
    reason = (
        f"{len(rows)} of {len(table)} rows for {which} differ in numbers only from rows in {where} (rows {some}), which "
        'makes them easier than new texts; data.near_duplicates = "group" keeps such rows in one split'
    )
    return (
        Finding(severity="note", check="near duplicates", source=table.source, row=None, column="text", reason=reason),
    )
