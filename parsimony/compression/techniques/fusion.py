"""Graph fusion: attention, layer norm and GELU as single operators (ONNX Runtime's transformer optimiser).

Sums that go into a layer norm are not fused with it (SkipLayerNormalization): together they take three times as long on a CPU.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parsimony.compression.technique import DoesNotApplyError, Draft, Technique
from parsimony.graphs import rewrite

_MICROSOFT = "com.microsoft"


def apply(draft: Draft) -> Draft:
    """Fuse what the optimiser recognises; refuse when it recognises no attention."""
    fused = _optimise(draft) if draft.heads else draft.graph
    if "Attention" not in rewrite.operators(fused):
        raise DoesNotApplyError(f"the optimiser found no attention in this {draft.architecture} graph")
    rewrite.strip(fused)
    return replace(draft, graph=fused)


def _optimise(draft: Draft) -> onnx.ModelProto:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False  # it would hide the look-up from quantisation
    options.enable_skip_layer_norm = options.enable_bias_skip_layer_norm = False
    for name in ("onnxruntime.transformers", "fusion_attention"):  # it tells of every pruned head
        logging.getLogger(name).setLevel(logging.ERROR)
    graph = copy.deepcopy(draft.graph)
    _divide_scores(graph)
    optimised = optimize_model(
        graph,
        model_type="bert",
        num_heads=draft.heads,
        hidden_size=draft.hidden,
        opt_level=0,
        optimization_options=options,
    )
    model: onnx.ModelProto = optimised.model
    if _MICROSOFT not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    return model


def _divide_scores(model: onnx.ModelProto) -> None:
    """Divide scores of attention where they are multiplied: the optimiser takes the first product for the mask's."""
    made_by = {node.output[0]: node for node in model.graph.node}
    readers = {name: node.op_type for node in model.graph.node for name in node.input}
    values = {name: node.attribute[0].t for name, node in made_by.items() if node.op_type == "Constant"}
    for node in [node for node in model.graph.node if node.op_type == "Mul"]:
        scores, scale = node.input
        if scale in values and made_by.get(scores, node).op_type == "MatMul" and readers[node.output[0]] == "Add":
            divisor = np.float32(1.0) / numpy_helper.to_array(values[scale])
            name = f"{node.output[0]}.divisor"
            model.graph.initializer.append(numpy_helper.from_array(divisor, name))
            node.op_type, node.input[1] = "Div", name


TECHNIQUE = Technique(name="fusion", apply=apply, quantises=False)
