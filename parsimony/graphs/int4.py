"""Store a graph's weights in 4 bits, and unpack them when the graph is loaded.

A weight becomes a constant of whole numbers from -8 to 7, two in a byte, and one scale a block. Ordinary operators separate the
numbers and multiply them by the scale; ONNX Runtime folds operators on constants when a session starts, so that at run time there is nothing left to
unpack: the file is as small as 4 bits allow, and predictions are as fast as if the weight had been stored as they use it
(docs/trials/quantisation.md). ONNX's own type of 4-bit numbers would ask for ONNX Runtime 1.23; bytes and shifts are read by every
version since 1.17.

The runtime keeps every result of folding until it has folded all, so what has four bytes a weight is made twice only, and all that is
shaped, moved or put together has one (docs/trials/serving.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parsimony.graphs import rewrite

_LARGEST_BLOCK, _LEAST_BLOCK = 64, 16
LOWEST, HIGHEST = -8, 7
# Each half of a byte is moved to the upper four bits, where the sign of a byte is: what is read there is 16 times the number.
_SHARED: dict[str, np.ndarray] = {
    "4bit.half": np.array(4, dtype=np.uint8),
    "4bit.upper": np.array(0xF0, dtype=np.uint8),
    "4bit.sixteenth": np.array(1 / 16, dtype=np.float32),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Weights in blocks of 4-bit numbers: int8 [rows, blocks, block], float16 scales [rows, blocks, 1]."""

    numbers: np.ndarray
    scales: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """The weights that this stands for, float32 [rows, blocks x block]."""
        weights: np.ndarray = self.numbers * self.scales.astype(np.float32)
        return weights.reshape(len(weights), -1)


def block_of(width: int) -> int:
    """Return how many of `width` weights in a row share a scale: at most 64, all of them where nothing divides them."""
    return next((size for size in range(_LARGEST_BLOCK, _LEAST_BLOCK - 1, -1) if width % size == 0), width)


