"""Predict a bundle's bytes before anything is trained, from the shape of the base alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.candidates import Candidate
from parsimony.data.table import Texts
from parsimony.graphs.int4 import packed_bytes
from parsimony.training.bases import CONFIG
from parsimony.training.families.student import embedding_in, heads_in, layers_in, neurons_in
from parsimony.training.sentence_encoder import tokenizer_of
from parsimony.training.vocabulary import CannotTrimError, trim

if TYPE_CHECKING:
    import torch

_FP32 = 4.0
_POSITION_NUMBER = 8
# Bytes of graph structure: node records, names, shapes. Measured on exported graphs, per layer (plain, fused) and once.
_LAYER_OVERHEAD = {"": (3_105, 715), "int8": (4_121, 1_360), "mixed": (4_121, 1_360), "int4": (5_658, 2_415)}
_GRAPH_OVERHEAD = {"": 1_140, "int8": 1_530, "mixed": 1_750, "int4": 1_850}
_LINEAR_OVERHEAD = {"": 630, "int8": 840, "int4": 890}
_WIDENING_OVERHEAD = {"": 80, "int8": 165, "mixed": 265, "int4": 485}
# What rotary positions add, measured on ModernBERT: nodes of the graph, and per layer.
_ROTARY_OVERHEAD, _ROTARY_LAYER = 4_180, {"": 2_230, "int8": 1_920, "mixed": 1_895, "int4": 1_420}
_FILES_OVERHEAD = 750
_MAP_OVERHEAD, _MAP_NUMBER = 150, 2
_COUNTED_POSITIONS_OVERHEAD = 1_250


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many weights a base has, by what quantisation does to them.

    `embedding_width` is that of the token table, `lookups` lists (rows, width) of other tables, `widening` (inputs, outputs)
    of matrices between tables and layers, `products` of one layer's matrices, `vectors` and `fixed` the fp32 numbers of one
    layer and of the rest; `neurons` is the width of a layer's feed-forward block and `heads` the number of its attention
    heads, None where they cannot be taken out;
    `mapped_tokens` of how many tokens the trimmed graph lists the row, `positions` how many of each table's rows the
    tokenizer's cut can reach, `counts_positions` whether the graph counts them from the padding token (RoBERTa) instead
    of listing them.
    """

    vocabulary: int
    hidden: int
    embedding_width: int
    layers: int
    lookups: tuple[tuple[int, int], ...]
    widening: tuple[tuple[int, int], ...]
    products: tuple[tuple[int, int], ...]
    vectors: int
    fixed: int
    tokenizer_bytes: int
    trimmed_vocabulary: int
    mapped_tokens: int
    trimmed_tokenizer_bytes: int
    neurons: int | None
    heads: int | None
    positions: int
    counts_positions: bool


@lru_cache(maxsize=16)
def shape_of(base: Path, texts: Texts, max_tokens: int) -> Shape:
    """Read a base's shape from its configuration, without its weights, and trim its tokenizer to the texts."""
    from torch.nn import Embedding, Linear

    from parsimony.training.classifier import layers_of, padding_position
    from parsimony.training.pruning import prunable_heads, prunable_width

    encoder = _without_weights(base)
    name, layers = layers_of(encoder)
    inside = list(layers[0].named_parameters())
    outside = [p for n, p in encoder.named_parameters() if not n.startswith(f"{name}.") and "pooler" not in n]
    around = _modules_around(encoder, name)
    tokens = encoder.get_input_embeddings()
    vocabulary, width = tokens.weight.shape
    tokenizer = tokenizer_of(base, max_tokens=max_tokens)
    padding = padding_position(encoder)
    kept, mapped, trimmed_bytes = _trimmed(base, tokenizer, texts, vocabulary)
    return Shape(
        vocabulary=vocabulary,
        hidden=int(encoder.config.hidden_size),
        embedding_width=width,
        layers=len(layers),
        lookups=tuple(
            (m.num_embeddings, m.embedding_dim) for m in around if isinstance(m, Embedding) and m is not tokens
        ),
        widening=tuple((m.in_features, m.out_features) for m in around if isinstance(m, Linear)),
        products=tuple((p.shape[1], p.shape[0]) for _, p in inside if p.ndim == 2),
        vectors=sum(p.numel() for _, p in inside if p.ndim == 1),
        fixed=sum(p.numel() for p in outside if p.ndim == 1) + width,
        tokenizer_bytes=len(tokenizer.encode()),
        trimmed_vocabulary=kept,
        mapped_tokens=mapped,
        trimmed_tokenizer_bytes=trimmed_bytes,
        neurons=prunable_width(encoder),
        heads=prunable_heads(encoder),
        positions=max_tokens if padding is None else max_tokens + padding + 1,
        counts_positions=padding is not None,
    )


def _modules_around(encoder: torch.nn.Module, layers: str) -> list[torch.nn.Module]:
    """Return the modules outside the list of layers of this name, without pooler and segments."""
    return [
        module
        for name, module in encoder.named_modules()
        if not name.startswith(f"{layers}.") and "pooler" not in name and "token_type" not in name
    ]


def _without_weights(base: Path) -> torch.nn.Module:
    """Return the encoder that a base's configuration describes, its weights neither read nor allocated."""
    import torch
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    with torch.device("meta"):
        encoder: torch.nn.Module = AutoModel.from_config(config)
    return encoder


