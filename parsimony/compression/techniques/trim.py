"""Vocabulary trimming: only the embedding rows of tokens that occur in the training texts.

The tokenizer also keeps tokens that are near to these, which look up the row of the nearest one, and every
single-character piece, so that nothing becomes unknown; pieces that occur in no training text were never trained, and
share one row. Between this and the whole vocabulary, tokens that occur in no training text can keep rows of their own.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
from onnx import numpy_helper

from parsimony.compression.technique import DoesNotApplyError, Draft, Technique
from parsimony.graphs import rewrite
from parsimony.training.vocabulary import CannotTrimError, Trimmed, trim


def apply(draft: Draft, more: int = 0) -> Draft:
    """Take unused tokens out of the tokenizer and out of every table that is looked up by token.

    more: how many tokens that occur in no text keep rows of their own, the likeliest ones.
    """
    if more > len(draft.likeliest):
        raise DoesNotApplyError(f"only {len(draft.likeliest)} tokens occur in no text, expected {more}")
    graph = copy.deepcopy(draft.graph)
    tables = {node.input[0] for node in rewrite.lookup_of(graph, "input_ids")}
    if not tables:
        raise DoesNotApplyError("no table of the graph is looked up by token")
    try:
        trimmed = trim(draft.tokenizer, draft.texts.texts, draft.near, draft.likeliest[:more])
    except CannotTrimError as error:
        raise DoesNotApplyError(str(error)) from error
    require_fixed(graph, trimmed)
    for name in tables:
        table = numpy_helper.to_array(rewrite.initializers(graph)[name])
        rewrite.replace_constant(graph, name, _shared(table, trimmed))
    if trimmed.rows != tuple(range(len(trimmed.kept))):
        rewrite.redirect_lookups(graph, "input_ids", np.array(trimmed.rows))
    return replace(draft, graph=graph, tokenizer=trimmed.tokenizer)


def require_fixed(graph: onnx.ModelProto, trimmed: Trimmed) -> None:
    """Raise DoesNotApplyError when a graph looks for a token, such as padding, that trimming would give another number."""
    for token in rewrite.compared_with(graph, "input_ids"):
        if token >= len(trimmed.kept) or trimmed.kept[token] != token:
            raise DoesNotApplyError(f"the graph looks for token {token}, which would get another number")


def _shared(table: np.ndarray, trimmed: Trimmed) -> np.ndarray:
    """Return the rows of the tokens in use and, behind them, the mean of all rows that share one, [rows, width]."""
    own = set(trimmed.used)
    used, others = table[list(trimmed.used)], [token for token in trimmed.kept if token not in own]
    return np.concatenate((used, table[others].mean(0, keepdims=True))) if others else used


TECHNIQUE = Technique(name="trim", apply=apply, quantises=False)
# How many tokens that occur in no text keep rows of their own, between none and all of them.
AMOUNTS = {"trim2k": 2_048, "trim8k": 8_192, "trim32k": 32_768}
BETWEEN = tuple(
    Technique(name=name, apply=partial(apply, more=more), quantises=False) for name, more in AMOUNTS.items()
)
