"""Store a graph's weights in 4 bits, and unpack them when the graph is loaded.

A weight becomes whole numbers from -8 to 7 and one scale a block. The numbers of all weights lie in one constant of bytes, two in a
byte; ordinary operators take them apart and multiply them with their scales. ONNX Runtime folds operators on constants when a session
starts, so that at run time there is nothing left to unpack: the file is as small as 4 bits allow, and predictions are as fast as if the
weight had been stored as they use it (docs/trials/quantisation.md). ONNX's own type of 4-bit numbers would ask for ONNX Runtime 1.23;
bytes and shifts are read by every version since 1.17.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parsimony.graphs import rewrite

_LARGEST_BLOCK, _LEAST_BLOCK = 64, 16
LOWEST, HIGHEST = -8, 7
_HALF = 4  # bits


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
    return rows * width / 2 + 2 * rows * (width // block_of(width))


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
    tables = {name: pack(numpy_helper.to_array(constants[name])) for name in names}
    nodes = _unpacked(model, "tables", tables, "whole")
    for name in tables:
        shape = tuple(constants[name].dims)
        model.graph.initializer.remove(constants[name])
        nodes.append(_shaped(model, f"{name}.whole", name, shape))
    _put_first(model, nodes)


def store_products(model: onnx.ModelProto, matrices: Mapping[str, Packed]) -> None:
    """Store 8-bit matrices of a graph in 4 bits, unpacked at load.

    matrices: what `round_products` returned for the fp32 matrices, by name without `_quantized`.
    """
    constants = rewrite.initializers(model)
    nodes = _unpacked(model, "products", matrices, "blocks")
    for name, packed in matrices.items():
        model.graph.initializer.remove(constants[f"{name}_quantized"])
        nodes += [
            _shaped(model, f"{name}.blocks", f"{name}.rows", packed.weights.shape),
            helper.make_node("Transpose", [f"{name}.rows"], [name], perm=[1, 0]),
            helper.make_node(
                "QuantizeLinear", [name, f"{name}_scale", f"{name}_zero_point"], [f"{name}_quantized"], axis=1
            ),
        ]
    _put_first(model, nodes)


def _unpacked(model: onnx.ModelProto, group: str, weights: Mapping[str, Packed], end: str) -> list[onnx.NodeProto]:
    """Add the constants of packed weights, and return the nodes that multiply them: `NAME.end`, fp32 [rows x blocks, block]."""
    if not weights:
        return []
    numbers = [packed.numbers for packed in weights.values()]
    scales = np.concatenate([packed.scales.ravel() for packed in weights.values()])
    _add(model, f"{group}.4bit", _two_in_a_byte(np.concatenate([each.ravel() for each in numbers])))
    _add(model, f"{group}.half", np.array(_HALF, dtype=np.uint8))
    _add(model, f"{group}.zero", np.array(-LOWEST, dtype=np.float32))
    _add(model, f"{group}.scale", scales)
    nodes = [
        helper.make_node("BitShift", [f"{group}.4bit", f"{group}.half"], [f"{group}.up"], direction="LEFT"),
        helper.make_node("BitShift", [f"{group}.up", f"{group}.half"], [f"{group}.lower"], direction="RIGHT"),
        helper.make_node("BitShift", [f"{group}.4bit", f"{group}.half"], [f"{group}.upper"], direction="RIGHT"),
        helper.make_node("Concat", [f"{group}.lower", f"{group}.upper"], [f"{group}.all"], axis=0),
        helper.make_node("Cast", [f"{group}.scale"], [f"{group}.scales"], to=onnx.TensorProto.FLOAT),
        _cut(model, f"{group}.all", {f"{name}.4bit": packed.numbers.size for name, packed in weights.items()}),
        _cut(model, f"{group}.scales", {f"{name}.scale": packed.scales.size for name, packed in weights.items()}),
    ]
    for name, packed in weights.items():
        count, block = packed.scales.size, packed.numbers.shape[-1]
        nodes += [
            helper.make_node("Cast", [f"{name}.4bit"], [f"{name}.fp32"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Sub", [f"{name}.fp32", f"{group}.zero"], [f"{name}.signed"]),
            _shaped(model, f"{name}.signed", f"{name}.numbers", (count, block)),
            _shaped(model, f"{name}.scale", f"{name}.column", (count, 1)),
            helper.make_node("Mul", [f"{name}.numbers", f"{name}.column"], [f"{name}.{end}"]),
        ]
    return nodes


def _two_in_a_byte(numbers: np.ndarray) -> np.ndarray:
    """Return 4-bit numbers, counted from the lowest one, as bytes: the first half of them in the lower bits, the second in the upper."""
    counted = (numbers.astype(np.int16) - LOWEST).astype(np.uint8)
    counted = np.append(counted, np.zeros(len(counted) % 2, np.uint8))
    lower, upper = np.split(counted, 2)
    whole: np.ndarray = lower | upper << _HALF
    return whole


def _cut(model: onnx.ModelProto, source: str, sizes: Mapping[str, int]) -> onnx.NodeProto:
    """Return the node that cuts a list into parts of these sizes; what is left over of the 4-bit numbers is a part, too."""
    whole = sum(sizes.values())
    parts = {**sizes, **({f"{source}.rest": 1} if source.endswith(".all") and whole % 2 else {})}
    _add(model, f"{source}.sizes", np.array(list(parts.values()), dtype=np.int64))
    return helper.make_node("Split", [source, f"{source}.sizes"], list(parts), axis=0)


def _add(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(values, name))


def _shaped(model: onnx.ModelProto, source: str, result: str, shape: tuple[int, ...]) -> onnx.NodeProto:
    """Return the node that gives `source` this shape; weights of one shape share the constant that says it."""
    name = f"shape.{'x'.join(map(str, shape))}"
    if name not in rewrite.initializers(model):
        _add(model, name, np.array(shape, dtype=np.int64))
    return helper.make_node("Reshape", [source, name], [result])


def _put_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes that read constants only before all others."""
    later = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend((*nodes, *later))
