"""The two ways to store weights in fewer bits, each on the operators that it is asked for.

Dynamic 8 bit: signed weights, one scale per output channel; activations are scaled at run time. Signed, because x86
kernels multiply unsigned activations by signed weights fastest (VNNI). 4-bit blocks: one fp32 scale per block of
weights along the input; the products run on 8-bit activations (ONNX Runtime's MatMulNBits, accuracy level 4).
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from parsimony import graphs

TABLES, PRODUCTS = "Gather", "MatMul"
_BLOCKS = (128, 64, 32)
_INT8_ACTIVATIONS = 4


def dynamic_8_bit(graph: onnx.ModelProto, operators: Sequence[str] | None = None) -> onnx.ModelProto:
    """Return the graph with the constants of these operators in 8 bits; of all that can be when none are named."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().addFilter(_is_serious)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        try:
            quantize_dynamic(
                copy.deepcopy(graph),
                path,
                op_types_to_quantize=None if operators is None else list(operators),
                weight_type=QuantType.QInt8,
                per_channel=True,
                extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        finally:
            logging.getLogger().removeFilter(_is_serious)
        quantised = onnx.load_model_from_string(path.read_bytes())
    graphs.strip(quantised)
    return quantised


def _is_serious(record: logging.LogRecord) -> bool:
    """Say whether the quantiser reports an error; what it could not quantise is checked by the builder."""
    return record.levelno > logging.WARNING


def best_block(widths: Sequence[tuple[int, int]]) -> int:
    """Return the block size that stores these weights in the fewest bytes; the larger one of equals, which runs faster.

    widths: per matrix, how many rows of how many weights; a row is filled up to whole blocks. Those of tables are not,
    so that the largest block suits them best.
    """
    return min(_BLOCKS, key=lambda block: sum(rows * block_bytes(width, block) for rows, width in widths))


def block_bytes(width: int, block: int) -> int:
    """Return the bytes of a row of weights in 4-bit blocks, scales included."""
    return -(-width // block) * (block // 2 + 4)


def _widths(graph: onnx.ModelProto) -> list[tuple[int, int]]:
    """Return (outputs, inputs) of every constant matrix that a product reads; tables follow what suits these."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    read = [
        shapes[name] for node in graph.graph.node if node.op_type == PRODUCTS for name in node.input if name in shapes
    ]
    return [(shape[1], shape[0]) for shape in read if len(shape) == 2]


def _numbered(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the look-ups in constants that are no weights, such as a list of rows."""
    kinds = {tensor.name: tensor.data_type for tensor in graph.graph.initializer}
    return [
        node.name
        for node in graph.graph.node
        if node.op_type == TABLES and kinds.get(node.input[0], onnx.TensorProto.FLOAT) != onnx.TensorProto.FLOAT
    ]


def blocks_of_4_bit(graph: onnx.ModelProto, operators: Sequence[str]) -> onnx.ModelProto:
    """Return the graph with the constants of these operators, tables or products, in blocks of 4-bit numbers."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.transformers.onnx_model import OnnxModel

    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.ERROR)
    quantiser = MatMulNBitsQuantizer(
        OnnxModel(copy.deepcopy(graph)).model,
        bits=4,
        block_size=best_block(_widths(graph) if PRODUCTS in operators else ()),
        is_symmetric=True,
        accuracy_level=_INT8_ACTIVATIONS,
        op_types_to_quantize=tuple(operators),
        nodes_to_exclude=_numbered(graph),
        quant_axes=((PRODUCTS, 0), (TABLES, 1)),
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # a block of zeros has scale zero
        quantiser.process()
    quantised: onnx.ModelProto = quantiser.model.model
    graphs.drop_unused(quantised)
    graphs.strip(quantised)
    return quantised
