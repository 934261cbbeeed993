"""Cut the data into train, validation and test, and keep the three as files that verify on every read.

A row's place follows from the seed and its text alone, not from its neighbours: when rows are added
next week nearly every old row stays where it was, so a new model is not judged on what an older one
was trained on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from parsimony.data.labels import class_numbers
from parsimony.data.normalise import normalise
from parsimony.data.table import Dataset, SplitName, Table, Texts
from parsimony.errors import DataError, Finding, InfrastructureError
from parsimony.files import digest_bytes, digest_of, new_folder, verify_folder, write_json, write_manifest

META, _UNLABELLED = "meta.json", "unlabelled"
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
Findings = tuple[Finding, ...]


def split(
    train: Table,
    test: Table | None,
    *,
    seed: int,
    validation_share: float,
    test_share: float,
    key: Callable[[str], str] = normalise,
) -> tuple[Table, Table, Table]:
    """Return (train, validation, test), stratified by label, rows in their old order.

    A given `test` stays as it is and `test_share` is not used; otherwise it is cut from train too. Equal texts
    (those with the same `key`) stay together. Every class keeps a text in train; from 3 texts on it also has
    one in each part that is cut. Shares are of the class's different texts, 0 to 1.

    Raises ValueError for shares that leave nothing to train on or for a text in both tables, and
    DataError when no class has enough texts to cut from.
    """
    parts = (validation_share,) if test is not None else (validation_share, test_share)
    if not (all(share > 0 for share in parts) and sum(parts) < 1):
        raise ValueError(f"shares to cut are {parts}, expected each above 0 and their sum below 1")
    if test is not None and (shared := set(map(key, train.texts)) & set(map(key, test.texts))):
        raise ValueError(f"{len(shared)} texts are in both tables; validate them first")
    kept, *cut = _cut(train, parts, seed, key)
    if not all(cut):
        raise DataError(
            f"{train.source}: no class has {len(parts) + 1} different texts; expected more rows to cut from"
        )
    return train.take(kept), train.take(cut[0]), test if test is not None else train.take(cut[1])


def _cut(table: Table, shares: tuple[float, ...], seed: int, key: Callable[[str], str]) -> list[tuple[int, ...]]:
    """Return the sorted positions that stay, then those of each share."""
    piles: list[list[int]] = [[] for _ in (None, *shares)]
    for groups in _groups_by_class(table, seed, key):
        for pile, mine in zip(piles, _dealt(groups, shares), strict=True):
            pile += mine
    return [tuple(sorted(pile)) for pile in piles]


def _dealt(groups: list[list[int]], shares: tuple[float, ...]) -> list[list[int]]:
    """Deal the groups of a class in their order: each share fills up to its rows, what is left stays in train.

    The largest group stays in train, the last of them where several are as large: a share never gets nearly everything.
    """
    sizes = _sizes(sum(map(len, groups)), shares) if len(groups) >= 3 else [0] * len(shares)
    largest = max(range(len(groups)), key=lambda i: (len(groups[i]), i))
    left = [group for i, group in enumerate(groups) if i != largest]
    piles = []
    for later, size in zip(reversed(range(len(sizes))), sizes, strict=True):
        taken = _fitting(left, size, spare=later)
        piles.append([position for i in taken for position in left[i]])
        left = [group for i, group in enumerate(left) if i not in taken]
    return [[position for group in (groups[largest], *left) for position in group], *piles]


def _fitting(groups: list[list[int]], size: int, spare: int) -> dict[int, None]:
    """Return the first groups that fit into so many rows, at least the smallest one; `spare` groups are left."""
    taken: dict[int, None] = {}
    rows = 0
    for i, group in enumerate(groups):
        if rows + len(group) <= size and len(groups) - len(taken) > spare:
            taken[i], rows = None, rows + len(group)
    return taken if taken or not size else {min(range(len(groups)), key=lambda i: len(groups[i])): None}


def _groups_by_class(table: Table, seed: int, key: Callable[[str], str]) -> list[list[list[int]]]:
    """Return per class the positions of each text, in the order that the seed gives the texts.

    A text with two labels has no class of its own and makes a class alone, which stays in train.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for position, text in enumerate(table.texts):
        groups[key(text)].append(position)
    classes: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for text in sorted(groups, key=lambda text: digest_bytes(f"{seed}\n{text}".encode())):
        labels = sorted({table.labels[position] for position in groups[text]})
        classes[(*labels, text) if len(labels) > 1 else (labels[0],)].append(groups[text])
    return [classes[key] for key in sorted(classes)]


def _sizes(texts: int, shares: tuple[float, ...]) -> list[int]:
    """Return how many texts of a class each share takes: at least one each from 3 texts on, never all."""
    if texts < 3:
        return [0] * len(shares)
    sizes = [max(1, round(share * texts)) for share in shares]
    while sum(sizes) >= texts:
        sizes[sizes.index(max(sizes))] -= 1
    return sizes


