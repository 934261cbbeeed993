"""Ask the sealed split, in the fixed order, and stop at the first candidate that does not pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony import judging
from parsimony.answers import answers_of
from parsimony.data.slicing import rows_of
from parsimony.data.splits import load_split
from parsimony.files import write_json
from parsimony.judging import Entry
from parsimony.records import Dataset, GateSettings, TargetSettings
from parsimony.run import prediction_file
from parsimony.trunks import class_numbers


@task(name="certify", cache_policy=NO_CACHE)
def certify(
    entries: Sequence[Entry],
    order: Sequence[str],
    reference: str,
    dataset: Dataset,
    gates: GateSettings,
    target: TargetSettings,
    folder: Path,
    home: Path,
    seed: int,
) -> list[Entry]:
    """Return the entries with certificates: those of the sequence, and the champion's, which is tested by itself."""
    table = load_split(dataset, "sealed")
    truth = class_numbers(table, dataset.labels)
    bundles = {entry.id: entry.bundle for entry in entries}
    for entry in entries:
        if entry.answers is not None:
            _keep(folder, entry.id, "search", entry.answers, dataset)

    def answers(name: str) -> np.ndarray:
        bundle = bundles[name]
        if bundle is None:
            raise ValueError(f"{name} has no bundle to certify")
        found = answers_of(bundle, table.texts, target, home / "answers").classes
        _keep(folder, name, "sealed", found, dataset)
        return found

    classes, rows = len(dataset.labels), rows_of(table)
    return judging.certified(entries, order, answers, reference, truth, classes, rows, gates, seed)


def _keep(folder: Path, candidate: str, split: str, answers: np.ndarray, dataset: Dataset) -> None:
    """Write a candidate's answers as labels; `parsimony audit` recomputes every verdict from them."""
    write_json(prediction_file(folder, candidate, split), [dataset.labels[int(i)] for i in answers])
