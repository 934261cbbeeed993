"""What a family is: a frozen record of a function. Adding one is a file and a registry entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

    `base` is the folder of the pretrained model; the linear family takes only its tokenizer. `place` is a folder in which a training
    that is killed leaves what it goes on from; without one it starts anew. `unlabelled` are further texts, without labels.
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
    place: Path | None = None
    unlabelled: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that are distilled on: those of train, then those without labels."""
        return (*self.train.texts, *self.unlabelled)


Sizes = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """What the ladder must know of a family without layers: its models, what is derived from them, and their bytes.

    `weights` returns the sizes of tables and of matrices (inputs, outputs) for a shape, a number of rows and one of classes;
    `overhead` the bytes of a graph's structure for each kind of quantisation.
    """

    shapes: tuple[tuple[str, ...], ...]
    chains: tuple[tuple[str, ...], ...]
    starts_from: Literal["tokenizer", "reference"]
    weights: Callable[[tuple[str, ...], int, int], tuple[Sizes, Sizes]]
    overhead: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A way to get a trained model; `bag` where it has no layers.

    `train` writes the checkpoint's folder: `model.onnx`, `tokenizer.json`, `checkpoint.json`, and in `weights/` what later checkpoints start from.
    """

    name: str
    train: Callable[[Material, Path], None]
    bag: Bag | None = None
