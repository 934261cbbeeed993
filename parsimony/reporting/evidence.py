"""The predictions that a run keeps beside its receipt, as labels: the audit recomputes every verdict from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from parsimony.data.labels import class_numbers
from parsimony.data.table import SplitName
from parsimony.files import write_json

CHAMPION = (
    "champion"  # the folder of what is known about the champion: its labels, and the digests of its training rows
)


def prediction_file(folder: Path, candidate: str, split: SplitName, target: str = "") -> Path:
    """Return the file that keeps a candidate's predictions on a split; the name is safe on every file system.

    target: where they were made, "" for the machine of the run.
    """
    safe = "".join(c if c.isalnum() or c in ".-+" else "_" for c in candidate)
    return folder / "predictions" / f"{safe}.{split}{f'@{target}' if target else ''}.json"


def write_predictions(path: Path, classes: np.ndarray, labels: tuple[str, ...]) -> None:
    """Keep class numbers [rows] as labels; what is none of them, which only a champion of other data predicts, as null."""
    known = dict(enumerate(labels))
    write_json(path, [known.get(int(number)) for number in classes])


def read_predictions(path: Path, labels: tuple[str, ...]) -> np.ndarray:
    """Return the class numbers [rows] that were kept; KeyError for a label that is none of these."""
    return class_numbers(json.loads(path.read_text(encoding="utf-8")), (*labels, None))
