"""What a graph takes beside its weights, and which techniques work on it: measured on a miniature of the base.

Node records, names and shapes are a fifth of a small bundle and differ between architectures and exporters. So a miniature
is exported with one, two and three layers and taken through the techniques: what is no weight is structure. A layer more
adds to every graph what the third one adds.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx

from parsimony.candidates import trims
from parsimony.compression.build import applied
from parsimony.compression.technique import DoesNotApplyError, Draft
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.table import Texts
from parsimony.graphs import rewrite
from parsimony.search.weights import Weights, as_read, bytes_of, weights_of
from parsimony.training import miniature
from parsimony.training.base_config import config_of
from parsimony.training.bases import architecture
from parsimony.training.export import check_parity, export
from parsimony.training.families.student import spread
from parsimony.training.layer_parts import kept_heads
from parsimony.training.vocabulary import token_ids

_FEW, _MORE = 2, 3


def overhead_of(base: Path, layers: int, chain: tuple[str, ...]) -> float:
    """Return the bytes beside its weights of a base's graph with so many layers after these techniques.

    Raises DoesNotApplyError where one of them does not work.
    """
    kinds = _kinds(base, layers)
    if layers <= _FEW:
        return _structure(base, layers, kinds, chain)
    few, more = (_structure(base, of, kinds, chain) for of in (_FEW, _MORE))
    return few + (more - few) * (layers - _FEW)


@lru_cache(maxsize=8)
def obstacles_of(base: Path) -> dict[str, str]:
    """Return the techniques except `trim` that do not work on graphs of a base, each with the reason."""
    obstacles: dict[str, str] = {}
    for name in TECHNIQUES:
        before = ("fusion",) if name != "fusion" and "fusion" not in obstacles else ()
        if trims(name):
            continue
        try:
            _after(base, _FEW, _kinds(base, None), (*before, name))
        except DoesNotApplyError as error:
            obstacles[name] = str(error)
    return obstacles


def as_exported(base: Path, weights: Weights) -> Weights:
    """Return weights of a base sorted by what its graphs do with tables."""
    return as_read(weights, *_read_by_graph(base))


def graph_of(base: Path) -> onnx.ModelProto:
    """Return a graph of a base's architecture, of a miniature."""
    return _drawn(base, _FEW, _kinds(base, None))[0].graph


@lru_cache(maxsize=64)
def _kinds(base: Path, layers: int | None) -> tuple[str, ...]:
    """Return the kinds of layers that a student with so many of them has, each once, all of the base's for None.

    A graph has a mask for each kind (ModernBERT: of the whole text, of its surroundings). Empty where there is one kind.
    """
    kinds = getattr(config_of(base), "layer_types", None) or ()
    chosen = spread(len(kinds) if layers is None else layers, len(kinds)) if kinds else ()
    return tuple(dict.fromkeys(kinds[place] for place in chosen))


@lru_cache(maxsize=128)
def _structure(base: Path, layers: int, kinds: tuple[str, ...], chain: tuple[str, ...]) -> float:
    draft, _ = _after(base, layers, kinds, chain)
    bits = chain[-1] if chain and TECHNIQUES[chain[-1]].quantises else ""
    size = len(rewrite.with_short_names(draft.graph).SerializeToString())
    weights = as_exported(base, _drawn(base, layers, kinds)[2])
    return size - bytes_of(weights, layers, miniature.CLASSES, bits)


@lru_cache(maxsize=32)
def _after(base: Path, layers: int, kinds: tuple[str, ...], chain: tuple[str, ...]) -> tuple[Draft, np.ndarray]:
    if not chain:
        draft, logits, _ = _drawn(base, layers, kinds)
        return draft, logits
    return applied(TECHNIQUES[chain[-1]], *_after(base, layers, kinds, chain[:-1]))


@lru_cache(maxsize=8)
def _drawn(base: Path, layers: int, kinds: tuple[str, ...]) -> tuple[Draft, np.ndarray, Weights]:
    """Return a miniature's graph, its logits and what its weights are."""
    classifier = miniature.miniature(base, layers, kinds)
    graph = export(classifier)
    rows = token_ids(classifier.tokenizer, miniature.TEXTS)
    check_parity(graph, classifier, rows)
    config, heads = classifier.encoder.config, kept_heads(classifier.encoder)
    draft = Draft(
        graph=graph,
        tokenizer=classifier.tokenizer,
        architecture=architecture(base),
        heads=heads,
        hidden=int(config.hidden_size) // int(config.num_attention_heads) * heads,
        texts=Texts.of(miniature.TEXTS),
    )
    return draft, rewrite.run(graph, rows), weights_of(classifier.encoder)


def _read_by_graph(base: Path) -> tuple[set[int], set[int]]:
    """Return how long the tables are of which a graph looks up rows, and how long its lists of whole numbers are."""
    graph = graph_of(base)
    constants = rewrite.initializers(graph)
    looked_up = {
        constants[node.input[0]].dims[0]
        for node in graph.graph.node
        if node.op_type == "Gather" and node.input[0] in constants and constants[node.input[0]].dims
    }
    tensors = [*constants.values(), *(a.t for n in graph.graph.node if n.op_type == "Constant" for a in n.attribute)]
    lists = {int(np.prod(t.dims)) for t in tensors if t.data_type == onnx.TensorProto.INT64}
    return looked_up, lists
