"""Structured pruning: take the least important neurons out of feed-forward blocks and heads out of attention.

The importance of a neuron is the root mean square of its activation on sample texts times the norm of its outgoing
weights. Heads go one by one: each time the one whose removal leaves the smallest reconstruction error. The outgoing
weights of what stays are then fitted by least squares to the output of the whole block on the sample (the
reconstruction step of layer-wise pruning, He et al. 2017, "Channel Pruning"), so that training starts close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony.training.classifier import Classifier, features
from parsimony.training.layer_parts import (
    attention_of,
    feed_forward_of,
    inputs_of,
    kept_heads,
    layers_of,
    take_heads,
    take_neurons,
)

if TYPE_CHECKING:
    import torch


_DAMPING = 1e-2
_LONGEST_SAMPLE = 20_000


def prune_ffn(classifier: Classifier, width: int, sample: Sequence[Sequence[int]]) -> None:
    """Leave `width` neurons in every feed-forward block; the classifier's encoder is changed in place.

    sample: tokenised texts. Raises ValueError when a layer has no plain pair of matrices into and out of the neurons.
    """
    outputs = [block.layer.get_submodule(block.leaving) for block in feed_forward_of(classifier.encoder)]
    kept, fitted = [], []
    for output, activations in zip(outputs, _inputs(classifier, outputs, sample), strict=True):
        use = activations.pow(2).mean(0).sqrt() * output.weight.data.norm(dim=0)
        kept.append(use.topk(width).indices.sort().values)
        fitted.append(_fitted(activations.T @ activations / len(activations), output.weight.data, kept[-1]))
    take_neurons(classifier.encoder, kept)
    _put(outputs, fitted)


def prune_heads(classifier: Classifier, keep: int, sample: Sequence[Sequence[int]]) -> None:
    """Leave `keep` attention heads in every layer; the classifier's encoder is changed in place.

    sample: tokenised texts. Raises ValueError when heads cannot be taken out of this architecture.
    """
    encoder = classifier.encoder
    attention, heads = attention_of(encoder), kept_heads(encoder)
    outputs = [layer.get_submodule(attention.leaving) for layer in layers_of(encoder)[1]]
    blocks = [
        (activations.T @ activations / len(activations), output.weight.data)
        for output, activations in zip(outputs, _inputs(classifier, outputs, sample), strict=True)
    ]
    if attention.shared is None:
        kept = [_most_useful([block], heads, keep) for block in blocks]
    else:
        kept = [_most_useful(blocks, heads, keep)] * len(blocks)
    fitted = [
        _fitted(products, weight, inputs_of(chosen, heads, len(products)))
        for (products, weight), chosen in zip(blocks, kept, strict=True)
    ]
    take_heads(encoder, kept)
    _put(outputs, fitted)


def _put(outputs: Sequence[torch.nn.Module], fitted: Sequence[torch.Tensor]) -> None:
    """Give matrices the weights that were fitted for their inputs, [inputs, outputs]."""
    for output, weight in zip(outputs, fitted, strict=True):
        output.weight.data = weight.T.contiguous()


def _most_useful(blocks: Sequence[tuple[torch.Tensor, torch.Tensor]], heads: int, keep: int) -> list[int]:
    """Return the heads that stay when the one with the smallest reconstruction error goes, again and again.

    blocks: of every layer that must keep the same heads, the mean products of its outputs and the weights behind them.
    """
    kept = list(range(heads))
    while len(kept) > keep:
        rest = {gone: [head for head in kept if head != gone] for gone in kept}
        errors = {
            gone: sum(_error(*block, inputs_of(others, heads, len(block[0]))) for block in blocks)
            for gone, others in rest.items()
        }
        kept = rest[min(kept, key=errors.__getitem__)]
    return kept


def _inputs(
    classifier: Classifier, modules: Sequence[torch.nn.Module], sample: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """Return the inputs of each of these modules on the sample, float32 [tokens, width]."""
    import torch

    batches: list[list[torch.Tensor]] = [[] for _ in modules]
    hooks = [
        module.register_forward_pre_hook(
            lambda _, given, kept=kept: kept.append(given[0].detach().float().flatten(0, -2))
        )
        for module, kept in zip(modules, batches, strict=True)
    ]
    features(classifier, sample)
    for hook in hooks:
        hook.remove()
    return [torch.cat(kept)[:_LONGEST_SAMPLE] for kept in batches]


def _fitted(products: torch.Tensor, weight: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Return the weights [kept, outputs] with which the kept inputs alone come nearest to the output of all.

    products: mean products of the inputs, [inputs, inputs]; weight: [outputs, inputs].
    """
    import torch

    damping = _DAMPING * products.diagonal().mean()
    wanted = products[kept] @ weight.T + damping * weight[:, kept].T
    return torch.linalg.solve(products[kept][:, kept] + damping * torch.eye(len(kept)), wanted)


def _error(products: torch.Tensor, weight: torch.Tensor, kept: torch.Tensor) -> float:
    """Return the mean square reconstruction error of the kept inputs with fitted weights."""
    residual = weight.clone()
    residual[:, kept] -= _fitted(products, weight, kept).T
    return float(((residual @ products) * residual).sum())
