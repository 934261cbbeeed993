"""Vocabulary trimming: only the embedding rows of tokens that training uses, and every single-character piece."""

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
    rows = np.array(trimmed.kept)
    for name in tables:
        graphs.replace_constant(graph, name, numpy_helper.to_array(graphs.initializers(graph)[name])[rows])
    return replace(draft, graph=graph, tokenizer=trimmed.tokenizer)


TECHNIQUE = Technique(name="trim", apply=apply, quantises=False)
