"""Predict a bundle's bytes before anything is trained: weights are counted, the rest is measured on a miniature."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.bundle.config_json import written
from parsimony.candidates import Candidate, trims
from parsimony.compression.technique import DoesNotApplyError
from parsimony.compression.techniques import TECHNIQUES
from parsimony.compression.techniques.trim import AMOUNTS, require_fixed
from parsimony.data.table import Texts
from parsimony.errors import PlanError
from parsimony.search.graph_overhead import as_exported, graph_of, obstacles_of, overhead_of
from parsimony.search.weights import Weights, bytes_of, matrix_bytes, table_bytes, weights_of
from parsimony.training.base_config import config_of
from parsimony.training.base_files import CONFIG, read_object
from parsimony.training.base_shape import LAYERS, number
from parsimony.training.checkpoint import bag_in_their_words, in_transformers_words
from parsimony.training.families import FAMILIES
from parsimony.training.families.student import embedding_in, heads_in, layers_in, neurons_in
from parsimony.training.family import Bag
from parsimony.training.sentence_encoder import tokenizer_of
from parsimony.training.vocabulary import CannotTrimError, Trimmed, trim

if TYPE_CHECKING:
    import torch

_FP32 = 4.0
# Bytes of structure that no exporter decides: of a factorised table, of a bundle's other files.
_WIDENING_OVERHEAD = {"": 80, "int8": 165, "mixed": 265, "int4": 640}
_FILES_OVERHEAD = 930
_MAP_OVERHEAD, _MAP_NUMBER = 150, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """How many rows a token table has, of how many tokens the graph lists the row, and the bytes of the tokenizer."""

    rows: int
    mapped: int
    tokenizer_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What the sizes of everything that is made of a base follow from.

    `heads` are the attention heads of a layer and `neurons` the width of its feed-forward block, None where they cannot be
    taken out; `positions` how many rows of each table of positions the tokenizer's cut can reach; `whole` and `trimmed` are the
    vocabularies, equal where the tokenizer cannot be trimmed, `between` those that lie between, by their techniques;
    `obstacles` the techniques that do not work here, each with the reason, and
    `cannot_trim` why the tokenizer alone cannot be trimmed; `config` holds what the base's own bundle says in transformers' words.
    """

    base: Path
    layers: int
    hidden: int
    embedding_width: int
    whole: Vocabulary
    trimmed: Vocabulary
    neurons: int | None
    heads: int | None
    positions: int
    between: tuple[tuple[str, Vocabulary], ...] = ()
    obstacles: tuple[tuple[str, str], ...] = ()
    cannot_trim: str = ""
    config: tuple[tuple[str, object], ...] = ()

    @property
    def amounts(self) -> tuple[str, ...]:
        """The techniques that trim to a vocabulary between the trimmed and the whole one."""
        return tuple(name for name, _ in self.between)


@lru_cache(maxsize=16)
def shape_of(base: Path, texts: Texts, max_tokens: int) -> Shape:
    """Read a base's shape from its configuration, without its weights, and trim its tokenizer to the texts."""
    from parsimony.training.classifier import padding_position
    from parsimony.training.layer_parts import layers_of, prunable_heads, prunable_width

    encoder = _without_weights(base)
    vocabulary, width = encoder.get_input_embeddings().weight.shape
    tokenizer = tokenizer_of(base, max_tokens=max_tokens)
    padding = padding_position(encoder)
    trimmed, cannot_trim = _trimmed(base, tokenizer, texts)
    whole = Vocabulary(rows=vocabulary, mapped=0, tokenizer_bytes=len(tokenizer.encode()))
    obstacles = obstacles_of(base) | _trim_obstacle(base, trimmed, cannot_trim)
    return Shape(
        base=base,
        layers=len(layers_of(encoder)[1]),
        hidden=int(encoder.config.hidden_size),
        embedding_width=width,
        whole=whole,
        trimmed=whole if trimmed is None else _vocabulary(trimmed),
        neurons=prunable_width(encoder),
        heads=prunable_heads(encoder),
        positions=max_tokens if padding is None else max_tokens + padding + 1,
        between=() if "trim" in obstacles else _between(base, tokenizer, texts),
        obstacles=tuple(obstacles.items()),
        cannot_trim=cannot_trim,
        config=tuple(in_transformers_words(encoder, tokenizer).items()),
    )


def _without_weights(base: Path) -> torch.nn.Module:
    """Return the encoder that a base's configuration describes, its weights neither read nor allocated."""
    import torch
    from transformers import AutoModel

    with torch.device("meta"):
        encoder: torch.nn.Module = AutoModel.from_config(config_of(base))
    return encoder


def _trimmed(base: Path, tokenizer: str, texts: Texts) -> tuple[Trimmed | None, str]:
    """Return the trimmed tokenizer, or None and why it cannot be trimmed."""
    from parsimony.compression.nearest_tokens import neighbours

    try:
        return trim(tokenizer, texts.texts, neighbours(base, tokenizer, texts)), ""
    except CannotTrimError as error:
        return None, str(error)


def _between(base: Path, tokenizer: str, texts: Texts) -> tuple[tuple[str, Vocabulary], ...]:
    """Return the vocabularies that keep rows of some tokens which occur in no text, where those are at most half of them."""
    from parsimony.compression.nearest_tokens import likeliest, neighbours

    ranking, near = likeliest(base, tokenizer, texts), neighbours(base, tokenizer, texts)
    amounts = {
        name: trim(tokenizer, texts.texts, near, ranking[:more])
        for name, more in AMOUNTS.items()
        if 2 * more <= len(ranking)
    }
    return tuple((name, _vocabulary(trimmed)) for name, trimmed in amounts.items())


