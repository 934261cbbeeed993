"""CSV: the delimiter is the one that gives the columns wanted; a file that is cut off is noticed where that can be known."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from parsimony.data.ask import MAX_BYTES, Ask, Record, columns
from parsimony.data.table import Table
from parsimony.data.text_file import decode
from parsimony.errors import Finding

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DECLARED = re.compile(r'"?sep=(?P<delimiter>[^\w"\s]|\t)"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
_SAMPLE_ROWS, _CUT = 1000, "the file seems cut off here"
_BLANK = " \t\x1a"  # DOS ended its files with the last one

Lines = Iterator[tuple[int, list[str]]]


def read_csv(ask: Ask) -> Table:
    """Read a CSV file; rows are the lines on which their records start."""
    limit = csv.field_size_limit(MAX_BYTES - 1)  # a text of any length is read, and cut later
    try:
        return _read(ask, _source(ask, decode(ask)))
    finally:
        csv.field_size_limit(limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The text below a `sep=` line, how many lines were above it, and the delimiter."""

    ask: Ask
    text: str
    above: int
    delimiter: str

    @property
    def between(self) -> str:
        """What separates the fields, in words."""
        return _DELIMITERS.get(self.delimiter, repr(self.delimiter))

    @property
    def is_open(self) -> bool:
        """Whether the last line has no newline, so that it may be cut off."""
        return not self.text[-100:].rstrip(_BLANK).endswith(("\n", "\r"))

    def records(self) -> Lines:
        """Yield each record with the line on which it starts; a blank line is no record."""
        # Strict reading takes a quote inside an unquoted field as it is, and refuses one after a closing quote.
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True, delimiter=self.delimiter)
        line = 1 + self.above
        try:
            for record in reader:
                if len(record) > 1 or (record and record[0].strip(_BLANK)):
                    yield line, record
                line = reader.line_num + 1 + self.above
        except csv.Error as error:
            problem = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            reason = f"{problem}; a quoted field ends with a quote, quotes inside are doubled"
            raise self.ask.refuse(reason, line=line) from None


def _source(ask: Ask, text: str) -> _Source:
    """Find the delimiter: the declared one, else the one that gives all columns wanted, else the likeliest."""
    if declared := _DECLARED.match(text):
        return _Source(ask=ask, text=text[declared.end() :], above=1, delimiter=declared["delimiter"])
    wanted, given = set(ask.wanted), {name for name, _ in ask.given}
    sources = [_Source(ask=ask, text=text, above=0, delimiter=delimiter) for delimiter in _DELIMITERS]
    headers = [set(_header(source)) for source in sources]
    for source, header in zip(sources, headers, strict=True):
        if wanted <= header | given:
            return source
    likeliest = max(range(len(sources)), key=lambda i: (len(headers[i] & wanted), len(headers[i]), -i))
    return sources[likeliest]


def _header(source: _Source) -> list[str]:
    """Return the first line that is not blank, [] where it cannot be read with this delimiter."""
    first = source.text.lstrip("\r\n")[:100_000]
    reader = csv.reader(io.StringIO(first, newline=""), delimiter=source.delimiter)
    try:
        return next(reader, [])
    except csv.Error:
        return []


@dataclass(slots=True, kw_only=True)
class _Rows:
    """The rows so far, and the lines that cannot be read or hold nothing."""

    kept: list[tuple[int, Record]] = field(default_factory=list)
    bad: list[Finding] = field(default_factory=list)
    trailing: list[int] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    width: int = 0


def _read(ask: Ask, source: _Source) -> Table:
    records = source.records()
    _, header = next(records, (1, []))
    if not header:
        raise ask.refuse("has only blank lines; expected a header and rows")
    while header and not header[-1].strip():
        header.pop()
    sample = list(itertools.islice(records, _SAMPLE_ROWS)) if not set(ask.wanted) <= set(header) else []
    names = columns(ask, header, [record for _, record in sample])
    rows = _collect(source, header, names, itertools.chain(sample, records))
    findings = _unended(source, header, rows) if source.is_open and not rows.blank else ()
    return ask.table(rows.kept, (*findings, *_passed_over(ask, source, rows)))


