"""What training reads: tokenised texts, their class numbers and what a teacher made of them; and padded batches of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parsimony.training.classifier import pad

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """What a teacher made of some texts: logits [texts, classes] and mean token states [texts, hidden], float32."""

    logits: np.ndarray
    states: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Tokenised texts with class numbers, and what the teacher made of them when distilling."""

    rows: Sequence[Sequence[int]]
    targets: np.ndarray
    teacher: Teacher | None = None


def rows_of(examples: Examples, first: int) -> list[dict[str, Any]]:
    """Return token ids and, in `labels`, the row of each text's lesson, counted from `first`."""
    return [{"input_ids": row, "labels": first + place} for place, row in enumerate(examples.rows)]


def lessons_of(examples: Examples) -> np.ndarray:
    """Return the class number, the teacher's logits and its state, float32 [texts, 1 or 1 + classes + hidden]."""
    targets = examples.targets.reshape(-1, 1)
    if examples.teacher is None:
        return targets.astype(np.float32)
    return np.concatenate((targets, examples.teacher.logits, examples.teacher.states), axis=1, dtype=np.float32)


def collator_of(lessons: np.ndarray) -> Any:
    """Return what makes a padded batch of rows, with their lessons as labels."""
    import torch

    table = torch.from_numpy(lessons)

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        ids, mask = pad([row["input_ids"] for row in rows])
        return {"input_ids": ids, "attention_mask": mask, "labels": table[[row["labels"] for row in rows]]}

    return collate
