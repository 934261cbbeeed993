"""Vocabulary trimming: only the embedding rows of tokens that training uses.

The tokenizer keeps tokens near to these too, which look the nearest one's row up, and every single-character piece, so
that nothing becomes unknown; those that no training text holds were never trained, and share one row.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
from onnx import numpy_helper

from parsimony import graphs
from parsimony.contracts import DoesNotApplyError, Draft, Technique
from parsimony.vocabulary import CannotTrimError, Trimmed, trim


def apply(draft: Draft) -> Draft:
    """Take unused tokens out of the tokenizer and out of every table that is looked up by token."""
    graph = copy.deepcopy(draft.graph)
    tables = {node.input[0] for node in graphs.lookup_of(graph, "input_ids")}
    if not tables:
        raise DoesNotApplyError("no table of the graph is looked up by token")
    try:
        trimmed = trim(draft.tokenizer, draft.texts, draft.near)
    except CannotTrimError as error:
        raise DoesNotApplyError(str(error)) from error
    for token in graphs.compared_with(graph, "input_ids"):
        if token >= len(trimmed.kept) or trimmed.kept[token] != token:
            raise DoesNotApplyError(f"the graph looks for token {token}, which would get another number")
    for name in tables:
        table = numpy_helper.to_array(graphs.initializers(graph)[name])
        graphs.replace_constant(graph, name, _shared(table, trimmed))
    if trimmed.rows != tuple(range(len(trimmed.kept))):
        graphs.redirect_lookups(graph, "input_ids", np.array(trimmed.rows))
    return replace(draft, graph=graph, tokenizer=trimmed.tokenizer)


def _shared(table: np.ndarray, trimmed: Trimmed) -> np.ndarray:
    """Return the rows of what was seen and, behind them, the mean of all that share one, [rows, columns]."""
    own = set(trimmed.seen)
    seen, others = table[list(trimmed.seen)], [token for token in trimmed.kept if token not in own]
    return np.concatenate((seen, table[others].mean(0, keepdims=True))) if others else seen


TECHNIQUE = Technique(name="trim", apply=apply, quantises=False)
