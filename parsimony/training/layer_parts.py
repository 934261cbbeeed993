"""The parts of an encoder's layers, whatever the architecture calls them, and how heads and neurons are cut out of them.

Cutting is the same on weights and on shapes alone (torch's meta device), so that what is predicted is what is cut.
Encoders are saved whole: heads that are gone are zeros, which give nothing, and the configuration's `kept_heads` says how
many there are besides; no version of transformers must know how to take heads out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What one layer's attention is made of, by names inside the layer.

    `module` counts the heads; `entering` are the matrices that make queries, keys and values, each of them `stacked` times
    the width of all heads; `leaving` mixes the outputs of the heads. `shared` is a table of the whole encoder with a
    column for each head, so that every layer must keep the same ones.
    """

    module: str
    entering: tuple[str, ...]
    leaving: str
    stacked: int = 1
    shared: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """One layer's matrices into and out of the neurons; `stacked` 2: row i and row i + width both belong to neuron i."""

    layer: torch.nn.Module
    entering: str
    leaving: str
    stacked: int


_BERT = Attention(module="attention.self", entering=("query", "key", "value"), leaving="attention.output.dense")
_DEBERTA = Attention(
    module="attention.self",
    entering=("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj"),
    leaving="attention.output.dense",
)
_ATTENTION = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), _BERT),
    "distilbert": Attention(module="attention", entering=("q_lin", "k_lin", "v_lin"), leaving="attention.out_lin"),
    "mpnet": Attention(
        module="attention.attn",
        entering=("q", "k", "v"),
        leaving="attention.attn.o",
        shared="encoder.relative_attention_bias",
    ),
    "deberta-v2": _DEBERTA,
    "modernbert": Attention(module="attn", entering=("Wqkv",), leaving="attn.Wo", stacked=3),
}
# Architectures whose first matrix of a feed-forward block stacks the neurons' gates under the neurons.
_GATED = frozenset({"modernbert"})
# What architectures call the number of neurons in their configuration; how attention counts its heads and their width.
_NEURONS = ("intermediate_size", "hidden_dim")
_COUNTS, _WIDTHS = ("num_attention_heads", "num_heads", "n_heads"), ("all_head_size", "dim")
_KEPT = "kept_heads"


def layers_of(encoder: torch.nn.Module) -> tuple[str, torch.nn.ModuleList]:
    """Return the name and the list of the encoder's layers, whatever the architecture calls it.

    Raises ValueError when no module list has as many members as the configuration says.
    """
    import torch

    count = int(encoder.config.num_hidden_layers)
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return name, module
    raise ValueError(f"{type(encoder).__name__} has no list of {count} layers, each with weights of its own")


def attention_of(encoder: torch.nn.Module) -> Attention:
    """Return what the attention of an encoder is made of; raise ValueError where heads cannot be taken out of it."""
    config = encoder.config
    attention = _ATTENTION.get(config.model_type)
    if attention is None:
        raise ValueError(f"no heads can be taken out of a {config.model_type}")
    width = int(config.hidden_size) // int(config.num_attention_heads) * kept_heads(encoder)
    for layer in layers_of(encoder)[1]:
        matrices = dict(layer.named_modules())
        entering = {matrices[name].out_features for name in _entering(layer, attention)}
        if entering != {width * attention.stacked} or matrices[attention.leaving].in_features != width:
            raise ValueError(f"the attention of a {config.model_type} is no plain set of matrices, {width} wide each")
    return attention


def kept_heads(encoder: torch.nn.Module) -> int:
    """Return the number of attention heads that each layer has left."""
    return int(getattr(encoder.config, _KEPT, None) or encoder.config.num_attention_heads)


def prunable_heads(encoder: torch.nn.Module) -> int | None:
    """Return the number of attention heads of each layer, None where they cannot be taken out."""
    try:
        attention_of(encoder)
    except ValueError:
        return None
    return kept_heads(encoder)


def take_heads(encoder: torch.nn.Module, kept: Sequence[Sequence[int]]) -> None:
    """Leave these heads in each layer, in this order, the same number in all; the encoder is changed in place."""
    attention, heads = attention_of(encoder), kept_heads(encoder)
    for layer, chosen in zip(layers_of(encoder)[1], kept, strict=True):
        out = layer.get_submodule(attention.leaving)
        columns = inputs_of(chosen, heads, out.in_features)
        for name in _entering(layer, attention):
            _cut(layer.get_submodule(name), rows=_stacked(columns, out.in_features, attention.stacked))
        _cut(out, columns=columns)
        _count(layer.get_submodule(attention.module), len(chosen), len(columns))
    if attention.shared is not None:
        table = encoder.get_submodule(attention.shared)
        _cut(table, columns=inputs_of(kept[0], heads, heads))
    setattr(encoder.config, _KEPT, len(kept[0]))


def inputs_of(chosen: Sequence[int], heads: int, width: int) -> torch.Tensor:
    """Return which inputs of the matrix behind the heads come from these heads, of `width` in all."""
    import torch

    return torch.arange(width).reshape(heads, -1)[list(chosen)].flatten()