def packed_bytes(rows: int, width: int) -> float:
    """Return the bytes of so many rows of 4-bit weights with their scales."""
    return math.ceil(rows / 2) * width + 2 * rows * (width // block_of(width))


def pack(weights: np.ndarray) -> Packed:
    """Round float32 weights [rows, width] to 4 bits; what was rounded once stays as it is.

    The largest weight of a block, whatever its sign, becomes -8, the number that is farthest from zero. `training.qat`
    does the same to tensors in training.
    """
    blocks = weights.reshape(len(weights), -1, block_of(weights.shape[1]))
    most, least = blocks.max(-1, keepdims=True), blocks.min(-1, keepdims=True)
    scales = (np.where(most > -least, most, least) / LOWEST).astype(np.float16)
    divisor = np.where(scales == 0, 1, scales).astype(np.float32)
    numbers = np.clip(np.rint(blocks / divisor), LOWEST, HIGHEST).astype(np.int8)
    return Packed(numbers=numbers, scales=scales)


def round_products(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, Packed]:
    """Round matrices [inputs, outputs] of the graph to 4 bits along their inputs, still stored in fp32.

    Returns what to store them as, by name.
    """
    constants = rewrite.initializers(model)
    matrices = {name: numpy_helper.to_array(constants[name]) for name in names}
    packed = {name: pack(np.ascontiguousarray(matrix.T)) for name, matrix in matrices.items()}
    for name, rounded in packed.items():
        rewrite.replace_constant(model, name, rounded.weights.T)
    return packed


def store_tables(model: onnx.ModelProto, names: Iterable[str]) -> None:
    """Store fp32 tables [rows, width] of the graph in 4 bits along their rows, unpacked at load."""
    constants = rewrite.initializers(model)
    nodes = []
    for name in names:
        packed, shape = pack(numpy_helper.to_array(constants[name])), tuple(constants[name].dims)
        model.graph.initializer.remove(constants[name])
        nodes += [*_unpacked(model, name, packed, f"{name}.blocks"), _shaped(model, f"{name}.blocks", name, shape)]
    _put_first(model, nodes)


def store_products(model: onnx.ModelProto, matrices: Mapping[str, Packed]) -> None:
    """Store 8-bit matrices of a graph in 4 bits, unpacked at load.

    matrices: what `round_products` returned for the fp32 matrices, by name without `_quantized`.
    """
    constants = rewrite.initializers(model)
    nodes = []
    for name, packed in matrices.items():
        model.graph.initializer.remove(constants[f"{name}_quantized"])
        eight, scale = f"{name}.8bit", (f"{name}_scale", f"{name}_zero_point")
        nodes += [
            *_unpacked(model, name, packed, f"{name}.blocks"),
            helper.make_node("QuantizeLinear", [f"{name}.blocks", *scale], [eight], axis=0),
            _shaped(model, eight, f"{name}.rows", (len(packed.numbers), packed.numbers[0].size)),
            helper.make_node("Transpose", [f"{name}.rows"], [f"{name}_quantized"], perm=[1, 0]),
        ]
    _put_first(model, nodes)


def _unpacked(model: onnx.ModelProto, name: str, packed: Packed, result: str) -> list[onnx.NodeProto]:
    """Add the constants of a packed weight, and return the nodes that multiply them: fp32 [rows, blocks, block].

    The rows of the first half lie in the lower bits, those of the second in the upper.
    """
    numbers, scale, rows = f"{name}.4bit", f"{name}.scale", len(packed.numbers)
    _add(model, {numbers: _two_in_a_byte(packed.numbers), scale: packed.scales, **_SHARED})
    whole = f"{name}.16" if rows % 2 == 0 else f"{name}.more"
    nodes = [
        helper.make_node("BitShift", [numbers, "4bit.half"], [f"{name}.first"], direction="LEFT"),
        helper.make_node("BitwiseAnd", [numbers, "4bit.upper"], [f"{name}.second"]),
        helper.make_node("Concat", [f"{name}.first", f"{name}.second"], [f"{name}.bytes"], axis=0),
        helper.make_node("Cast", [f"{name}.bytes"], [whole], to=onnx.TensorProto.INT8),
        helper.make_node("Cast", [f"{name}.16"], [f"{name}.fp32"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Cast", [scale], [f"{scale}.fp32"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{scale}.fp32", "4bit.sixteenth"], [f"{scale}.16th"]),
        helper.make_node("Mul", [f"{name}.fp32", f"{scale}.16th"], [result]),
    ]
    if rows % 2:
        _add(model, {f"{name}.start": np.zeros(1, dtype=np.int64), f"{name}.end": np.array([rows], dtype=np.int64)})
        nodes.insert(4, helper.make_node("Slice", [whole, f"{name}.start", f"{name}.end"], [f"{name}.16"]))
    return nodes


def _two_in_a_byte(numbers: np.ndarray) -> np.ndarray:
    """Return 4-bit numbers as bytes, the first half of the rows in the lower bits, the second in the upper; zeros where a row is missing."""
    bits = numbers.view(np.uint8) & 0xF
    lower, upper = np.split(np.concatenate((bits, bits[:0] if len(bits) % 2 == 0 else 0 * bits[:1])), 2)
    whole: np.ndarray = lower | upper << 4
    return whole


def _add(model: onnx.ModelProto, constants: Mapping[str, np.ndarray]) -> None:
    """Add constants to the graph; those that are there already are shared."""
    there = rewrite.initializers(model)
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items() if name not in there
    )


def _shaped(model: onnx.ModelProto, source: str, result: str, shape: tuple[int, ...]) -> onnx.NodeProto:
    """Return the node that gives `source` this shape; weights of one shape share the constant that says it."""
    name = f"shape.{'x'.join(map(str, shape))}"
    _add(model, {name: np.array(shape, dtype=np.int64)})
    return helper.make_node("Reshape", [source, name], [result])


def _put_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes that read constants only before all others."""
    later = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend((*nodes, *later))
