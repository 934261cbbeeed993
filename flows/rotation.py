"""Rotate the test split: all labelled rows are dealt out again, and a new test split is cut from them."""

from __future__ import annotations

import csv
from pathlib import Path

from parsimony.data.normalise import comparing, normalise
from parsimony.data.reader import read_table
from parsimony.data.slicing import joined
from parsimony.data.splits import split
from parsimony.data.table import Table
from parsimony.flows.plan import Plan


def rotate(plan: Plan, folder: Path, seed: int) -> tuple[Path, Path]:
    """Write `train.csv` and `test.csv` into a folder, drawn anew from all rows of the plan, and return the two files.

    The share of test rows stays what it was. Both files need the columns of `data.slices`. Raises DataError for data
    that cannot be read or cut, FileExistsError when one of the files is there already.
    """
    data = plan.data
    train = read_table(data.train, text=data.text, label=data.label, part="train", slices=data.slices)
    share, everything = data.test_share, train
    if data.test is not None:
        test = read_table(data.test, text=data.text, label=data.label, part="test", slices=data.slices)
        share, everything = len(test) / (len(train) + len(test)), _together(train, test)
    kept, validation, test = split(
        everything,
        None,
        seed=seed,
        validation_share=data.validation_share * (1 - share),
        test_share=share,
        key=comparing(data.near_duplicates),
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "train.csv", folder / "test.csv"
    _write(files[0], _together(kept, validation), plan)
    _write(files[1], test, plan)
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
