"""Count the multiply-adds of a bundle's matrix products for one text, from its real graph and its real shapes.

Inner tensors are made outputs and the text is run once, so no shape is inferred. One multiply-add is two operations:
- a product [.., m, k] x [k, n]: m k n multiply-adds; Gemm, MatMulInteger, MatMulNBits and their fused forms alike;
- attention over S tokens: the projection S h (q + k + v) where the node holds it, then S S' (q + v) for its two products.
Look-ups, norms, sums and activations are not counted: they have no products of matrices. Needs `onnx`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parsimony.bundle.folder import MODEL, TOKENIZER
from parsimony.bundle.predict import feeds, load

if TYPE_CHECKING:
    import onnx


Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

# Operators that multiply no matrices.
_NAMES = """
Abs Add And ArgMax BiasGelu BiasSplitGelu Cast Ceil Clip Concat Constant ConstantOfShape Cos CumSum DequantizeLinear
Div DynamicQuantizeLinear EmbedLayerNormalization Equal Erf Exp Expand FastGelu Flatten Floor Gather
GatherBlockQuantized GatherElements GatherND Gelu Greater GreaterOrEqual Identity IsInf IsNaN LayerNormalization
LeakyRelu Less LessOrEqual Log LpNormalization Max Mean Min Mod Mul Neg Not Or Pow QEmbedLayerNormalization
QuantizeLinear QuickGelu Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape
RotaryEmbedding Round ScatterElements ScatterND Shape Sigmoid Sign SimplifiedLayerNormalization Sin Size
SkipLayerNormalization SkipSimplifiedLayerNormalization Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Tile
TopK Transpose Trilu Unsqueeze Where Xor
"""
_FREE = frozenset(_NAMES.split())


class CannotCountError(Exception):
    """The graph holds something whose products cannot be counted; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Operations of one text, two for a multiply-add, by the kind of numbers that are multiplied."""

    tokens: int
    int8_ops: int
    fp32_ops: int


def count(folder: Path, text: str) -> Counted:
    """Count the operations of a bundle's matrix products for one text, in all the windows that it reads.

    Raises CannotCountError when the graph takes text, or holds an operator that is neither counted nor known to be
    free of products.
    """
    import onnx

    if not (folder / TOKENIZER).is_file():
        raise CannotCountError("the graph reads text, not tokens: how much it does depends on the words")
    model = onnx.load_model_from_string((folder / MODEL).read_bytes())
    unknown = sorted({node.op_type for node in model.graph.node} - _FREE - _PRODUCTS.keys())
    if unknown:
        raise CannotCountError(f"the operations of {', '.join(unknown)} cannot be counted")
    windows = feeds(load(folder), text)
    totals = {"int8": 0, "fp32": 0}
    for shapes in _shapes(model, windows):
        for node in model.graph.node:
            if node.op_type in _PRODUCTS:
                for kind, products in _PRODUCTS[node.op_type](node, shapes).items():
                    totals[kind] += 2 * products
    tokens = sum(values["input_ids"].shape[1] for values in windows)
    return Counted(tokens=tokens, int8_ops=totals["int8"], fp32_ops=totals["fp32"])


def _shapes(model: onnx.ModelProto, windows: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, Shape]]:
    """Return, for each window of a text, the shape of every tensor that a counted node reads or writes."""
    import onnx
    import onnxruntime

    constants: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes = [constants | {name: value.shape for name, value in values.items()} for values in windows]
    touched = (name for n in model.graph.node if n.op_type in _PRODUCTS for name in (*n.input, *n.output[:1]))
    wanted = [name for name in dict.fromkeys(touched) if name and name not in shapes[0]]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    if not wanted:
        return shapes
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    runs = (session.run(wanted, {name: values[name] for name in names}) for values in windows)
    return [
        known | {name: np.shape(value) for name, value in zip(wanted, results, strict=True)}
        for known, results in zip(shapes, runs, strict=True)
    ]


# --- one kind of node each ------------------------------------------------------------------------


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    import onnx

    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _matmul(kind: str) -> Callable[[onnx.NodeProto, Shapes], dict[str, int]]:
    """Count the elements of the result times the inner size, the last of the left factor."""

    def products(node: onnx.NodeProto, shapes: Shapes) -> dict[str, int]:
        left = shapes[node.input[0]]
        inner = left[-2] if _attribute(node, "transA", 0) else left[-1]
        return {kind: math.prod(shapes[node.output[0]]) * inner}

    return products


def _few_bits(node: onnx.NodeProto, shapes: Shapes) -> dict[str, int]:
    """Count a product with weights of few bits: in 8 bits where its accuracy level is 4, else in fp32."""
    kind = "int8" if _attribute(node, "accuracy_level", 0) == 4 else "fp32"
    return {kind: math.prod(shapes[node.output[0]]) * int(_attribute(node, "K", 0))}


def _attention(kind: str) -> Callable[[onnx.NodeProto, Shapes], dict[str, int]]:
    """Count the projection of tokens to queries, keys and values, then the two products of attention in fp32."""

    def products(node: onnx.NodeProto, shapes: Shapes) -> dict[str, int]:
        batch, tokens, hidden = shapes[node.input[0]]
        width = shapes[node.input[1]][1]
        queries, _, values = _attribute(node, "qkv_hidden_sizes", (width // 3,) * 3)
        projected = {kind: batch * tokens * hidden * width}
        scores = batch * tokens * tokens * (queries + values)
        return {"fp32": scores + projected["fp32"]} if kind == "fp32" else {**projected, "fp32": scores}

    return products


def _separate_attention(node: onnx.NodeProto, shapes: Shapes) -> dict[str, int]:
    """Count the two products of attention whose queries, keys and values come from elsewhere."""
    given = [shapes[name] for name in node.input[:3] if name]
    if len(given) != 3 or any(len(shape) != 3 for shape in given):
        raise CannotCountError("MultiHeadAttention with packed queries, keys and values cannot be counted")
    (batch, tokens, queries), (_, others, _), (_, _, values) = given
    return {"fp32": batch * tokens * others * (queries + values)}


_PRODUCTS: dict[str, Callable[[onnx.NodeProto, Shapes], dict[str, int]]] = {
    "MatMul": _matmul("fp32"),
    "FusedMatMul": _matmul("fp32"),
    "Gemm": _matmul("fp32"),
    "MatMulInteger": _matmul("int8"),
    "MatMulIntegerToFloat": _matmul("int8"),
    "DynamicQuantizeMatMul": _matmul("int8"),
    "QLinearMatMul": _matmul("int8"),
    "MatMulNBits": _few_bits,
    "Attention": _attention("fp32"),
    "QAttention": _attention("int8"),
    "MultiHeadAttention": _separate_attention,
}
