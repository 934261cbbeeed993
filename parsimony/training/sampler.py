"""Batches of texts of like length, in random order, so that little of a batch is padding.

transformers' LengthGroupedSampler leaves the batches of a group sorted, the longest first: a model then sees short texts last,
which costs quality where lengths differ much (docs/trials/distillation.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_MOST_BATCHES, _LEAST_GROUPS = 50, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthGroups:
    """The batches of one pass over the rows, drawn anew for every pass.

    Rows are drawn at random into groups of 50 batches, of fewer where that makes less than four groups; each group is
    sorted by length and cut, and the batches of all groups are shuffled. `lengths` in tokens, one a row.
    """

    lengths: Sequence[int]
    batch_size: int
    rng: np.random.Generator

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        drawn: list[int] = self.rng.permutation(len(self.lengths)).tolist()
        group = max(1, min(_MOST_BATCHES, len(self) // _LEAST_GROUPS)) * self.batch_size
        alike = [
            row
            for start in range(0, len(drawn), group)
            for row in sorted(drawn[start : start + group], key=self.lengths.__getitem__)
        ]
        for place in self.rng.permutation(len(self)).tolist():
            yield alike[place * self.batch_size : (place + 1) * self.batch_size]
