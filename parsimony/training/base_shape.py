"""Do a configuration and the weights beside it describe the same model? Asked of the header, no weight is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from parsimony.errors import PlanError
from parsimony.training.weights_header import Tensor

_HIDDEN = ("hidden_size", "dim", "d_model", "emb_dim")
LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_HEADS = ("num_attention_heads", "n_heads", "n_head")
_EMBEDDING = ("embedding_size", "input_embedding_size", *_HIDDEN)
_TOKENS = re.compile(r"(?:^|\.)(?:word_embeddings?|tok_embeddings|embed_tokens|wte)\.weight\Z")
_POSITIONS = re.compile(r"(?:^|\.)position_embeddings\.weight\Z")
_LAYER = re.compile(r"(?P<list>(?:.*?\.)?(?:layers?|blocks?|h))\.(?P<number>\d+)\.(?P<part>.+)\Z")
_FLOATS = {"F64", "F32", "F16", "BF16"}
# ModernBERT's first layer begins with the embeddings' norm.
_NOT_IN_THE_FIRST = {"attn_norm.weight"}
_TOGETHER = "the two are of different models: take both from one place"


def require_whole(config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Raise PlanError, without the base's name, when the weights are not those that the configuration describes."""
    _require_heads(config)
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.dtype not in _FLOATS:
            raise PlanError(
                f"{name} is stored as {tensor.dtype}, expected {', '.join(sorted(_FLOATS))}: quantised weights cannot be "
                "trained; take the model that it was quantised from"
            )
    name, rows, width = _table(tensors)
    _same(config, ("vocab_size",), rows, f"{name} has {rows:,} rows")
    _same(config, _EMBEDDING, width, f"{name} is {width:,} wide")
    _require_positions(config, tensors)
    _require_layers(config, tensors)


def token_rows(tensors: Mapping[str, Tensor]) -> int:
    """Return how many tokens have a row in the token table."""
    return _table(tensors)[1]


def _table(tensors: Mapping[str, Tensor]) -> tuple[str, int, int]:
    """Return the name, the rows and the width of the token table."""
    tables = [name for name, tensor in tensors.items() if _TOKENS.search(name) and len(tensor.shape) == 2]
    tables += [
        name for name, tensor in tensors.items() if name in {"embeddings.weight", "transformer.embeddings.weight"}
    ]
    if not tables:
        raise PlanError(
            f"its weights hold no table of tokens among {len(tensors)} tensors ({', '.join(sorted(tensors)[:3])}, ...): the "
            "encoder is missing and would be random; download the whole model"
        )
    name = min(tables, key=len)
    rows, width = tensors[name].shape
    return name, rows, width


def number(config: Mapping[str, object], names: tuple[str, ...]) -> tuple[str, int] | None:
    """Return the first of these keys that a configuration has, with its value; PlanError unless that is a number above 0."""
    for name in names:
        if (value := config.get(name)) is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PlanError(f"config.json says that {name} is {value!r}, expected a whole number above 0")
        return name, value
    return None


def _same(config: Mapping[str, object], names: tuple[str, ...], there: int, what: str) -> None:
    """Require that a configuration says what the weights show, where it says anything."""
    if (said := number(config, names)) is not None and said[1] != there:
        raise PlanError(f"config.json says that {said[0]} is {said[1]:,}, but {what} in the weights; {_TOGETHER}")


def _require_heads(config: Mapping[str, object]) -> None:
    hidden, heads = number(config, _HIDDEN), number(config, _HEADS)
    if hidden and heads and not config.get("head_dim") and hidden[1] % heads[1]:
        raise PlanError(
            f"config.json says that {hidden[0]} is {hidden[1]} and {heads[0]} is {heads[1]}, expected a multiple; "
            "download it again"
        )


def _require_positions(config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Require a row for every position; some architectures have rows to spare."""
    limit = config.get("max_position_embeddings")
    for name, tensor in tensors.items():
        if _POSITIONS.search(name) and tensor.shape and isinstance(limit, int) and limit > tensor.shape[0]:
            of = f"{name} has {tensor.shape[0]:,} rows"
            _same(config, ("max_position_embeddings",), tensor.shape[0], of)


def _require_layers(config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Require as many layers as the configuration says, each with the same parts as the others."""
    lists: dict[str, dict[int, dict[str, tuple[int, ...]]]] = {}
    for name, tensor in tensors.items():
        if match := _LAYER.match(name):
            layers = lists.setdefault(match["list"], {})
            layers.setdefault(int(match["number"]), {})[match["part"]] = tensor.shape
    said = number(config, LAYERS)
    if said is None or not lists:
        return
    name, layers = max(lists.items(), key=lambda item: sum(map(len, item[1].values())))
    _same(config, LAYERS, len(layers), f"there are {len(layers)} layers ({name})")
    for part in sorted({part for parts in layers.values() for part in parts}):
        without = [number for number in sorted(layers) if part not in layers[number]]
        if len(without) != 1 or len(layers) == 1 or (without == [0] and part in _NOT_IN_THE_FIRST):
            continue
        raise PlanError(
            f"its weights hold no {name}.{without[0]}.{part}, which every other layer has; it would be random: download "
            "the whole model"
        )
