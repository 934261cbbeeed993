"""Cut the data into train, search and sealed, and keep the three as files that verify on every read.

A row's place follows from the seed and its text alone, not from its neighbours: when rows are added
next week nearly every old row stays where it was, so a new model is not judged on what an older one
was trained on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from parsimony.data.text import normalise
from parsimony.errors import DataError, InfrastructureError
from parsimony.files import digest_bytes, digest_of, new_folder, verify_folder, write_json, write_manifest
from parsimony.records import Dataset, Finding, SplitName, Table

META = "meta.json"


def split(
    train: Table, sealed: Table | None, *, seed: int, search_share: float, sealed_share: float
) -> tuple[Table, Table, Table]:
    """Return (train, search, sealed), stratified by label, rows in their old order.

    A given `sealed` stays as it is and `sealed_share` is not used; otherwise it is cut from train too. Equal texts
    (after `normalise`) stay together. Every class keeps a text in train; from 3 texts on it also has
    one in each part that is cut. Shares are of the class's different texts, 0 to 1.

    Raises ValueError for shares that leave nothing to train on or for a text in both tables, and
    DataError when no class has enough texts to cut from.
    """
    parts = (search_share,) if sealed is not None else (search_share, sealed_share)
    if not (all(share > 0 for share in parts) and sum(parts) < 1):
        raise ValueError(f"shares to cut are {parts}, expected each above 0 and their sum below 1")
    if sealed is not None and (shared := set(map(normalise, train.texts)) & set(map(normalise, sealed.texts))):
        raise ValueError(f"{len(shared)} texts are in both tables; validate them first")
    kept, *cut = _cut(train, parts, seed)
    if not all(cut):
        raise DataError(
            f"{train.source}: no class has {len(parts) + 1} different texts; expected more rows to cut from"
        )
    return train.take(kept), train.take(cut[0]), sealed if sealed is not None else train.take(cut[1])


def _cut(table: Table, shares: tuple[float, ...], seed: int) -> list[tuple[int, ...]]:
    """Return the sorted positions that stay, then those of each share."""
    piles: list[list[int]] = [[] for _ in (None, *shares)]
    for groups in _groups_by_class(table, seed):
        sizes = _sizes(len(groups), shares)
        for which, size in enumerate(sizes, 1):
            taken, groups = groups[:size], groups[size:]
            piles[which] += [position for group in taken for position in group]
        piles[0] += [position for group in groups for position in group]
    return [tuple(sorted(pile)) for pile in piles]


def _groups_by_class(table: Table, seed: int) -> list[list[list[int]]]:
    """Return per class the positions of each text, in the order that the seed gives the texts.

    A text with two labels has no class of its own and makes a class alone, which stays in train.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for position, text in enumerate(table.texts):
        groups[normalise(text)].append(position)
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


def write_dataset(
    folder: Path,
    *,
    train: Table,
    search: Table,
    sealed: Table,
    labels: tuple[str, ...],
    quarantined: tuple[Finding, ...],
    notes: tuple[Finding, ...],
) -> Dataset:
    """Write the splits as JSON lines beside `meta.json` and a manifest, and describe them.

    `labels` are sorted and come from train alone. `sealed_digest` depends on the labelled texts
    of the sealed split, not on their order: a shuffled copy is the same exam.
    """
    splits: dict[SplitName, Table] = {"train": train, "search": search, "sealed": sealed}
    if labels != tuple(sorted(set(train.labels))):
        raise ValueError(f"the {len(labels)} labels given are not the sorted labels of train")
    contents: dict[str, str] = {name: digest_of(table.texts, table.labels) for name, table in splits.items()}
    dataset = Dataset(
        folder=str(folder),
        digest=_digest(labels, contents),
        labels=labels,
        train=len(train),
        search=len(search),
        sealed=len(sealed),
        sealed_digest=digest_of(sorted(zip(sealed.texts, sealed.labels, strict=True))),
        quarantined=quarantined,
        notes=notes,
    )
    with new_folder(folder) as work:
        for name, table in splits.items():
            _write_lines(work / f"{name}.jsonl", table)
        sources = {name: table.source for name, table in splits.items()}
        write_json(work / META, {**asdict(dataset), "contents": contents, "sources": sources})
        write_manifest(work, {"kind": "dataset", "digest": dataset.digest})
    return dataset


def read_dataset(folder: Path) -> Dataset:
    """Read back what `write_dataset` described; InfrastructureError when a file differs from the manifest."""
    verify_folder(folder)
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    findings = {name: tuple(Finding(**finding) for finding in meta[name]) for name in ("quarantined", "notes")}
    known = {field.name: meta[field.name] for field in fields(Dataset)}
    return Dataset(**{**known, **findings, "folder": str(folder), "labels": tuple(meta["labels"])})


def load_split(dataset: Dataset, name: SplitName) -> Table:
    """Read one split back; InfrastructureError when it is not the data that the record describes."""
    folder = Path(dataset.folder)
    verify_folder(folder)
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    records = [json.loads(line) for line in lines]
    columns = records[0]["slices"] if records else ()
    table = Table(
        source=meta["sources"][name],
        texts=tuple(record["text"] for record in records),
        labels=tuple(record["label"] for record in records),
        rows=tuple(record["row"] for record in records),
        slices=tuple((name, tuple(record["slices"][name] for record in records)) for name in columns),
    )
    found = _digest(dataset.labels, {**meta["contents"], name: digest_of(table.texts, table.labels)})
    if found != dataset.digest:
        reason = f"{folder} holds dataset {found[:12]}…, expected {dataset.digest[:12]}…; validate the data again"
        raise InfrastructureError(reason)
    return table


def _digest(labels: tuple[str, ...], contents: Mapping[str, str]) -> str:
    return digest_of(labels, dict(contents))


def _write_lines(path: Path, table: Table) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for i, (text, label, row) in enumerate(zip(table.texts, table.labels, table.rows, strict=True)):
            slices = {name: values[i] for name, values in table.slices}
            record = {"text": text, "label": label, "row": row, "slices": slices}
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
