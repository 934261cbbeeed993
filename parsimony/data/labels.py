"""Labels as class numbers. What is none of the labels has the number that follows theirs, and is right on no row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def class_numbers(values: Sequence[str | None], labels: Sequence[str | None]) -> np.ndarray:
    """Return the place of each value among the labels, int64 [values]; KeyError for a value that is no label."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number[value] for value in values], dtype=np.int64)


def translated(classes: np.ndarray, own: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Return class numbers [rows] of a model's own labels as those of `labels`; one that is not among them follows them all."""
    number = {label: i for i, label in enumerate(labels)}
    places: np.ndarray = np.array([number.get(label, len(labels)) for label in own], dtype=np.int64)[classes]
    return places
