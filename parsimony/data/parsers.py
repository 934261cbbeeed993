"""One parser per file format: values come out exactly as written, or the file is refused with the line and the remedy.

CSV and JSON lines are parsed with the standard library because libraries that read tables for analysis
turn "NA" into nothing, "007" into 7, and shift the columns of a row with too many fields.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from parsimony.data.ask import MAX_BYTES, Ask
from parsimony.data.csv_file import read_csv
from parsimony.data.json_lines import read_json
from parsimony.data.parquet import read_parquet
from parsimony.data.table import Table
from parsimony.data.text_file import refuse_other_kinds
from parsimony.errors import first_line

_READERS: dict[str, Callable[[Ask], Table]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
    ".parquet": read_parquet,
}


def read_file(ask: Ask) -> Table:
    """Read one file with the parser of its ending; DataError when it is missing, empty, too large or unreadable."""
    if not ask.path.exists():
        hint = "; here folders are separated by /" if "\\" in ask.name else ""
        raise ask.refuse(f"no such file; check data.train and data.test in the plan{hint}")
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
        refuse_other_kinds(ask, suffix)
        return _READERS[suffix](ask)
    except OSError as error:
        raise ask.refuse(f"cannot be opened ({first_line(error)}); check its permissions") from None
