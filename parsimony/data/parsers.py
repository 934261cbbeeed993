"""One parser per file format: values come out exactly as written, or the file is refused with the line and the remedy.

CSV and JSON lines are parsed with the standard library because libraries that read tables for analysis
turn "NA" into nothing, "007" into 7, and shift the columns of a row with too many fields.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from parsimony.data.table import Table
from parsimony.errors import DataError, Finding

MAX_BYTES = 2 * 1024**3
_FOREIGN_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to open, the name it has in messages, the columns wanted, and names for numbered classes.

    `slices` are the columns to read beside text and label.
    """

    path: Path
    name: str
    text: str
    label: str
    slices: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    counted: Literal["line", "row"] = "line"

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns to read: text, label, slices."""
        return (self.text, self.label, *self.slices)

    def refuse(self, reason: str, *, line: int | None = None, column: str = "") -> DataError:
        """Make the refusal of this table: name, line, reason."""
        place = self.name if line is None else f"{self.name}, {self.counted} {line}"
        finding = Finding(
            severity="critical", check="reading", source=self.name, row=line, column=column, reason=reason
        )
        return DataError(f"{place}: {reason}", (finding,))

    def table(self, cells: Iterable[tuple[int, Sequence[object]]]) -> Table:
        """Make the table of (row, values of the columns wanted) as read; refuse it when there are no rows."""
        rows, records = [], []
        for row, (text, label, *others) in cells:
            values = (text, self._class_name(label, row), *others)
            rows.append(row)
            records.append(
                tuple(self._written(value, row, name) for value, name in zip(values, self.wanted, strict=True))
            )
        if not rows:
            raise self.refuse("has no rows; expected at least one labelled text")
        texts, labels, *columns = zip(*records, strict=True)
        slices = tuple(zip(self.slices, columns, strict=True))
        return Table(source=self.name, texts=texts, labels=labels, rows=tuple(rows), slices=slices)

    def _written(self, value: object, row: int, column: str) -> str:
        try:
            return _as_written(value)
        except (TypeError, ValueError) as error:
            raise self.refuse(f"column {column!r} holds {error}", line=row, column=column) from None

    def _class_name(self, label: object, row: int) -> object:
        """Follow `datasets`: a name stands for itself, a number for the class at that place, -1 for no class."""
        if not self.classes or label is None or label in self.classes:
            return label
        number = int(str(label)) if re.fullmatch(r"-?\d{1,9}", str(label)) else -2
        if number == -1:
            return None
        if not 0 <= number < len(self.classes):
            reason = f"label {label!r} is none of the {len(self.classes)} classes that the dataset declares"
            raise self.refuse(reason, line=row, column=self.label)
        return self.classes[number]


def _as_written(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise TypeError(f"a value of type {type(value).__name__}; expected text, a number, true or false")
    written = str(value)
    if not written.isascii() and any("\ud800" <= character <= "\udfff" for character in written):
        raise ValueError("half of a surrogate pair, which is no character; write the file again as UTF-8")
    return written


# --- files ----------------------------------------------------------------------------------------


def read_file(ask: Ask) -> Table:
    """Read one file with the parser of its ending; DataError when it is missing, empty, too large or unreadable."""
    if not ask.path.exists():
        raise ask.refuse("no such file; check data.train and data.test in the plan")
    suffix = Path(ask.name).suffix.lower()
    if suffix not in _READERS:
        hint = "unpack it first" if suffix in {".gz", ".zip", ".bz2", ".xz", ".zst"} else "convert it first"
        raise ask.refuse(f"files ending in {suffix or 'nothing'} are not read, only {', '.join(_READERS)}; {hint}")
    if not ask.path.is_file():
        raise ask.refuse("is neither a file nor a folder")
    if (size_bytes := ask.path.stat().st_size) > MAX_BYTES:
        raise ask.refuse(f"has {size_bytes} bytes, the limit is {MAX_BYTES}; train on a part of it")
    if size_bytes == 0:
        raise ask.refuse("is empty (0 bytes); expected a header and rows")
    try:
        return _READERS[suffix](ask)
    except OSError as error:
        raise ask.refuse(f"cannot be opened ({first_line(error)}); check its permissions") from None


def columns(ask: Ask, names: Sequence[str]) -> tuple[int, ...]:
    """Return the positions of the columns wanted among the columns of the table."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ask.refuse(f"column {twice[0]!r} appears more than once; rename or remove one", column=twice[0])
    for wanted in ask.wanted:
        if wanted not in names:
            near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
            keys = "data.text and data.label" if wanted in (ask.text, ask.label) else "data.slices"
            hint = f"; did you mean {near[0]!r}?" if near else f"; set {keys} in the plan"
            others = ", ".join(repr(name) for name in names[:20]) + (", …" if len(names) > 20 else "")
            raise ask.refuse(f"has no column {wanted!r}, only {others}{hint}", column=wanted)
    return tuple(names.index(wanted) for wanted in ask.wanted)


