"""How many weights an encoder has, by what quantisation does to them, and the bytes that they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parsimony.graphs.int4 import packed_bytes
from parsimony.training.factorised_embedding import table_of
from parsimony.training.layer_parts import layers_of

if TYPE_CHECKING:
    import torch

_FP32 = 4.0
_POSITION_NUMBER = 8
Sizes = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What an encoder's weights are, and those of the head behind it.

    `table` is the token table, (rows, width); `positions` and `lookups` are other tables that the graph looks up, `read_whole`
    those that it reads from end to end; `widening` (inputs, outputs) are matrices between tables and layers; `products` and `vectors` are
    the matrices and fp32 numbers of one layer; `fixed` the fp32 numbers of the rest. `listed` says that the graph holds a
    list of the numbers of all positions.
    """

    table: tuple[int, int]
    positions: Sizes
    lookups: Sizes
    read_whole: Sizes
    widening: Sizes
    products: Sizes
    vectors: int
    fixed: int
    hidden: int
    listed: bool


def weights_of(encoder: torch.nn.Module) -> Weights:
    """Count an encoder's weights; they need not be allocated."""
    from torch.nn import Embedding, Linear

    name, layers = layers_of(encoder)
    first, last = ([p for _, p in layer.named_parameters()] for layer in (layers[0], layers[-1]))
    tokens = table_of(encoder)
    around = _modules_around(encoder, name)
    tables = [(n, m) for n, m in around if isinstance(m, Embedding) and m is not tokens]
    vectors = _numbers(last)
    rows, width = tokens.weight.shape
    return Weights(
        table=(rows, width),
        positions=tuple((m.num_embeddings, m.embedding_dim) for n, m in tables if n.endswith("position_embeddings")),
        lookups=tuple((m.num_embeddings, m.embedding_dim) for n, m in tables if not n.endswith("position_embeddings")),
        read_whole=(),
        widening=tuple((m.in_features, m.out_features) for _, m in around if isinstance(m, Linear)),
        products=tuple((p.shape[1], p.shape[0]) for p in last if p.ndim == 2),
        vectors=vectors,
        fixed=_numbers([p for _, m in around for p in m.parameters(recurse=False)]) + _numbers(first) - vectors,
        hidden=int(encoder.config.hidden_size),
        listed=False,
    )


def _numbers(parameters: Sequence[torch.Tensor]) -> int:
    return sum(p.numel() for p in parameters if p.ndim != 2)


def _modules_around(encoder: torch.nn.Module, layers: str) -> list[tuple[str, torch.nn.Module]]:
    """Return the modules outside the list of layers of this name, without pooler and segments."""
    return [
        (name, module)
        for name, module in encoder.named_modules()
        if not name.startswith(f"{layers}.") and "pooler" not in name and "token_type" not in name
    ]


def as_read(weights: Weights, looked_up: set[int], lists: set[int]) -> Weights:
    """Return the weights sorted by what a graph does with tables: of how many rows it looks some up, how long its lists are."""
    return replace(
        weights,
        lookups=tuple(table for table in weights.lookups if table[0] in looked_up),
        read_whole=tuple(table for table in weights.lookups if table[0] not in looked_up),
        listed=any(rows in lists for rows, _ in weights.positions),
    )


def bytes_of(weights: Weights, layers: int, classes: int, bits: str) -> float:
    """Return the bytes of the weights in a graph; bits: `int8`, `mixed`, `int4` or nothing."""
    tables = sum(table_bytes(*table, bits) for table in (weights.table, *weights.positions, *weights.lookups))
    whole = sum(table_bytes(*table, "" if bits == "int8" else bits) for table in weights.read_whole)
    products = ((weights.hidden, classes), *weights.widening, *weights.products * layers)
    matrices = sum(matrix_bytes(*product, bits) for product in products)
    listed = sum(rows for rows, _ in weights.positions) * _POSITION_NUMBER * weights.listed
    return tables + whole + matrices + listed + (layers * weights.vectors + weights.fixed + classes) * _FP32


def table_bytes(rows: int, width: int, bits: str) -> float:
    """Return the bytes of a table; a single column stays as it is unless in 8 bits."""
    if bits in {"int4", "mixed"} and width > 1:
        return packed_bytes(rows, width)
    return rows * width * (1.0 if bits == "int8" else _FP32)


def matrix_bytes(inputs: int, outputs: int, bits: str) -> float:
    """Return the bytes of a matrix with its scales."""
    if not bits:
        return inputs * outputs * _FP32
    scales = outputs * (_FP32 + 1)
    return scales + (math.ceil(packed_bytes(outputs, inputs)) if bits == "int4" else inputs * outputs)
