"""The files of a folder: those that `datasets` lists, and those of a dataset that it saved; none outside the folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from parsimony.data.ask import MAX_BYTES, MAX_ROWS, Ask, class_names, columns
from parsimony.data.table import Table
from parsimony.errors import first_line

_Split = TypeVar("_Split")
_SAVED = ("dataset_dict.json", "state.json")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_PLACES = ("data_files", "data_dir", "path")  # keys of a README's configurations that name files


def is_saved(folder: Path) -> bool:
    """Say whether `datasets` saved this folder."""
    return any((folder / name).is_file() for name in _SAVED)


def files_of_folder(ask: Ask, part: str) -> tuple[Ask, ...]:
    """Return one question for each file of a split, in the order of their names, with the columns that its path gives."""
    import datasets

    _refuse_outside(ask, _named_in_card(ask))
    try:
        with tempfile.TemporaryDirectory() as cache:
            builder = datasets.load_dataset_builder(str(ask.path), cache_dir=cache)
            splits, classes = splits_of(builder), class_names(builder.info.features, ask.label)
    except (OSError, ValueError, TypeError, AttributeError, datasets.exceptions.DatasetsError) as error:
        raise ask.refuse(f"is no folder of data files ({first_line(error)})") from None
    given = {file: dict(_given(ask.path, file)) for files in splits.values() for file in files}
    if given and all("split" in columns for columns in given.values()):
        splits = {
            name: [file for file in given if given[file]["split"] == name]
            for name in dict.fromkeys(columns["split"] for columns in given.values())
        }
    files = part_of(splits, ask, part)
    _refuse_outside(ask, files)
    named = replace(ask, classes=classes)
    return tuple(replace(named, path=Path(file), name=file, given=tuple(given[file].items())) for file in files)


def _given(folder: Path, file: str) -> Iterator[tuple[str, str]]:
    """Yield the columns of a path such as `region=eu/part-0.parquet`, as Hive writes them."""
    home = next((home for home in (folder.absolute(), folder.resolve()) if Path(file).is_relative_to(home)), None)
    for part in Path(file).relative_to(home).parts[:-1] if home else ():
        name, equals, value = part.partition("=")
        if equals and name:
            yield unquote(name), "" if value == _HIVE_NULL else unquote(value)


def splits_of(builder: object) -> dict[str, list[str]]:
    """Return the files of each split that `datasets` found."""
    splits = getattr(getattr(builder, "config", None), "data_files", None) or {}
    return {str(name): [str(file) for file in files] for name, files in splits.items()}


def part_of(splits: dict[str, _Split], ask: Ask, part: str) -> _Split:
    """Return the split asked for; refuse a source without it."""
    if part not in splits:
        raise ask.refuse(f"has no split {part!r}, only {', '.join(splits) or 'none'}; rename one or name another file")
    return splits[part]


def split_name(ask: Ask, part: str) -> str:
    """Name one split, so that row 7 of train and row 7 of test have different names."""
    return f"{ask.name} ({part})"


def read_saved(ask: Ask, part: str) -> Table:
    """Read a dataset, or one split of several, that `datasets` saved."""
    import datasets

    datasets.disable_progress_bars()
    _refuse_outside(ask, _named_in_state(ask))
    try:
        saved = datasets.load_from_disk(str(ask.path), keep_in_memory=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ask.refuse(f"cannot be read as a saved dataset ({first_line(error)}); save it again") from None
    if isinstance(saved, datasets.DatasetDict):
        saved = part_of({str(name): split for name, split in saved.items()}, ask, part)
    if saved.num_rows > MAX_ROWS or saved.data.nbytes > MAX_BYTES:
        raise ask.refuse(f"has {saved.num_rows:,} rows of {saved.data.nbytes:,} bytes; train on a part of it")
    names = columns(ask, saved.column_names)
    named = replace(ask, name=split_name(ask, part), classes=class_names(saved.features, ask.label), counted="row")
    rows = zip(*(saved[name] for name in names), strict=True)
    return named.table((row, dict(zip(names, values, strict=True))) for row, values in enumerate(rows, 1))


# --- files outside --------------------------------------------------------------------------------


def _refuse_outside(ask: Ask, files: Iterable[str]) -> None:
    """Refuse a folder that points to a file elsewhere, by an address, an absolute path or `..`.

    Links are followed: the cache of the hub consists of them.
    """
    homes = (ask.path.absolute(), ask.path.resolve())
    for file in files:
        outside = ".." in Path(file).parts or not any((home / file).is_relative_to(home) for home in homes)
        if "://" in file or "::" in file or outside:
            raise ask.refuse(f"points to {file}; expected files inside the folder")


def _named_in_card(ask: Ask) -> list[str]:
    """Return the patterns of files that the folder's README or .huggingface.yaml names."""
    import yaml
    from huggingface_hub import DatasetCard

    cards: list[object] = []
    try:
        if (readme := ask.path / "README.md").is_file():
            cards.append(DatasetCard.load(readme, ignore_metadata_errors=True).data.to_dict())
        if (settings := ask.path / ".huggingface.yaml").is_file():
            cards.append(yaml.safe_load(settings.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ask.refuse(
            f"has a README or settings that cannot be read ({first_line(error)}); mend or remove"
        ) from None
    configs = [card.get("configs") for card in cards if isinstance(card, dict)]
    return list(_texts_under(configs, is_place=False))


def _texts_under(value: object, *, is_place: bool) -> Iterator[str]:
    if isinstance(value, str):
        yield from [value] if is_place else []
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_under(inner, is_place=(is_place and key != "split") or key in _PLACES)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_under(inner, is_place=is_place)


def _named_in_state(ask: Ask) -> Iterator[str]:
    """Yield the files that a saved dataset names, its splits first."""
    try:
        folders = ["."]
        if (index := ask.path / _SAVED[0]).is_file():
            folders = [str(name) for name in json.loads(index.read_text(encoding="utf-8"))["splits"]]
            yield from folders
        for folder in folders:
            if ".." not in Path(folder).parts and (state := ask.path / folder / _SAVED[1]).is_file():
                files = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
                yield from (f"{folder}/{file['filename']}" for file in files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ask.refuse(f"cannot be read as a saved dataset ({first_line(error)}); save it again") from None
