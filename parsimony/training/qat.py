"""Quantisation-aware training: towards its end the network predicts with weights rounded to 4 bits, and learns to.

The gradient at the rounded weights moves the whole ones (straight-through estimator, Bengio et al. 2013; Jacob et al.
2018). At the end the rounded weights are the weights, so that storing them in 4 bits loses nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from parsimony.graphs.int4 import HIGHEST, LOWEST, block_of

if TYPE_CHECKING:
    import torch
    import transformers


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """Return weights [rows, width] rounded to 4 bits, the same as `graphs.int4.pack(weights).weights`."""
    blocks = weight.reshape(len(weight), -1, block_of(weight.shape[1]))
    most, least = blocks.amax(-1, keepdim=True), blocks.amin(-1, keepdim=True)
    scales = (most.where(most > -least, least) / LOWEST).half().float()
    numbers = (blocks / scales.where(scales != 0, 1.0)).round().clamp(LOWEST, HIGHEST)
    return (numbers * scales).reshape(weight.shape)


def stored_in_few_bits(network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Return the weights that quantisation stores in few bits: matrices and tables, except the one row of a segment."""
    import torch

    return [
        module.weight
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding) and "token_type" not in name
    ]


def round_weights(weights: Iterable[torch.nn.Parameter]) -> None:
    """Round the weights in place."""
    for weight in weights:
        weight.data = rounded(weight.data)


def in_the_last_steps(network: torch.nn.Module, share: float) -> transformers.TrainerCallback:
    """Return what makes the Trainer run this share of its steps, the last ones, with rounded weights."""
    import transformers

    class Rounding(transformers.TrainerCallback):  # type: ignore[misc]  # the Trainer calls its subclasses only
        def __init__(self) -> None:
            self.weights = stored_in_few_bits(network)
            self.whole: list[tuple[torch.nn.Parameter, torch.Tensor]] = []

        def on_step_begin(self, _: Any, state: Any, __: Any, **___: Any) -> None:
            if state.global_step >= (1 - share) * state.max_steps:
                self.whole = [(weight, weight.data) for weight in self.weights]
                round_weights(self.weights)

        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            for weight, whole in self.whole:
                weight.data = whole

    return Rounding()
