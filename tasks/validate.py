"""Read the data, let Great Expectations judge it, set bad rows aside, cut the splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.data.normalise import comparing
from parsimony.data.reader import read_table, read_texts
from parsimony.data.slicing import require_groups
from parsimony.data.splits import SPLITS, Splits, split, write_splits
from parsimony.data.table import Table
from parsimony.data.unlabelled import usable
from parsimony.errors import DataError, Finding
from parsimony.tasks.validation.checks import Checked, Rules, check
from parsimony.tasks.validation.near_duplicates import near_duplicates
from parsimony.tasks.validation.quarantine import QUARANTINE, refusals_kept, write_quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the labelled texts are, which further columns are read, and how they are cut; and where texts without labels are."""

    train: str
    test: str | None
    text: str
    label: str
    train_slices: tuple[str, ...]
    test_slices: tuple[str, ...]
    validation_share: float
    test_share: float
    seed: int
    unlabelled: str | None = None


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
    unlabelled, about = _unlabelled(source, rules, parts)
    notes = (*checked.notes, *near_duplicates(*parts), *about)
    tables_by_name = dict(zip(SPLITS, parts, strict=True))
    return write_splits(folder / "data", tables_by_name, checked.quarantined, notes, unlabelled)


def _unlabelled(
    source: Source, rules: Rules, parts: tuple[Table, Table, Table]
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Return the texts without labels that are used, and what became of the others."""
    if source.unlabelled is None:
        return (), ()
    texts = [text[: rules.max_chars] for text in read_texts(source.unlabelled, source.text)]
    splits = [part.texts for part in parts]
    used, note = usable(source.unlabelled, texts, splits, source.seed, comparing(rules.near_duplicates))
    return used, (note,)


def _parts(source: Source, rules: Rules, checked: Checked) -> tuple[Table, Table, Table]:
    return split(
        checked.train,
        checked.test,
        seed=source.seed,
        validation_share=source.validation_share,
        test_share=source.test_share,
        key=comparing(rules.near_duplicates),
    )
