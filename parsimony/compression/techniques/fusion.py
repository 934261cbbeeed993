"""Graph fusion: attention, layer norm and GELU as single operators (ONNX Runtime's transformer optimiser).

Sums that go into a layer norm are not fused with it (SkipLayerNormalization): together they take three times as long on a CPU.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import onnx
from onnx import helper

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
    optimised = optimize_model(
        copy.deepcopy(draft.graph),
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


TECHNIQUE = Technique(name="fusion", apply=apply, quantises=False)