class Splits:
    """A dataset with its three splits, and texts without labels, in memory: read and hashed once a run, then handed on.

    No dataclass, because Prefect walks through those that a task is given, row by row.
    """

    __slots__ = ("_read_by_students", "_texts", "_truth", "dataset", "tables", "unlabelled")

    def __init__(self, dataset: Dataset, tables: Mapping[SplitName, Table], unlabelled: Sequence[str] = ()) -> None:
        self.dataset, self.tables, self.unlabelled = dataset, dict(tables), tuple(unlabelled)
        self._read_by_students: Texts | None = None
        self._texts: dict[SplitName, Texts] = {}
        self._truth: dict[SplitName, np.ndarray] = {}

    def texts(self, name: SplitName) -> Texts:
        """Return the texts of one split with their digest, which is taken once."""
        if name not in self._texts:
            self._texts[name] = Texts.of(self.tables[name].texts)
        return self._texts[name]

    def truth(self, name: SplitName) -> np.ndarray:
        """Return the class number of every row of one split, int64 [rows]."""
        if name not in self._truth:
            self._truth[name] = class_numbers(self.tables[name].labels, self.dataset.labels)
        return self._truth[name]

    @property
    def read_by_students(self) -> Texts:
        """The texts of train and those without labels, with one digest."""
        if self._read_by_students is None:
            train = self.texts("train")
            self._read_by_students = Texts.of((*train.texts, *self.unlabelled)) if self.unlabelled else train
        return self._read_by_students


def write_splits(
    folder: Path,
    tables: Mapping[SplitName, Table],
    quarantined: Findings,
    notes: Findings,
    unlabelled: Sequence[str] = (),
) -> Splits:
    """Write the splits as JSON lines beside `meta.json` and a manifest, and return them with their description.

    The labels are those of train. `test_digest` depends on the labelled texts of the test split, not on their order: a
    shuffled copy is the same exam.
    """
    labels, test = tuple(sorted(set(tables["train"].labels))), tables["test"]
    contents = _contents(tables, unlabelled)
    dataset = Dataset(
        folder=str(folder),
        digest=_digest(labels, contents),
        labels=labels,
        train_rows=len(tables["train"]),
        validation_rows=len(tables["validation"]),
        test_rows=len(test),
        test_digest=digest_of(sorted(zip(test.texts, test.labels, strict=True))),
        quarantined=quarantined,
        notes=notes,
        unlabelled_rows=len(unlabelled),
        unlabelled_digest=contents.get(_UNLABELLED, ""),
    )
    with new_folder(folder) as work:
        for name, table in tables.items():
            _write_lines(work / f"{name}.jsonl", table)
        (work / f"{_UNLABELLED}.json").write_text(json.dumps(unlabelled, ensure_ascii=False), encoding="utf-8")
        sources = {name: table.source for name, table in tables.items()}
        write_json(work / META, {**asdict(dataset), "contents": contents, "sources": sources})
        write_manifest(work, {"kind": "dataset", "digest": dataset.digest})
    return Splits(dataset, tables, unlabelled)


def _contents(tables: Mapping[SplitName, Table], unlabelled: Sequence[str]) -> dict[str, str]:
    """Return the digest of every split, and of the texts without labels where there are some."""
    contents: dict[str, str] = {name: digest_of(table.texts, table.labels) for name, table in tables.items()}
    return contents | ({_UNLABELLED: digest_of(list(unlabelled))} if unlabelled else {})


def read_splits(folder: Path) -> Splits:
    """Read back what `write_splits` wrote.

    Raises InfrastructureError when a file differs from the manifest, or the splits are not the data of the description.
    """
    verify_folder(folder)
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    findings = {name: tuple(Finding(**finding) for finding in meta[name]) for name in ("quarantined", "notes")}
    known = {field.name: meta[field.name] for field in fields(Dataset) if field.name in meta}
    dataset = Dataset(**{**known, **findings, "folder": str(folder), "labels": tuple(meta["labels"])})
    tables = {name: _read_lines(folder / f"{name}.jsonl", meta["sources"][name]) for name in SPLITS}
    unlabelled = _read_unlabelled(folder)
    digest = _digest(dataset.labels, _contents(tables, unlabelled))
    if digest != dataset.digest:
        raise InfrastructureError(
            f"{folder} holds dataset {digest[:12]}…, expected {dataset.digest[:12]}…; validate the data again"
        )
    return Splits(dataset, tables, unlabelled)


def _read_unlabelled(folder: Path) -> tuple[str, ...]:
    """Read the texts without labels; earlier versions wrote none."""
    file = folder / f"{_UNLABELLED}.json"
    return tuple(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else ()


def _digest(labels: tuple[str, ...], contents: Mapping[str, str]) -> str:
    return digest_of(labels, dict(contents))


def _write_lines(path: Path, table: Table) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for i, (text, label, row) in enumerate(zip(table.texts, table.labels, table.rows, strict=True)):
            slices = {name: values[i] for name, values in table.slices}
            record = {"text": text, "label": label, "row": row, "slices": slices}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _read_lines(path: Path, source: str) -> Table:
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    columns = records[0]["slices"] if records else ()
    return Table(
        source=source,
        texts=tuple(record["text"] for record in records),
        labels=tuple(record["label"] for record in records),
        rows=tuple(record["row"] for record in records),
        slices=tuple((name, tuple(record["slices"][name] for record in records)) for name in columns),
    )
