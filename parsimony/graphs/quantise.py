"""The two ways to store weights in fewer bits.

8 bits: signed weights, one scale per output channel; activations are scaled at run time. Signed, because x86 kernels
multiply unsigned activations by signed weights fastest (VNNI). 4 bits: only how weights are stored (`int4`); tables are
looked up in fp32 and products run in 8 bits all the same.
"""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from parsimony.graphs import int4, rewrite

_TABLES, _PRODUCTS = ("Gather",), ("MatMul", "Attention")


def eight_bits(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with every matrix and every table in 8 bits."""
    return _dynamic(graph, None)


def four_bit_tables(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its tables in 4 bits and its matrices in 8."""
    packed = copy.deepcopy(graph)
    int4.store_tables(packed, (*_read(packed, _TABLES), *_read_whole(packed)))
    return _dynamic(packed, _PRODUCTS)


def four_bits(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its tables and its matrices in 4 bits; products run in 8."""
    rounded = copy.deepcopy(graph)
    matrices = int4.round_products(rounded, _read(rounded, _PRODUCTS))
    quantised = four_bit_tables(rounded)
    int4.store_products(quantised, matrices)
    return quantised


def _read(graph: onnx.ModelProto, operators: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the fp32 matrices that these operators read; a single row or column does not count."""
    matrices = {tensor.name for tensor in _matrices(graph)}
    nodes = (node for node in graph.graph.node if node.op_type in operators)
    return tuple(dict.fromkeys(name for node in nodes for name in node.input if name in matrices))


def _read_whole(graph: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the larger fp32 tables that are neither looked up nor multiplied, such as DeBERTa's of distances."""
    read = set(_read(graph, (*_TABLES, *_PRODUCTS)))
    return tuple(
        tensor.name
        for tensor in _matrices(graph)
        if tensor.dims[0] * tensor.dims[1] > rewrite.SMALL and tensor.name not in read
    )


def _matrices(graph: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Return the fp32 matrices and tables; a single row or column is none."""
    return [
        tensor
        for tensor in graph.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2 and min(tensor.dims) > 1
    ]


def _dynamic(graph: onnx.ModelProto, operators: Sequence[str] | None) -> onnx.ModelProto:
    """Quantise the constants of these operators with ONNX Runtime's tool; those of every operator it knows for None."""
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
    rewrite.strip(quantised)
    return quantised


def _is_serious(record: logging.LogRecord) -> bool:
    """Say whether the quantiser reports an error; what it could not quantise is checked by the builder."""
    return record.levelno > logging.WARNING