def _collect(source: _Source, header: list[str], names: tuple[str, ...], records: Lines) -> _Rows:
    """Read every record; refuse the file for all lines that do not fit the header, at once."""
    rows, places = _Rows(), {name: header.index(name) for name in names}
    blank: list[tuple[int, list[str]]] = []
    line = 0
    for line, record in records:
        if not any(cell.strip(_BLANK) for cell in record):
            blank.append((line, record))  # kept only when a row follows it
            continue
        for each in (*blank, (line, record)):
            _add(source, header, rows, places, *each)
        blank = []
    rows.blank = [line for line, _ in blank]
    _refuse_lines(source, rows, last=line if not blank else None)
    return rows


def _refuse_lines(source: _Source, rows: _Rows, last: int | None) -> None:
    """Refuse the file for every line that does not fit; the last one without a newline is cut off rather than wrong."""
    if rows.trailing and len(rows.trailing) < len(rows.kept):
        if source.is_open and rows.kept[-1][0] == last and len(rows.trailing) == len(rows.kept) - 1:
            reason = f"{_CUT}: every other line ends in {source.between}; write the file again"
            raise source.ask.refuse(reason, line=last)
        reason = f"ends in {source.between} with nothing behind, as not every line does; remove them"
        rows.bad += [source.ask.finding(reason, line=line) for line in rows.trailing]
    if source.is_open and rows.bad and rows.bad[-1].row == last:
        rows.bad[-1] = replace(rows.bad[-1], reason=f"{_CUT}: it {rows.bad[-1].reason}")
    if rows.bad:
        raise source.ask.refuse_rows(sorted(rows.bad, key=lambda finding: finding.row or 0))


def _add(source: _Source, header: list[str], rows: _Rows, places: dict[str, int], line: int, record: list[str]) -> None:
    rows.width = len(record)
    while len(record) > len(header) and not record[-1].strip():
        record = record[:-1]
    if len(record) != len(header):
        reason = f"has {rows.width} fields, the header {len(header)}; quote texts that contain {source.between}"
        rows.bad.append(source.ask.finding(reason, line=line))
    elif record == header:
        rows.bad.append(source.ask.finding("repeats the header; remove the line", line=line))
    else:
        rows.kept.append((line, {name: record[place] for name, place in places.items()}))
        if rows.width > len(header):
            rows.trailing.append(line)


def _passed_over(ask: Ask, source: _Source, rows: _Rows) -> Iterator[Finding]:
    """Note what was read otherwise than plain CSV, or not at all."""
    notes = {
        f"the fields are separated by {source.between}": source.delimiter != ",",
        f"every line ends in {source.between} with nothing behind; passed over": bool(rows.trailing),
        f"{len(rows.blank)} lines at the end hold nothing but {source.between}; passed over": bool(rows.blank),
    }
    yield from (ask.finding(note, line=None, column="*", severity="note") for note, holds in notes.items() if holds)


# --- a file that may be cut off -------------------------------------------------------------------


def _unended(source: _Source, header: list[str], rows: _Rows) -> tuple[Finding, ...]:
    """Judge the last row of a file without a last newline by its last field, which alone may be cut off.

    A label that begins another one and occurs nowhere else is cut off: the file is refused. Where that cannot be known
    (a text, or a label that occurs elsewhere and begins another one too) the row is set aside. Anything else is whole.
    """
    if not rows.kept or rows.width != len(header) or header[-1] not in rows.kept[-1][1]:
        return ()
    column, (line, record) = header[-1], rows.kept[-1]
    state = "unknown" if column == source.ask.text else _ending([str(row[column]) for _, row in rows.kept])
    if state == "whole":
        return ()
    what = "its last line has no newline, and"
    if state == "cut":
        begins = "is the beginning of another value" if record[column] else "is blank"
        reason = f"{_CUT}: {what} {_shown(column, record)} {begins}; write the file again"
        raise source.ask.refuse(reason, line=line, column=column)
    rows.kept.pop()
    reason = f"{what} whether {column!r} goes on cannot be known; end it with a newline if the file is whole"
    finding = source.ask.finding(reason, line=line, column=column, severity="quarantine")
    return (finding,)


def _shown(column: str, record: Record) -> str:
    value = str(record[column])
    return f"column {column!r}" if not value or len(value) > 60 else f"{column} {value!r}"


def _ending(values: list[str]) -> Literal["whole", "cut", "unknown"]:
    *others, last = values
    if not any(other != last and other.startswith(last) for other in others):
        return "whole"
    return "unknown" if last in others else "cut"
