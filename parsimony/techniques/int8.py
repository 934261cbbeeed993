"""Dynamic 8-bit: signed weights, one scale per output channel; activations are scaled at run time.

Signed weights because x86 kernels multiply unsigned activations by signed weights fastest (VNNI).
"""

from __future__ import annotations

import copy
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx

from parsimony import graphs
from parsimony.contracts import Draft, Technique


def apply(draft: Draft) -> Draft:
    """Quantise every matrix and every table of the graph."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().addFilter(_is_serious)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        try:
            quantize_dynamic(
                copy.deepcopy(draft.graph),
                path,
                weight_type=QuantType.QInt8,
                per_channel=True,
                extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        finally:
            logging.getLogger().removeFilter(_is_serious)
        quantised = onnx.load_model_from_string(path.read_bytes())
    graphs.strip(quantised)
    return replace(draft, graph=quantised)


def _is_serious(record: logging.LogRecord) -> bool:
    """Say whether the quantiser reports an error; what it could not quantise is checked by the builder."""
    return record.levelno > logging.WARNING


TECHNIQUE = Technique(name="int8", apply=apply, quantises=True)
