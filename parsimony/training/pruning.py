"""Structured pruning: take the least important neurons out of feed-forward blocks and heads out of attention.

The importance of a neuron is the root mean square of its activation on sample texts times the norm of its outgoing
weights. Heads go one by one: each time the one whose removal leaves the smallest reconstruction error. The outgoing
weights of what stays are then fitted by least squares to the output of the whole block on the sample (the
reconstruction step of layer-wise pruning, He et al. 2017, "Channel Pruning"), so that training starts close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony.training.classifier import Classifier, features, layers_of

if TYPE_CHECKING:
    import torch


# What architectures call the number of neurons in their configuration.
_WIDTHS = ("intermediate_size", "hidden_dim")
# Architectures whose attention heads transformers can take out, and whose pruned weights it reads back.
_HEADED = frozenset({"bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra"})
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
    encoder = classifier.encoder
    pairs = _pairs(encoder)
    inputs = _inputs(classifier, [owner.get_submodule(leaving) for owner, _, leaving in pairs], sample)
    for (owner, entering, leaving), activations in zip(pairs, inputs, strict=True):
        _prune(owner, entering, leaving, activations, width)
    setattr(encoder.config, _width_name(encoder), width)


def prunable_heads(encoder: torch.nn.Module) -> int | None:
    """Return the number of attention heads of each layer, None where they cannot be taken out."""
    try:
        _mixers(encoder)
    except ValueError:
        return None
    return int(encoder.config.num_attention_heads)


def kept_heads(encoder: torch.nn.Module) -> int:
    """Return the number of attention heads that each layer has left."""
    gone = encoder.config.pruned_heads or {0: ()}
    return int(encoder.config.num_attention_heads) - len(gone[0])


def prune_heads(classifier: Classifier, keep: int, sample: Sequence[Sequence[int]]) -> None:
    """Leave `keep` attention heads in every layer; the classifier's encoder is changed in place.

    sample: tokenised texts. The configuration lists the heads that are gone, so that transformers reads the weights
    back. Raises ValueError when a layer has no plain query, key, value and output matrix.
    """
    encoder = classifier.encoder
    heads = int(encoder.config.num_attention_heads)
    outputs = [owner.get_submodule(name) for owner, name in _mixers(encoder)]
    gone, fitted = {}, []
    for place, (output, activations) in enumerate(zip(outputs, _inputs(classifier, outputs, sample), strict=True)):
        products = activations.T @ activations / len(activations)
        kept = _most_useful(products, output.weight.data, heads, keep)
        gone[place] = sorted(set(range(heads)) - set(kept))
        fitted.append(_fitted(products, output.weight.data, _inputs_of(kept, heads, len(products))))
    encoder.prune_heads(gone)
    for (owner, name), weight in zip(_mixers(encoder), fitted, strict=True):
        owner.get_submodule(name).weight.data = weight.T.contiguous()


def _mixers(encoder: torch.nn.Module) -> list[tuple[torch.nn.Module, str]]:
    """Return per layer the layer and the name of the matrix that mixes the outputs of its heads."""
    import torch

    hidden = encoder.config.hidden_size
    mixers = []
    if encoder.config.model_type not in _HEADED:
        raise ValueError(f"no heads can be taken out of a {encoder.config.model_type}")
    for layer in layers_of(encoder)[1]:
        linear = [(name, module) for name, module in layer.named_modules() if isinstance(module, torch.nn.Linear)]
        entering = [m for _, m in linear if m.in_features == hidden][:3]
        leaving = [n for n, m in linear[3:4] if m.out_features == hidden and m.in_features == entering[-1].out_features]
        if len(entering) < 3 or len({m.out_features for m in entering}) > 1 or not leaving:
            raise ValueError(f"the attention of a {encoder.config.model_type} is no plain set of four matrices")
        mixers.append((layer, leaving[0]))
    return mixers


def _most_useful(products: torch.Tensor, weight: torch.Tensor, heads: int, keep: int) -> list[int]:
    """Return the heads that stay when the one with the smallest reconstruction error goes, again and again."""
    kept = list(range(heads))
    while len(kept) > keep:
        rest = {gone: [head for head in kept if head != gone] for gone in kept}
        errors = {g: _error(products, weight, _inputs_of(others, heads, len(products))) for g, others in rest.items()}
        kept = rest[min(kept, key=errors.__getitem__)]
    return kept


def _inputs_of(chosen: Sequence[int], heads: int, width: int) -> torch.Tensor:
    """Return which inputs of the output matrix come from these heads, of `width` in all."""
    import torch

    return torch.arange(width).reshape(heads, -1)[list(chosen)].flatten()


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
    fitted = _fitted(activations.T @ activations / len(activations), out.weight.data, kept)
    for module, weight in ((into, into.weight.data[kept]), (out, fitted.T)):
        module.weight = torch.nn.Parameter(weight.contiguous().clone())
        module.out_features, module.in_features = weight.shape
    if into.bias is not None:
        into.bias = torch.nn.Parameter(into.bias.data[kept].clone())
