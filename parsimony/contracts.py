"""What a family and a technique are: frozen records of functions. Adding one is a file and a registry entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.records import Table, Trunk

if TYPE_CHECKING:
    import onnx


class DoesNotApplyError(ValueError):
    """This technique cannot be used on this model; the message says why in one line."""


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
    """What a family trains on. `start` is the folder of the trunk it continues from, or None.

    `base` is the folder of the pretrained model; the linear family takes only its tokenizer.
    """

    trunk: Trunk
    base: Path
    start: Path | None
    train: Table
    search: Table
    labels: tuple[str, ...]
    max_tokens: int
    seed: int
    settings: TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model on its way to a bundle: a graph, its tokenizer, and what the graph tools must be told about it.

    `heads` are those of each layer, `hidden` the width that they give together.
    `texts` are the training texts: what a technique may look at to decide what is needed; `near` holds, for tokens that
    none of them holds, one nearly alike that some does.
    """

    graph: onnx.ModelProto
    tokenizer: str
    architecture: str
    heads: int
    hidden: int
    texts: tuple[str, ...]
    near: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A way to get a trained model.

    `train` writes the trunk's folder: `model.onnx`, `tokenizer.json`, `trunk.json`, and in `weights/` what later
    trunks start from.
    """

    name: str
    train: Callable[[Material, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """A way to make a trained model smaller or faster, from draft to draft.

    `apply` raises DoesNotApplyError with the reason when the model is of the wrong kind. `quantises` says that no
    matrix may be left in fp32 afterwards; this is checked. `architectures` are those it can be used on, None for all.
    """

    name: str
    apply: Callable[[Draft], Draft]
    quantises: bool
    architectures: frozenset[str] | None = None
