"""Store a graph's weights in 4 bits, and unpack them when the graph is loaded.

A weight becomes a constant of whole numbers from -8 to 7 and one scale a block. Ordinary operators multiply the two; ONNX
Runtime folds operators on constants when a session starts, so that at run time there is nothing left to unpack: the file is
as small as 4 bits allow, and predictions are as fast as if the weight had been stored as they use it (docs/trials/quantisation.md).
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
_OPSET, _IR_VERSION = 21, 10  # the first with 4-bit numbers


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
    nodes = []
    for name in names:
        table = numpy_helper.to_array(constants[name])
        model.graph.initializer.remove(constants[name])
        nodes += _unpacked(model, name, pack(table), f"{name}.whole")
        nodes.append(_shaped(model, f"{name}.whole", name, table.shape))
    _put_first(model, nodes)


def store_products(model: onnx.ModelProto, matrices: Mapping[str, Packed]) -> None:
    """Store 8-bit matrices of a graph in 4 bits, unpacked at load.

    matrices: what `round_products` returned for the fp32 matrices, by name without `_quantized`.
    """
    constants = rewrite.initializers(model)
    nodes = []
    for name, packed in matrices.items():
        model.graph.initializer.remove(constants[f"{name}_quantized"])
        nodes += _unpacked(model, name, packed, f"{name}.blocks")
        nodes += [
            _shaped(model, f"{name}.blocks", f"{name}.rows", packed.weights.shape),
            helper.make_node("Transpose", [f"{name}.rows"], [name], perm=[1, 0]),
            helper.make_node(
                "QuantizeLinear", [name, f"{name}_scale", f"{name}_zero_point"], [f"{name}_quantized"], axis=1
            ),
        ]
    _put_first(model, nodes)


def _unpacked(model: onnx.ModelProto, name: str, packed: Packed, result: str) -> list[onnx.NodeProto]:
    """Add the constants of a packed weight, and return the nodes that multiply them: fp32 [rows, blocks, block]."""
    numbers, scales = f"{name}.4bit", f"{name}.scale"
    model.graph.initializer.extend((_four_bit(packed.numbers, numbers), numpy_helper.from_array(packed.scales, scales)))
    return [
        helper.make_node("Cast", [numbers], [f"{numbers}.fp32"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Cast", [scales], [f"{scales}.fp32"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{numbers}.fp32", f"{scales}.fp32"], [result]),
    ]


def _four_bit(numbers: np.ndarray, name: str) -> onnx.TensorProto:
    """Return a tensor of 4-bit numbers, two in a byte, the first in its lower half."""
    low = (numbers.ravel() & 0xF).astype(np.uint8)
    low = np.append(low, np.zeros(len(low) % 2, np.uint8))
    raw = low[0::2] | low[1::2] << 4
    return onnx.TensorProto(name=name, data_type=onnx.TensorProto.INT4, dims=numbers.shape, raw_data=raw.tobytes())


def _shaped(model: onnx.ModelProto, source: str, result: str, shape: tuple[int, ...]) -> onnx.NodeProto:
    """Return the node that gives `source` this shape."""
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, dtype=np.int64), f"{result}.shape"))
    return helper.make_node("Reshape", [source, f"{result}.shape"], [result])


def _put_first(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put nodes that read constants only before all others, and raise the graph to the version that they need."""
    later = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend((*nodes, *later))
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = max(entry.version, _OPSET)
    model.ir_version = max(model.ir_version, _IR_VERSION)
