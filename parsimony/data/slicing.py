"""The slices of a table: which rows share a label, or a value of a further column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from parsimony.data.table import Table
from parsimony.errors import DataError

LABEL, EMPTY = "label", "(empty)"
MOST_VALUES = 100


def rows_of(table: Table) -> Rows:
    """Return the rows of every label and of every value of every further column; a blank value is called (empty)."""
    columns = ((LABEL, table.labels), *table.slices)
    return {(name, value): mine for name, values in columns for value, mine in _by_value(values).items()}


def _by_value(values: Sequence[str]) -> dict[str, np.ndarray]:
    column = np.array([value if value.strip() else EMPTY for value in values], dtype=object)
    return {value: column == value for value in sorted(set(column))}


def require_groups(test: Table) -> None:
    """Raise DataError for a column that has too many different values to be one of groups."""
    for name, values in test.slices:
        if (different := len(set(values))) > MOST_VALUES:
            raise DataError(
                f"{test.source}: column {name!r} has {different:,} different values among {len(test):,} test rows, "
                f"expected at most {MOST_VALUES}: name columns of groups in data.slices, not of free text"
            )


def joined(tables: Sequence[Table], source: str) -> Table:
    """Return the rows of all tables, which have the same columns, one after the other, counted from 1."""
    names = [name for name, _ in tables[0].slices] if tables else []
    return Table(
        source=source,
        texts=tuple(text for table in tables for text in table.texts),
        labels=tuple(label for table in tables for label in table.labels),
        rows=tuple(range(1, sum(map(len, tables)) + 1)),
        slices=tuple((name, tuple(v for t in tables for v in t.slices[i][1])) for i, name in enumerate(names)),
        findings=tuple(finding for table in tables for finding in table.findings),
    )


# The rows of each slice, bool [rows], by column and value.
Rows = Mapping[tuple[str, str], np.ndarray]
