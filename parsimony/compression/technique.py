"""What a technique is: a frozen record of a function. Adding one is a file and a registry entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from parsimony.data.table import Texts

if TYPE_CHECKING:
    import onnx


class DoesNotApplyError(ValueError):
    """This technique cannot be used on this model; the message says why in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model on its way to a bundle: a graph, its tokenizer, and what the graph tools must be told about it.

    `heads` are those of each layer, `hidden` is the width that they have together. `texts` are the training texts, which
    a technique may read to decide what is needed; `near` maps tokens that occur in none of them to a similar token that
    does; `likeliest` are the tokens that occur in none of them, those first that later texts are the likeliest to hold.
    """

    graph: onnx.ModelProto
    tokenizer: str
    architecture: str
    heads: int
    hidden: int
    texts: Texts
    near: Mapping[int, int] = field(default_factory=dict)
    likeliest: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """A way to make a trained model smaller or faster, from draft to draft.

    `apply` raises DoesNotApplyError with the reason when the model is of the wrong kind. `quantises` says that no
    matrix may be left in fp32 afterwards; this is checked.
    """

    name: str
    apply: Callable[[Draft], Draft]
    quantises: bool
