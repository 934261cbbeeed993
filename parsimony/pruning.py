"""Take neurons out of the feed-forward blocks of an encoder: the least used ones, with the rest made to answer for them.

A neuron's use is the root mean square of its activation on sample texts times the length of its outgoing weights. The
outgoing weights of the neurons that stay are then fitted by least squares to what the whole block gave on the sample
(the reconstruction step of layer-wise pruning, He et al. 2017, "Channel Pruning"), so that training starts close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony.classifier import Classifier, features, layers_of

if TYPE_CHECKING:
    import torch

# What architectures call the number of neurons in their configuration.
_WIDTHS = ("intermediate_size", "hidden_dim")
_DAMPING = 1e-2
_LONGEST_SAMPLE = 20_000


def ffn_width(encoder: torch.nn.Module) -> int:
    """Return the number of neurons of each feed-forward block. Raises ValueError when the configuration has none."""
    return int(getattr(encoder.config, _width_name(encoder)))


def prunable_width(encoder: torch.nn.Module) -> int | None:
    """Return the number of neurons of each feed-forward block, None where they cannot be taken out."""
    try:
        _pairs(encoder)
    except ValueError:
        return None
    return ffn_width(encoder)


def _width_name(encoder: torch.nn.Module) -> str:
    for name in _WIDTHS:
        if hasattr(encoder.config, name):
            return name
    raise ValueError(f"a {encoder.config.model_type} does not say how wide its feed-forward blocks are")


def prune_ffn(classifier: Classifier, width: int, sample: Sequence[Sequence[int]]) -> None:
    """Leave `width` neurons in every feed-forward block; the classifier's encoder is changed in place.

    sample: tokenised texts. Raises ValueError when a layer has no plain pair of matrices into and out of the neurons.
    """
    import torch

    encoder = classifier.encoder
    pairs = _pairs(encoder)
    seen: list[list[torch.Tensor]] = [[] for _ in pairs]
    hooks = [
        owner.get_submodule(leaving).register_forward_pre_hook(
            lambda _, given, kept=kept: kept.append(given[0].detach().float().flatten(0, -2))
        )
        for (owner, _, leaving), kept in zip(pairs, seen, strict=True)
    ]
    features(classifier, sample)
    for hook in hooks:
        hook.remove()
    for (owner, entering, leaving), activations in zip(pairs, seen, strict=True):
        _prune(owner, entering, leaving, torch.cat(activations)[:_LONGEST_SAMPLE], width)
    setattr(encoder.config, _width_name(encoder), width)


def _pairs(encoder: torch.nn.Module) -> list[tuple[torch.nn.Module, str, str]]:
    """Return per layer the layer and the names of its matrices into and out of the neurons."""
    import torch

    hidden, width = encoder.config.hidden_size, ffn_width(encoder)
    pairs = []
    for layer in layers_of(encoder)[1]:
        linear = {
            n: (m.in_features, m.out_features) for n, m in layer.named_modules() if isinstance(m, torch.nn.Linear)
        }
        entering = [name for name, shape in linear.items() if shape == (hidden, width)]
        leaving = [name for name, shape in linear.items() if shape == (width, hidden)]
        if hidden == width or len(entering) != 1 or len(leaving) != 1:
            raise ValueError(f"the feed-forward blocks of a {encoder.config.model_type} are no plain pair of matrices")
        pairs.append((layer, entering[0], leaving[0]))
    return pairs


def _prune(owner: torch.nn.Module, entering: str, leaving: str, activations: torch.Tensor, width: int) -> None:
    """Replace a pair of matrices by a narrower one; activations: float32 [tokens, neurons]."""
    import torch

    into, out = owner.get_submodule(entering), owner.get_submodule(leaving)
    use = activations.pow(2).mean(0).sqrt() * out.weight.data.norm(dim=0)
    kept = use.topk(width).indices.sort().values
    products = activations.T @ activations / len(activations)
    damping = _DAMPING * products.diagonal().mean()
    wanted = products[kept] @ out.weight.data.T + damping * out.weight.data[:, kept].T
    fitted = torch.linalg.solve(products[kept][:, kept] + damping * torch.eye(width), wanted)
    for module, weight in ((into, into.weight.data[kept]), (out, fitted.T)):
        module.weight = torch.nn.Parameter(weight.contiguous().clone())
        module.out_features, module.in_features = weight.shape
    if into.bias is not None:
        into.bias = torch.nn.Parameter(into.bias.data[kept].clone())
