"""Read a table of labelled texts exactly as written, or refuse it with the file, the line and the remedy.

Nothing is guessed: no encoding, no type, no missing-value words. "NA", "null", "007" and spaces at
either end stay. `datasets` finds the files of a folder or of the hub and reads what it wrote itself;
every other file goes through our own parsers.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from parsimony.data.parsers import Ask, class_names, columns, first_line, read_file
from parsimony.data.slicing import joined
from parsimony.data.table import Table
from parsimony.errors import InfrastructureError

Part = Literal["train", "test"]
_Split = TypeVar("_Split")
_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:/(?P<config>[\w.-]+))?@(?P<revision>\S+)")


def read_table(spec: str, *, text: str, label: str, part: Part, slices: tuple[str, ...] = ()) -> Table:
    """Read the columns `text`, `label` and `slices` of a file, a folder or a hub dataset, in their order.

    `spec` is a path of a CSV (`.csv`), JSON lines (`.jsonl`, `.ndjson`, `.json`) or Parquet (`.parquet`)
    file, a folder that `datasets` wrote or can list, or `hf:owner/name@revision` with an optional
    `/config` after the name. `part` is the split to take where there are several.

    `rows` are what a person finds in an editor: for CSV the line of the file on which the record
    starts (the header is line 1, blank lines hold no record), for JSON lines the line, for anything
    else the row counted from 1. Classes stored as numbers become their names, other numbers and
    truth values the text that is written there; a missing value becomes "".

    Raises DataError with one line, and InfrastructureError when the hub cannot be reached.
    """
    ask = Ask(path=Path(spec), name=spec, text=text, label=label, slices=slices)
    if text == label:
        raise ask.refuse(f"text and label are both column {text!r}; expected two different columns")
    if spec.startswith("hf:"):
        return _read_hub(ask, part)
    if ask.path.is_dir():
        return _read_folder(ask, part)
    return read_file(ask)


def _read_folder(ask: Ask, part: Part) -> Table:
    if any((ask.path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return _read_saved(ask, part)
    import datasets

    try:
        with tempfile.TemporaryDirectory() as cache:
            builder = datasets.load_dataset_builder(str(ask.path), cache_dir=cache)
            files, classes = _files_of(builder, ask, part), class_names(builder.info.features, ask.label)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ask.refuse(f"is no folder of data files ({first_line(error)})") from None
    if remote := [file for file in files if "://" in file]:
        raise ask.refuse(f"points to {remote[0]}; expected files inside the folder")
    return _joined(replace(ask, classes=classes), part, [(Path(file), file) for file in files])


def _read_saved(ask: Ask, part: Part) -> Table:
    import datasets

    datasets.disable_progress_bars()
    try:
        saved = datasets.load_from_disk(str(ask.path), keep_in_memory=True)
    except (OSError, ValueError, KeyError) as error:
        raise ask.refuse(f"cannot be read as a saved dataset ({first_line(error)}); save it again") from None
    if isinstance(saved, datasets.DatasetDict):
        saved = _part_of({str(name): split for name, split in saved.items()}, ask, part)
    columns(ask, saved.column_names)
    classes = class_names(saved.features, ask.label)
    named = replace(ask, name=_split_name(ask, part), classes=classes, counted="row")
    return named.table(enumerate(zip(*(saved[name] for name in ask.wanted), strict=True), 1))


def _read_hub(ask: Ask, part: Part) -> Table:
    match = _HUB.fullmatch(ask.name)
    if match is None:
        raise ask.refuse("expected hf:owner/name@revision or hf:owner/name/config@revision")
    import datasets
    from huggingface_hub.utils.tqdm import disable_progress_bars

    datasets.disable_progress_bars()
    disable_progress_bars()
    try:
        builder = datasets.load_dataset_builder(match["name"], match["config"], revision=match["revision"])
        files = _files_of(builder, ask, part)
        downloaded = datasets.DownloadManager().download(files)
    except OSError as error:
        reason = f"{ask.name} cannot be fetched ({first_line(error)}); check the name, the revision and the network"
        raise InfrastructureError(reason) from error
    except (ValueError, RuntimeError) as error:
        raise ask.refuse(f"cannot be used ({first_line(error)})") from None
    named = replace(ask, classes=class_names(builder.info.features, ask.label))
    return _joined(named, part, [(Path(path), file) for path, file in zip(downloaded, files, strict=True)])


def _files_of(builder: object, ask: Ask, part: Part) -> list[str]:
    splits = getattr(getattr(builder, "config", None), "data_files", None) or {}
    return [str(file) for file in _part_of({str(name): files for name, files in splits.items()}, ask, part)]


def _part_of(splits: dict[str, _Split], ask: Ask, part: Part) -> _Split:
    if part not in splits:
        raise ask.refuse(f"has no split {part!r}, only {', '.join(splits) or 'none'}; rename one or name another file")
    return splits[part]


def _joined(ask: Ask, part: Part, files: list[tuple[Path, str]]) -> Table:
    """Read the files of a split as one table, counted from 1 across all of them."""
    tables = [read_file(replace(ask, path=path, name=name)) for path, name in files]
    return joined(tables, _split_name(ask, part))


def _split_name(ask: Ask, part: Part) -> str:
    """Name one split, so that row 7 of train and row 7 of test have different names."""
    return f"{ask.name} ({part})"