def _vocabulary(trimmed: Trimmed) -> Vocabulary:
    return Vocabulary(
        rows=len(trimmed.used) + trimmed.shares,
        mapped=len(trimmed.rows),
        tokenizer_bytes=len(trimmed.tokenizer.encode()),
    )


def _trim_obstacle(base: Path, trimmed: Trimmed | None, cannot_trim: str) -> dict[str, str]:
    """Return why a graph of this base cannot be trimmed, under the technique's name; nothing where it can."""
    if trimmed is None:
        return {"trim": cannot_trim}
    try:
        require_fixed(graph_of(base), trimmed)
    except DoesNotApplyError as error:
        return {"trim": str(error)}
    return {}


@lru_cache(maxsize=64)
def _weights(base: Path, heads: int | None, neurons: int | None) -> Weights:
    """Return the weights of a base with so many heads and neurons in each layer, all of them for None."""
    import torch

    from parsimony.training.layer_parts import layers_of, take_heads, take_neurons

    encoder = _without_weights(base)
    layers = len(layers_of(encoder)[1])
    if heads is not None:
        take_heads(encoder, [range(heads)] * layers)
    if neurons is not None:
        take_neurons(encoder, [torch.arange(neurons)] * layers)
    return as_exported(base, weights_of(encoder))


def width_to_factorise(shape: Shape) -> int | None:
    """Return the width of the token table, None where too few tokens stay for a narrower one to save anything."""
    return shape.embedding_width if shape.trimmed.rows > shape.hidden else None


def predict(candidate: Candidate, shape: Shape, labels: tuple[str, ...]) -> int:
    """Return the bytes that this candidate's bundle will have."""
    vocabulary = _vocabulary_of(candidate, shape)
    rows, files = vocabulary.rows, vocabulary.tokenizer_bytes + _FILES_OVERHEAD
    files += _MAP_OVERHEAD + vocabulary.mapped * _MAP_NUMBER if candidate.trimmed else 0
    files += len(json.dumps(labels, ensure_ascii=False).encode()) + len(_config(candidate, shape, labels).encode())
    if (bag := FAMILIES[candidate.spec.family].bag) is not None:
        return round(files + _bag(candidate, bag, rows, len(labels)))
    return round(files + _transformer(candidate, shape, rows, len(labels)))


def _config(candidate: Candidate, shape: Shape, labels: tuple[str, ...]) -> str:
    """Return the bundle's `config.json`, but for the number of the padding token."""
    about, of = dict(shape.config), candidate.spec.shape
    if (bag := FAMILIES[candidate.spec.family].bag) is not None:
        [(_, width), *_], _ = bag.weights(of, shape.whole.rows, len(labels))
        about |= bag_in_their_words(width)
    elif candidate.spec.family == "student":
        heads = None if shape.heads is None else heads_in(of)
        about |= {"num_hidden_layers": layers_in(of)} | ({} if heads is None else {"num_attention_heads": heads})
    vocabulary = _vocabulary_of(candidate, shape)
    return written(about, vocabulary.mapped if candidate.trimmed else vocabulary.rows, 0, labels)


def _vocabulary_of(candidate: Candidate, shape: Shape) -> Vocabulary:
    """Return the vocabulary that a candidate's bundle has."""
    if not candidate.trimmed:
        return shape.whole
    return next((of for name, of in shape.between if name in candidate.techniques), shape.trimmed)


def _bag(candidate: Candidate, bag: Bag, rows: int, classes: int) -> float:
    bits = _bits(candidate)
    tables, matrices = bag.weights(candidate.spec.shape, rows, classes)
    weights = sum(table_bytes(*table, bits) for table in tables) + sum(matrix_bytes(*one, bits) for one in matrices)
    return weights + classes * _FP32 + bag.overhead[bits]


def _transformer(candidate: Candidate, shape: Shape, rows: int, classes: int) -> float:
    bits, layers, widened = _bits(candidate), shape.layers, 0
    if candidate.spec.family == "student":
        of = candidate.spec.shape
        layers = layers_in(of)
        weights = _student(shape, of)
        widened = embedding_in(of) is not None
    else:
        weights = _weights(shape.base, None, None)
    weights = replace(weights, table=(rows, weights.table[1]))
    structure = overhead_of(shape.base, layers, tuple(name for name in candidate.techniques if not trims(name)))
    return bytes_of(weights, layers, classes, bits) + structure + widened * _WIDENING_OVERHEAD[bits]


def _student(shape: Shape, of: tuple[str, ...]) -> Weights:
    """Return the weights of a student: narrower ones, and no position that is never used."""
    weights = _weights(
        shape.base,
        None if shape.heads is None else heads_in(of),
        None if shape.neurons is None else neurons_in(of),
    )
    weights = replace(
        weights, positions=tuple((min(rows, shape.positions), width) for rows, width in weights.positions)
    )
    if (width := embedding_in(of)) is None:
        return weights
    whole = weights.table[1]
    return replace(weights, table=(weights.table[0], width), widening=((width, whole), *weights.widening))


def _bits(candidate: Candidate) -> str:
    """Return which quantisation the candidate ends with, or nothing."""
    return next((name for name in candidate.techniques if TECHNIQUES[name].quantises), "")


def layers_of_base(base: Path) -> int:
    """Return the number of layers that a base's configuration states."""
    said = number(read_object(base / CONFIG), LAYERS)
    if said is None:
        raise PlanError(f"{base / CONFIG} does not say how many layers there are, expected {', '.join(LAYERS)}")
    return said[1]
