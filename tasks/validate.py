"""Read the data, let Great Expectations judge it, set bad rows aside, cut the splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.data.reader import read_table
from parsimony.data.slicing import require_groups
from parsimony.data.splits import SPLITS, Splits, split, write_splits
from parsimony.errors import DataError
from parsimony.tasks.validation.checks import Rules, check, write_quarantine

QUARANTINE = "quarantine.csv"


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


@task(name="validate", cache_policy=NO_CACHE)
def validate(source: Source, rules: Rules, folder: Path) -> Splits:
    """Return the cleaned, split data of this run; raise DataError before anything is trained."""
    names = {"text": source.text, "label": source.label}
    train = read_table(source.train, **names, part="train", slices=source.train_slices)
    test = None
    if source.test is not None:
        test = read_table(source.test, **names, part="test", slices=source.test_slices)
    checked = check(train, test, rules)
    write_quarantine(folder / QUARANTINE, checked.quarantined, [t for t in (train, test) if t is not None])
    parts = split(
        checked.train,
        checked.test,
        seed=source.seed,
        validation_share=source.validation_share,
        test_share=source.test_share,
    )
    require_groups(parts[2])
    if unknown := sorted({label for part in parts[1:] for label in part.labels} - set(parts[0].labels)):
        raise DataError(f"{source.train}: no row of label {unknown[0]!r} is left to train on; add rows of it")
    return write_splits(folder / "data", dict(zip(SPLITS, parts, strict=True)), checked.quarantined, checked.notes)