def whole_heads(encoder: torch.nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights by name in which the heads that are gone are zeros, behind those that stay."""
    if (kept := kept_heads(encoder)) == (heads := int(encoder.config.num_attention_heads)):
        return state
    attention, whole, times = attention_of(encoder), dict(state), heads / kept
    prefix, layers = layers_of(encoder)
    for number, layer in enumerate(layers):
        for name in _entering(layer, attention):
            for key in (f"{prefix}.{number}.{name}.weight", f"{prefix}.{number}.{name}.bias"):
                if key in whole:
                    whole[key] = _padded(whole[key], times, attention.stacked, 0)
        key = f"{prefix}.{number}.{attention.leaving}.weight"
        whole[key] = _padded(whole[key], times, 1, 1)
    if attention.shared is not None:
        key = f"{attention.shared}.weight"
        whole[key] = _padded(whole[key], times, 1, 1)
    return whole


def drop_spare_heads(encoder: torch.nn.Module) -> None:
    """Cut the zeros that `whole_heads` put in out of an encoder that was read back; it is changed in place."""
    if (kept := getattr(encoder.config, _KEPT, None)) is not None:
        delattr(encoder.config, _KEPT)
        take_heads(encoder, [range(kept)] * len(layers_of(encoder)[1]))


def neurons_name(encoder: torch.nn.Module) -> str:
    """Return what the configuration calls the width of feed-forward blocks; raise ValueError where it says nothing."""
    for name in _NEURONS:
        if hasattr(encoder.config, name):
            return name
    raise ValueError(f"a {encoder.config.model_type} does not say how wide its feed-forward blocks are")


def ffn_width(encoder: torch.nn.Module) -> int:
    """Return the number of neurons of each feed-forward block. Raises ValueError when the configuration has none."""
    return int(getattr(encoder.config, neurons_name(encoder)))


def prunable_width(encoder: torch.nn.Module) -> int | None:
    """Return the number of neurons of each feed-forward block, None where they cannot be taken out."""
    try:
        feed_forward_of(encoder)
    except ValueError:
        return None
    return ffn_width(encoder)


def feed_forward_of(encoder: torch.nn.Module) -> list[FeedForward]:
    """Return the feed-forward block of each layer; raise ValueError unless one matrix leads in and one out."""
    import torch

    hidden, width = int(encoder.config.hidden_size), ffn_width(encoder)
    stacked = 2 if encoder.config.model_type in _GATED else 1
    attention = _ATTENTION.get(encoder.config.model_type)
    blocks = []
    for layer in layers_of(encoder)[1]:
        others = set() if attention is None else {*_entering(layer, attention), attention.leaving}
        linear = {
            name: (module.in_features, module.out_features)
            for name, module in layer.named_modules()
            if isinstance(module, torch.nn.Linear) and name not in others
        }
        entering = [name for name, shape in linear.items() if shape == (hidden, width * stacked)]
        leaving = [name for name, shape in linear.items() if shape == (width, hidden)]
        if len(entering) != 1 or len(leaving) != 1 or entering == leaving:
            raise ValueError(f"the feed-forward blocks of a {encoder.config.model_type} are no plain pair of matrices")
        blocks.append(FeedForward(layer=layer, entering=entering[0], leaving=leaving[0], stacked=stacked))
    return blocks


def take_neurons(encoder: torch.nn.Module, kept: Sequence[torch.Tensor]) -> None:
    """Leave these neurons in each layer, the same number in all; the encoder is changed in place."""
    for block, chosen in zip(feed_forward_of(encoder), kept, strict=True):
        out = block.layer.get_submodule(block.leaving)
        _cut(block.layer.get_submodule(block.entering), rows=_stacked(chosen, out.in_features, block.stacked))
        _cut(out, columns=chosen)
    setattr(encoder.config, neurons_name(encoder), len(kept[0]))


def _entering(layer: torch.nn.Module, attention: Attention) -> list[str]:
    """Return the names, inside the layer, of the matrices into its heads; some positions have none of their own."""
    module = layer.get_submodule(attention.module)
    return [f"{attention.module}.{name}" for name in attention.entering if hasattr(module, name)]


def _stacked(places: torch.Tensor, width: int, times: int) -> torch.Tensor:
    """Return the rows at these places of each of several blocks of `width` rows."""
    import torch

    return torch.cat([places + width * part for part in range(times)])


def _cut(module: torch.nn.Module, *, rows: torch.Tensor | None = None, columns: torch.Tensor | None = None) -> None:
    """Leave these rows or columns of a matrix or table; rows take their bias with them."""
    import torch

    weight = module.weight.data
    weight = weight[rows] if rows is not None else weight[:, columns]
    module.weight = torch.nn.Parameter(weight.contiguous().clone())
    if isinstance(module, torch.nn.Embedding):
        module.num_embeddings, module.embedding_dim = weight.shape
        return
    module.out_features, module.in_features = weight.shape
    if rows is not None and module.bias is not None:
        module.bias = torch.nn.Parameter(module.bias.data[rows].clone())


def _count(module: torch.nn.Module, heads: int, width: int) -> None:
    """Tell an attention module how many heads it has and how wide they are together."""
    for names, value in ((_COUNTS, heads), (_WIDTHS, width)):
        for name in names:
            if hasattr(module, name):
                setattr(module, name, value)


def _padded(weight: torch.Tensor, times: float, stacked: int, axis: int) -> torch.Tensor:
    """Return a weight with zeros behind each of its `stacked` parts, so that it is so many times as long there."""
    import torch

    parts = []
    for part in weight.chunk(stacked, axis):
        shape = list(part.shape)
        shape[axis] = round(shape[axis] * (times - 1))
        parts += [part, part.new_zeros(shape)]
    return torch.cat(parts, axis)
