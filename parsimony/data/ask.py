"""What is asked of a source of labelled texts, and how it is refused."""

from __future__ import annotations

import datetime
import decimal
import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from parsimony.data.normalise import normalise
from parsimony.data.table import Table
from parsimony.errors import DataError, Finding, Severity

MAX_BYTES, MAX_ROWS = 2 * 1024**3, 10_000_000
# A name of a column may be printed; a first line of data is a customer's row and may not. Two words at most look like names.
_NAME = re.compile(r"[^\W\d][\w.\-/]{0,39}(?: [\w.\-/]{1,20})?")
_MOST_NAMES = 20

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to open, the name it has in messages, the columns wanted, and names for numbered classes.

    `label` is "" where there are no labels. `slices` are the columns to read beside text and label; `given` are columns, name and value, that the path of the
    file holds and not the file, as in `region=eu/part-0.parquet`.
    """

    path: Path
    name: str
    text: str
    label: str
    slices: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    given: tuple[tuple[str, str], ...] = ()
    counted: Literal["line", "row"] = "line"

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns to read: text, label, slices."""
        return (self.text, *filter(None, [self.label]), *self.slices)

    def finding(self, reason: str, *, line: int | None, column: str = "", severity: Severity = "critical") -> Finding:
        """Make a finding of this table."""
        return Finding(severity=severity, check="reading", source=self.name, row=line, column=column, reason=reason)

    def refuse(self, reason: str, *, line: int | None = None, column: str = "") -> DataError:
        """Make the refusal of this table: name, line, reason."""
        place = self.name if line is None else f"{self.name}, {self.counted} {line}"
        finding = self.finding(reason, line=line, column=column)
        return DataError(f"{place}: {reason}", (finding,), () if line is None else (finding,))

    def refuse_rows(self, findings: Sequence[Finding]) -> DataError:
        """Make the refusal for several lines: the first with its reason, and how many more there are."""
        first, more = findings[0], len(findings) - 1
        rest = f" (and {more} more {self.counted}s)" if more else ""
        return DataError(
            f"{self.name}, {self.counted} {first.row}: {first.reason}{rest}", tuple(findings), tuple(findings)
        )

    def table(self, records: Iterable[tuple[int, Record]], findings: Iterable[Finding] = ()) -> Table:
        """Make the table of (row, values by column) as read; refuse it when there are no rows, or too many."""
        rows: list[int] = []
        values: list[tuple[str, ...]] = []
        given = dict(self.given)
        for row, record in records:
            if len(rows) >= MAX_ROWS:
                raise self.refuse(f"has more than {MAX_ROWS:,} rows; train on a part of it")
            cells = {name: record.get(name, given.get(name)) for name in self.wanted}
            if self.label:
                cells[self.label] = self._class_name(cells[self.label], row)
            rows.append(row)
            values.append(tuple(self._written(cells[name], row, name) for name in self.wanted))
        if not rows:
            raise self.refuse(f"has no rows; expected at least one {'labelled ' if self.label else ''}text")
        texts, *columns = zip(*values, strict=True)
        labels = columns.pop(0) if self.label else ("",) * len(texts)
        slices = tuple(zip(self.slices, columns, strict=True))
        table = Table(source=self.name, texts=texts, labels=labels, rows=tuple(rows), slices=slices)
        return replace(table, findings=tuple(findings))

    def _written(self, value: object, row: int, column: str) -> str:
        try:
            return _as_written(value)
        except (TypeError, ValueError) as error:
            several = "; a row has one label" if column == self.label and isinstance(value, list | tuple) else ""
            raise self.refuse(f"column {column!r} holds {error}{several}", line=row, column=column) from None

    def _class_name(self, label: object, row: int) -> object:
        """Follow `datasets`: a name stands for itself, a number for the class at that place, -1 for no class."""
        if not self.classes or label is None or label in self.classes:
            return label
        number = int(str(label)) if re.fullmatch(r"-?\d{1,9}", str(label)) else -2
        if number == -1:
            return None
        if not 0 <= number < len(self.classes):
            reason = f"label {str(label)[:60]!r} is none of the {len(self.classes)} classes that the dataset declares"
            raise self.refuse(reason, line=row, column=self.label)
        return self.classes[number]


def _as_written(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bytes):  # how some writers of Parquet store text
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("bytes that are not UTF-8; expected text, a number, true or false") from None
    if not isinstance(value, str | int | float | decimal.Decimal):
        raise TypeError(f"a value of type {type(value).__name__}; expected text, a number, true or false")
    written = str(value)
    if not written.isascii() and any("\ud800" <= character <= "\udfff" for character in written):
        raise ValueError("half of a surrogate pair, which is no character; write the file again as UTF-8")
    return written


def columns(ask: Ask, names: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> tuple[str, ...]:
    """Return the columns wanted that the table has, and refuse it when one is missing or is there twice.

    `rows` are some lines below the first one, where a first line may be data: then it is not printed.
    """
    for wanted in ask.wanted:
        if names.count(wanted) > 1:
            raise ask.refuse(f"column {wanted!r} appears more than once; rename or remove one", column=wanted)
    given = dict(ask.given)
    for wanted in ask.wanted:
        if wanted not in names and wanted not in given:
            raise ask.refuse(_missing(ask, wanted, names, rows), column=wanted)
    return tuple(name for name in ask.wanted if name in names)


def _missing(ask: Ask, wanted: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Say which column is missing, and which there are, unless these may be a customer's words."""
    keys = "data.slices" if wanted in ask.slices else "data.text and data.label" if ask.label else "the column of texts"
    if _is_data(names, rows):
        return (
            "has no header: its first line is a row like those below it; put a line with the names of the columns above "
            f"it, {' and '.join(map(repr, filter(None, [ask.text, ask.label])))} among them"
        )
    if not _are_names(ask, names):
        return (
            f"has no column {wanted!r}; its first line has {len(names)} fields and does not look like names of columns, "
            f"so it is not printed: put a header above it, or set {keys} in the plan"
        )
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else f"; set {keys} in the plan"
    others = ", ".join(repr(name[:60]) for name in names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
    return f"has no column {wanted!r}, only {others}{hint}"


def _is_data(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the first line is a row: one of its values, such as a label, occurs again in its column."""
    return any(
        name.strip() and name == row[i]
        for row in rows
        if tuple(row) != tuple(names)
        for i, name in enumerate(names[: len(row)])
    )


def _are_names(ask: Ask, names: Sequence[str]) -> bool:
    known = {normalise(name) for name in ask.wanted}
    return any(normalise(name) in known for name in names) or all(
        not name.strip() or _NAME.fullmatch(name.strip()) for name in names
    )


def class_names(features: object, label: str) -> tuple[str, ...]:
    """Return the names of a `datasets` ClassLabel column, in order; none when it is another kind of column."""
    feature = features.get(label) if isinstance(features, dict) else None
    return tuple(getattr(feature, "names", None) or ())
