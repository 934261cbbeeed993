"""Read the data, let Great Expectations judge it, set bad rows aside, cut the splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.data.normalise import comparing
from parsimony.data.reader import read_table
from parsimony.data.slicing import require_groups
from parsimony.data.splits import SPLITS, Splits, split, write_splits
from parsimony.data.table import Table
from parsimony.errors import DataError
from parsimony.tasks.validation.checks import Checked, Rules, check
from parsimony.tasks.validation.near_duplicates import near_duplicates
from parsimony.tasks.validation.quarantine import QUARANTINE, refusals_kept, write_quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the labelled texts are, which further columns are read, and how they are cut."""

    train: str
    test: str | None
    text: str
    label: str
    train_slices: tuple[str, ...]
    test_slices: tuple[str, ...]
    validation_share: float
    test_share: float
    seed: int


@task(name="validate", task_run_name="validate the data", cache_policy=NO_CACHE)
def validate(source: Source, rules: Rules, folder: Path, home: Path | None = None) -> Splits:
    """Return the cleaned, split data of this run; raise DataError before anything is trained.

    Rows set aside are listed in `folder`; those that stop the run in `home` where the folder itself does not stay.
    """
    names = {"text": source.text, "label": source.label}
    tables: list[Table] = []
    with refusals_kept((home or folder) / QUARANTINE, tables):
        tables.append(read_table(source.train, **names, part="train", slices=source.train_slices))
        if source.test is not None:
            tables.append(read_table(source.test, **names, part="test", slices=source.test_slices))
        checked = check(tables[0], tables[1] if source.test is not None else None, rules)
    write_quarantine(folder / QUARANTINE, checked.quarantined, tables)
    parts = _parts(source, rules, checked)
    require_groups(parts[2])
    if unknown := sorted({label for part in parts[1:] for label in part.labels} - set(parts[0].labels)):
        raise DataError(f"{source.train}: no row of label {unknown[0]!r} is left to train on; add rows of it")
    notes = (*checked.notes, *near_duplicates(*parts))
    return write_splits(folder / "data", dict(zip(SPLITS, parts, strict=True)), checked.quarantined, notes)


def _parts(source: Source, rules: Rules, checked: Checked) -> tuple[Table, Table, Table]:
    return split(
        checked.train,
        checked.test,
        seed=source.seed,
        validation_share=source.validation_share,
        test_share=source.test_share,
        key=comparing(rules.near_duplicates),
    )
