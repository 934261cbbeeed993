"""Read a table of labelled texts exactly as written, or refuse it with the file, the line and the remedy.

Nothing is guessed: no encoding, no type, no missing-value words. "NA", "null", "007" and spaces at
either end stay. `datasets` finds the files of a folder or of the hub and reads what it wrote itself;
every other file goes through our own parsers.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from parsimony.data import folder
from parsimony.data.ask import Ask, class_names
from parsimony.data.normalise import clean
from parsimony.data.parsers import read_file
from parsimony.data.slicing import joined
from parsimony.data.table import Table
from parsimony.errors import InfrastructureError, first_line

Part = Literal["train", "test"]
_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:/(?P<config>[\w.-]+))?@(?P<revision>\S+)")


def read_table(spec: str, *, text: str, label: str, part: Part, slices: tuple[str, ...] = ()) -> Table:
    """Read the columns `text`, `label` and `slices` of a file, a folder or a hub dataset, in their order.

    `spec` is a path of a CSV (`.csv`, `.tsv`), JSON (`.jsonl`, `.ndjson`, `.json`: objects by line, or in an array) or
    Parquet (`.parquet`) file, a folder that `datasets` wrote or can list, or `hf:owner/name@revision` with an optional
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


def read_texts(spec: str, text: str) -> tuple[str, ...]:
    """Read the column `text` of a source without labels, as `read_table` does; stray control characters become spaces."""
    return tuple(clean(each) for each in read_table(spec, text=text, label="", part="train").texts)


def _read_folder(ask: Ask, part: Part) -> Table:
    if folder.is_saved(ask.path):
        return folder.read_saved(ask, part)
    return _joined(ask, part, folder.files_of_folder(ask, part))


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
        files = folder.part_of(folder.splits_of(builder), ask, part)
        if elsewhere := [file for file in files if not file.startswith(f"hf://datasets/{match['name']}@")]:
            raise ask.refuse(f"points to {elsewhere[0]}; expected files of {match['name']}")
        downloaded = datasets.DownloadManager().download(files)
    except OSError as error:
        reason = f"{ask.name} cannot be fetched ({first_line(error)}); check the name, the revision and the network"
        raise InfrastructureError(reason) from error
    except (ValueError, RuntimeError) as error:
        raise ask.refuse(f"cannot be used ({first_line(error)})") from None
    named = replace(ask, classes=class_names(builder.info.features, ask.label))
    pairs = zip(downloaded, files, strict=True)
    return _joined(named, part, tuple(replace(named, path=Path(path), name=file) for path, file in pairs))


def _joined(ask: Ask, part: Part, files: tuple[Ask, ...]) -> Table:
    """Read the files of a split as one table, counted from 1 across all of them."""
    return joined([read_file(file) for file in files], folder.split_name(ask, part))
