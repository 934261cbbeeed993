"""Labels as class numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def class_numbers(values: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Return the place of each value among the labels, int64 [values]; KeyError for a value that is no label."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number[value] for value in values], dtype=np.int64)
