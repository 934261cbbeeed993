"""The file of rows that were set aside or refused, each with its reason."""

from __future__ import annotations

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from parsimony.data.table import Table
from parsimony.errors import DataError, Finding

QUARANTINE = "quarantine.csv"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_FIRST = 5


@contextlib.contextmanager
def refusals_kept(path: Path, tables: Sequence[Table] = ()) -> Iterator[None]:
    """Write every row that a DataError refuses into a file, and name the first rows and the file in its message.

    `tables` are those read so far, for the texts of the rows; the list may grow meanwhile.
    """
    try:
        yield
    except DataError as error:
        if not error.rows:
            raise
        write_quarantine(path, error.rows, tables)
        raise DataError(f"{error}; {_told(error.rows)} in {path}", error.findings, error.rows) from error


def _told(findings: Sequence[Finding]) -> str:
    """Name the first rows: by their numbers where all are of one file."""
    places = list(dict.fromkeys((finding.source, finding.row) for finding in findings))
    one_file = len({source for source, _ in places}) == 1
    names = [str(row) if one_file else f"{Path(source).name} {row}" for source, row in places[:_FIRST]]
    some = ", ".join(names) + (", …" if len(places) > _FIRST else "")
    return f"1 row ({some}) with its reason" if len(places) == 1 else f"{len(places)} rows ({some}) with their reasons"


def write_quarantine(path: Path, findings: Iterable[Finding], tables: Sequence[Table]) -> None:
    """Write the rows set aside as CSV: source, row, column, check, reason, text, label.

    `tables` are the tables as read. A cell that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    cells = {
        (table.source, row): (text, label)
        for table in tables
        for row, text, label in zip(table.rows, table.texts, table.labels, strict=True)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("source", "row", "column", "check", "reason", "text", "label"))
        for f in findings:
            row = "" if f.row is None else str(f.row)
            line = (f.source, row, f.column, f.check, f.reason, *cells.get((f.source, f.row or 0), ("", "")))
            writer.writerow([f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell for cell in line])
    Path(name).replace(path)
