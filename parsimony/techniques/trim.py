"""Vocabulary trimming: only the embedding rows of tokens that training uses.

The tokenizer keeps every single-character piece too, so that nothing becomes unknown; those that no training text
holds were never trained, and share one row.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
from onnx import numpy_helper

from parsimony import graphs
from parsimony.contracts import DoesNotApplyError, Draft, Technique
from parsimony.vocabulary import CannotTrimError, trim


def apply(draft: Draft) -> Draft:
    """Take unused tokens out of the tokenizer and out of every table that is looked up by token."""
    graph = copy.deepcopy(draft.graph)
    tables = {node.input[0] for node in graphs.lookup_of(graph, "input_ids")}
    if not tables:
        raise DoesNotApplyError("no table of the graph is looked up by token")
    try:
        trimmed = trim(draft.tokenizer, draft.texts)
    except CannotTrimError as error:
        raise DoesNotApplyError(str(error)) from error
    for token in graphs.compared_with(graph, "input_ids"):
        if token >= len(trimmed.kept) or trimmed.kept[token] != token:
            raise DoesNotApplyError(f"the graph looks for token {token}, which would get another number")
    for name in tables:
        table = numpy_helper.to_array(graphs.initializers(graph)[name])
        graphs.replace_constant(graph, name, _shared(table[list(trimmed.kept)], trimmed.seen))
    if trimmed.seen < len(trimmed.kept):
        graphs.clamp_lookups(graph, "input_ids", trimmed.seen)
    return replace(draft, graph=graph, tokenizer=trimmed.tokenizer)


def _shared(rows: np.ndarray, own: int) -> np.ndarray:
    """Return the first `own` rows and the mean of the others, [own + 1, columns]; all rows when there are no others."""
    if own == len(rows):
        return rows
    return np.concatenate((rows[:own], rows[own:].mean(0, keepdims=True)))


TECHNIQUE = Technique(name="trim", apply=apply, quantises=False)
