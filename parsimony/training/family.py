"""What a family is: a frozen record of a function. Adding one is a file and a registry entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parsimony.candidates import ModelSpec
from parsimony.data.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How long and how fast to train; the plan's `[training]` table."""

    epochs: int
    student_epochs: int
    learning_rate: float
    student_learning_rate: float
    batch_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a family trains on. `start` is the folder of the checkpoint that it continues from, or None.

    `base` is the folder of the pretrained model; the linear family takes only its tokenizer.
    """

    spec: ModelSpec
    base: Path
    start: Path | None
    train: Table
    validation: Table
    labels: tuple[str, ...]
    max_tokens: int
    seed: int
    settings: TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A way to get a trained model.

    `train` writes the checkpoint's folder: `model.onnx`, `tokenizer.json`, `checkpoint.json`, and in `weights/` what later checkpoints start from.
    """

    name: str
    train: Callable[[Material, Path], None]
