"""JSON: one object a line, or one array of objects; numbers stay as written."""

from __future__ import annotations

import json
import re
from collections import Counter

from parsimony.data.ask import Ask, columns
from parsimony.data.table import Table
from parsimony.data.text_file import decode

_EXPECTED = "expected one JSON object per line"


def read_json(ask: Ask) -> Table:
    """Read JSON lines, or the objects of an array, which are counted from 1."""
    content = decode(ask)
    if content.lstrip().startswith("["):
        return _read_array(ask, content)
    # Every kind of line end: inside a JSON string they are escaped.
    lines = re.split(r"\r\n|\r|\n", content)
    records: list[tuple[int, dict[str, object]]] = []
    for number, line in enumerate(lines, 1):
        if line := line.strip(" \t\ufeff"):
            records.append((number, _object(ask, number, line, content if not records else "", len(lines))))
    if not records:
        raise ask.refuse(f"has only blank lines; {_EXPECTED}")
    return _table(ask, records)


def _table(ask: Ask, records: list[tuple[int, dict[str, object]]]) -> Table:
    """Make the table of objects that hold, all together, every column wanted."""
    if records:
        columns(ask, list(dict.fromkeys(key for _, record in records for key in record)))
    return ask.table(records)


def _read_array(ask: Ask, content: str) -> Table:
    try:
        values = _parse(content)
    except RecursionError:
        raise ask.refuse("is nested too deeply; expected an array of flat JSON objects") from None
    except json.JSONDecodeError as error:
        cut = "the file seems cut off: " if error.pos >= len(content.rstrip()) or "Unterminated" in error.msg else ""
        reason = f"{cut}not JSON at column {error.colno} ({error.msg}); {_EXPECTED}, or one array of objects"
        raise ask.refuse(reason, line=error.lineno) from None
    except ValueError as error:
        raise ask.refuse(str(error)) from None
    records = []
    for number, value in enumerate(values if isinstance(values, list) else [values], 1):
        if not isinstance(value, dict):
            raise ask.refuse(f'entry {number} of the array is not an object; expected such as {{"text": …}}')
        records.append((number, value))
    return _table(ask, records)


def _object(ask: Ask, number: int, line: str, whole: str, last: int) -> dict[str, object]:
    """Parse one line. The line after the last newline may be cut off; a first one may begin an object of many lines."""
    try:
        value = _parse(line)
    except RecursionError:
        raise ask.refuse("is nested too deeply; expected one flat JSON object", line=number) from None
    except json.JSONDecodeError as error:
        if whole and _is_json(whole):
            raise ask.refuse(f"is one JSON object; {_EXPECTED}, or one array of objects") from None
        cut = "the file seems cut off here: " if number == last else ""
        reason = f"{cut}not JSON at column {error.colno} ({error.msg}); {_EXPECTED}"
        raise ask.refuse(reason, line=number) from None
    except ValueError as error:
        raise ask.refuse(str(error), line=number) from None
    if not isinstance(value, dict):
        raise ask.refuse(f'is not an object; {_EXPECTED}, such as {{"text": …}}', line=number)
    return value


def _parse(text: str) -> object:
    return json.loads(
        text, object_pairs_hook=_without_repeats, parse_constant=_no_constant, parse_int=str, parse_float=str
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"has the key {key!r} more than once; expected each once")
    return record


def _no_constant(name: str) -> object:
    raise ValueError(f"has {name}, which is not JSON; write null for a missing value")
