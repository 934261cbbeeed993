"""Four data sets in a row: the same, ten per cent more rows, a new label, and texts that have drifted."""

from __future__ import annotations

from collections.abc import Iterator

from tinymodels import LABELS, tables, write_csv

from parsimony.data.slicing import joined
from parsimony.data.table import Table
from tests.drills.stage import Row, Stage, said


def drill(stage: Stage) -> Iterator[Row]:
    """Search on each, and say what the run said and what it cost."""
    file = stage.up.folder / "train.csv"
    everything, other = joined(tables(), "train"), joined(tables(seed=3), "train")
    old = _of(everything, LABELS[:3])
    drifted = Table(source="train.csv", texts=tuple(f"{text} parcel {i % 7}" for i, text in enumerate(other.texts)), labels=other.labels, rows=other.rows)  # fmt: skip
    steps = (
        ("three labels, no champion", (old,)),
        ("the same", (old,)),
        ("ten per cent more rows", (old, _of(other, LABELS[:3]).take(tuple(range(18))))),
        ("a new label", (everything,)),
        ("drifted texts", (drifted,)),
    )
    for what, parts in steps:
        write_csv(file, *parts)
        run = stage.search()
        yield Row(what=what, shown=said(run), seconds=run["total_run_time"])


def _of(table: Table, labels: tuple[str, ...]) -> Table:
    return table.take(tuple(i for i, label in enumerate(table.labels) if label in labels))