def _trimmed(base: Path, tokenizer: str, texts: Texts, vocabulary: int) -> tuple[int, int, int]:
    """Return the rows, the tokens whose row is listed, and the bytes of the tokenizer after trimming."""
    from parsimony.compression.nearest_tokens import neighbours

    try:
        result = trim(tokenizer, texts.texts, neighbours(base, tokenizer, texts))
    except CannotTrimError:
        return vocabulary, 0, len(tokenizer.encode())
    return len(result.used) + result.shares, len(result.rows), len(result.tokenizer.encode())


def width_to_factorise(shape: Shape) -> int | None:
    """Return the width of the token table, None where too few tokens stay for a narrower one to save anything."""
    return shape.embedding_width if shape.trimmed_vocabulary > shape.hidden else None


def predict(candidate: Candidate, shape: Shape, labels: tuple[str, ...]) -> int:
    """Return the bytes that this candidate's bundle will have."""
    trimmed = "trim" in candidate.techniques
    if candidate.spec.family == "student":
        shape = _student(shape, candidate.spec.shape)
    rows = shape.trimmed_vocabulary if trimmed else shape.vocabulary
    files = (shape.trimmed_tokenizer_bytes if trimmed else shape.tokenizer_bytes) + _FILES_OVERHEAD
    files += _MAP_OVERHEAD + shape.mapped_tokens * _MAP_NUMBER if trimmed else 0
    files += len(json.dumps(labels, ensure_ascii=False).encode())
    if candidate.spec.family == "linear":
        return round(files + _linear(candidate, rows, len(labels)))
    return round(files + _transformer(candidate, shape, rows, len(labels)))


def _student(shape: Shape, of: tuple[str, ...]) -> Shape:
    """Return the shape of a student: fewer layers, narrower ones, no position that is never used."""
    lookups = tuple((min(rows, shape.positions), width) for rows, width in shape.lookups)
    shape = replace(shape, layers=layers_in(of), lookups=lookups)
    if (width := embedding_in(of)) is not None:
        shape = replace(shape, embedding_width=width, widening=((width, shape.embedding_width), *shape.widening))
    if (heads := heads_in(of)) is not None and shape.heads is not None:
        shape = _with_heads(shape, shape.hidden // shape.heads * heads)
    if (neurons := neurons_in(of)) is not None and shape.neurons is not None:
        shape = _with_neurons(shape, shape.neurons, neurons)
    return shape


def _with_heads(shape: Shape, width: int) -> Shape:
    """Return the shape with heads that give `width` numbers together: three matrices into them, one out of them."""
    square = (shape.hidden, shape.hidden)
    others = tuple(product for product in shape.products if product != square)
    attention = (*((shape.hidden, width),) * 3, (width, shape.hidden))
    return replace(shape, products=(*attention, *others), vectors=shape.vectors - 3 * (shape.hidden - width))


def _with_neurons(shape: Shape, before: int, after: int) -> Shape:
    """Return the shape with `after` neurons in each feed-forward block."""
    narrow = {before: after}
    products = tuple((narrow.get(rows, rows), narrow.get(columns, columns)) for rows, columns in shape.products)
    return replace(shape, products=products, vectors=shape.vectors - (before - after))


def _linear(candidate: Candidate, rows: int, classes: int) -> float:
    tables = _table(candidate, rows, classes) + _table(candidate, rows, 1)
    return tables + classes * _FP32 + _LINEAR_OVERHEAD[_bits(candidate)]


def _transformer(candidate: Candidate, shape: Shape, rows: int, classes: int) -> float:
    layers = shape.layers
    products = ((shape.hidden, classes), *shape.widening, *shape.products * layers)
    tables = _table(candidate, rows, shape.embedding_width) + sum(_table(candidate, *table) for table in shape.lookups)
    matrices = sum(_matrix(candidate, *product) for product in products)
    fixed = (layers * shape.vectors + shape.fixed + classes) * _FP32
    structure = (
        layers * _LAYER_OVERHEAD[_bits(candidate)]["fusion" in candidate.techniques] + _GRAPH_OVERHEAD[_bits(candidate)]
    )
    if not shape.lookups:  # positions are looked up nowhere
        structure += _ROTARY_OVERHEAD + layers * _ROTARY_LAYER[_bits(candidate)]
    structure += len(shape.widening) * _WIDENING_OVERHEAD[_bits(candidate)]
    listed = sum(rows for rows, _ in shape.lookups) * _POSITION_NUMBER  # positions are themselves looked up in a list
    numbered = _COUNTED_POSITIONS_OVERHEAD if shape.counts_positions else listed
    return tables + matrices + fixed + structure + numbered


def _bits(candidate: Candidate) -> str:
    """Return which quantisation the candidate ends with, or nothing."""
    return next((name for name in ("int4", "mixed", "int8") if name in candidate.techniques), "")


def _table(candidate: Candidate, rows: int, width: int) -> float:
    if _bits(candidate) in {"int4", "mixed"} and width > 1:
        return packed_bytes(rows, width)
    return rows * width * (1.0 if _bits(candidate) == "int8" else _FP32)


def _matrix(candidate: Candidate, inputs: int, outputs: int) -> float:
    if not _bits(candidate):
        return inputs * outputs * _FP32
    scales = outputs * (_FP32 + 1)
    return scales + (packed_bytes(outputs, inputs) if _bits(candidate) == "int4" else inputs * outputs)


def layers_of_base(base: Path) -> int:
    """Return the number of layers that a base's configuration states."""
    config = json.loads((base / CONFIG).read_text(encoding="utf-8"))
    return int(config.get("num_hidden_layers") or config.get("n_layers") or config["num_layers"])
