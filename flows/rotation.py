"""Rotate a worn sealed split: all labelled rows are dealt out again, and a new sealed split is cut from them."""

from __future__ import annotations

import csv
from pathlib import Path

from flows.plan import Plan
from parsimony.data.reader import read_table
from parsimony.data.slicing import joined
from parsimony.data.splits import split
from parsimony.data.text import normalise
from parsimony.records import Table


def rotate(plan: Plan, folder: Path, seed: int) -> tuple[Path, Path]:
    """Write `train.csv` and `test.csv` into a folder, drawn anew from all rows of the plan, and return the two files.

    The share of sealed rows stays what it was. Both files need the columns of `data.slices`. Raises DataError for data
    that cannot be read or cut, FileExistsError when one of the files is there already.
    """
    data = plan.data
    train = read_table(data.train, text=data.text, label=data.label, part="train", slices=data.slices)
    share, everything = data.sealed_share, train
    if data.test is not None:
        test = read_table(data.test, text=data.text, label=data.label, part="test", slices=data.slices)
        share, everything = len(test) / (len(train) + len(test)), _together(train, test)
    kept, search, sealed = split(
        everything, None, seed=seed, search_share=data.search_share * (1 - share), sealed_share=share
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "train.csv", folder / "test.csv"
    _write(files[0], _together(kept, search), plan)
    _write(files[1], sealed, plan)
    return files


def _together(first: Table, second: Table) -> Table:
    """Return the rows of both tables, a text that is in both only once."""
    known = set(map(normalise, first.texts))
    more = second.take(tuple(i for i, text in enumerate(second.texts) if normalise(text) not in known))
    return joined((first, more), first.source)


def _write(path: Path, table: Table, plan: Plan) -> None:
    with path.open("x", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow((plan.data.text, plan.data.label, *plan.data.slices))
        writer.writerows(zip(table.texts, table.labels, *(values for _, values in table.slices), strict=True))
