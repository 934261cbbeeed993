"""4-bit blocks: matrices and embedding tables, one fp32 scale per 32 weights (ONNX Runtime's MatMulNBits).

A lever for size: the products run on 8-bit activations (accuracy level 4), slower than dynamic 8-bit.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import replace

import numpy as np
import onnx

from parsimony import graphs
from parsimony.contracts import DoesNotApplyError, Draft, Technique

_BLOCK = 32
_INT8_ACTIVATIONS = 4


def apply(draft: Draft) -> Draft:
    """Quantise every matrix and every table of the graph in blocks of 32."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.transformers.onnx_model import OnnxModel

    if graphs.operators(draft.graph).get("Attention"):
        raise DoesNotApplyError("fused Attention hides its matrices from 4-bit blocks")
    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.ERROR)
    model = OnnxModel(copy.deepcopy(draft.graph))
    quantiser = MatMulNBitsQuantizer(
        model.model,
        bits=4,
        block_size=_BLOCK,
        is_symmetric=True,
        accuracy_level=_INT8_ACTIVATIONS,
        op_types_to_quantize=("MatMul", "Gather"),
        quant_axes=(("MatMul", 0), ("Gather", 1)),
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # a block of zeros has scale zero
        quantiser.process()
    quantised: onnx.ModelProto = quantiser.model.model
    graphs.drop_unused(quantised)
    graphs.strip(quantised)
    return replace(draft, graph=quantised)


TECHNIQUE = Technique(name="int4", apply=apply, quantises=True)