def _decode(ask: Ask) -> str:
    data = ask.path.read_bytes()
    for bom, encoding in _FOREIGN_BOMS:
        if data.startswith(bom):
            raise ask.refuse(f"is {encoding}, by its byte order mark; expected UTF-8: save it as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        raise ask.refuse(f"has a NUL byte at byte {at}; expected UTF-8 text", line=data.count(b"\n", 0, at) + 1)
    body = data.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start + len(data) - len(body)
        reason = f"byte {at} (0x{data[at]:02x}) is not UTF-8; save the file as UTF-8"
        raise ask.refuse(reason, line=data.count(b"\n", 0, at) + 1) from None


def _read_csv(ask: Ask) -> Table:
    limit = csv.field_size_limit(MAX_BYTES - 1)  # too long texts are for the checks to judge, row by row
    try:
        records = _csv_records(ask)
        _, header = next(records, (1, []))
        if not header:
            raise ask.refuse("has only blank lines; expected a header and rows")
        places = columns(ask, header)
        return ask.table((line, [record[i] for i in places]) for line, record in _complete(ask, header, records))
    finally:
        csv.field_size_limit(limit)


def _csv_records(ask: Ask) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line on which it starts; a blank line is no record."""
    reader = csv.reader(io.StringIO(_decode(ask), newline=""), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        problem = "a quote is not closed" if "unexpected end" in str(error) else str(error)
        raise ask.refuse(f"{problem}; a quoted field ends with a quote, quotes inside are doubled", line=line) from None


def _complete(ask: Ask, header: list[str], records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for line, record in records:
        if len(record) != len(header):
            reason = f"has {len(record)} fields, the header {len(header)}; quote texts that contain commas"
            raise ask.refuse(reason, line=line)
        yield line, record


def _read_jsonl(ask: Ask) -> Table:
    lines = _decode(ask).split("\n")
    records = [(n, _json_object(ask, n, line, len(lines))) for n, line in enumerate(lines, 1) if line.strip(" \t\r")]
    if not records:
        raise ask.refuse("has only blank lines; expected one JSON object per line")
    columns(ask, list(dict.fromkeys(key for _, record in records for key in record)))
    return ask.table((line, [record.get(name) for name in ask.wanted]) for line, record in records)


def _json_object(ask: Ask, number: int, line: str, last: int) -> dict[str, object]:
    """Parse one line; numbers stay as written. The line after the last newline may be cut off."""
    try:
        value = json.loads(
            line, object_pairs_hook=_without_repeats, parse_constant=_no_constant, parse_int=str, parse_float=str
        )
    except RecursionError:
        raise ask.refuse("is nested too deeply; expected one flat JSON object", line=number) from None
    except json.JSONDecodeError as error:
        cut = "the file seems cut off here: " if number == last else ""
        reason = f"{cut}not JSON at column {error.colno} ({error.msg}); expected one JSON object per line"
        raise ask.refuse(reason, line=number) from None
    except ValueError as error:
        raise ask.refuse(str(error), line=number) from None
    if not isinstance(value, dict):
        raise ask.refuse('is not an object; expected one JSON object per line, such as {"text": …}', line=number)
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"has the key {key!r} more than once; expected each once")
    return record


def _no_constant(name: str) -> object:
    raise ValueError(f"has {name}, which is not JSON; write null for a missing value")


def _read_parquet(ask: Ask) -> Table:
    import pyarrow
    import pyarrow.parquet
    from datasets import Features

    try:
        schema = pyarrow.parquet.read_schema(ask.path)
        columns(ask, schema.names)
        table = pyarrow.parquet.read_table(ask.path, columns=list(ask.wanted), partitioning=None)
        records = list(zip(*(table.column(name).to_pylist() for name in ask.wanted), strict=True))
        classes = class_names(Features.from_arrow_schema(schema), ask.label)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        # the last two are what `datasets` says of damaged metadata
        raise ask.refuse(f"cannot be read as Parquet ({first_line(error)}); write it again") from None
    named = replace(ask, classes=classes or ask.classes, counted="row")
    return named.table(enumerate(records, 1))


_READERS: dict[str, Callable[[Ask], Table]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_jsonl,
    ".parquet": _read_parquet,
}


def class_names(features: object, label: str) -> tuple[str, ...]:
    """Return the names of a `datasets` ClassLabel column, in order; none when it is another kind of column."""
    feature = features.get(label) if isinstance(features, dict) else None
    return tuple(getattr(feature, "names", None) or ())


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, for use inside one of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
