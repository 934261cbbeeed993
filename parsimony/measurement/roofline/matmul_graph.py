"""Write a graph of one matrix product as ONNX bytes, with the standard library alone.

Field numbers are those of onnx.proto; the encoding is that of protocol buffers (a tag, then a number or a length with
bytes). `bundle.external_data` reads the same format.
"""

from __future__ import annotations

import numpy as np

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}
_IR_VERSION, _OPSET = 9, 17


def product(weights: np.ndarray, rows: np.ndarray) -> bytes:
    """Return a model from `rows` to `result` = rows x weights, the weights constant: MatMul, or MatMulInteger of int8.

    weights: float32 or int8 [inner, columns]; rows: float32 or uint8 [rows, inner].
    """
    kind = "MatMul" if weights.dtype == np.float32 else "MatMulInteger"
    result = "float32" if weights.dtype == np.float32 else "int32"
    node = _text(1, "rows") + _text(1, "weights") + _text(2, "result") + _text(4, kind)
    graph = (
        _bytes(1, node)
        + _text(2, "product")
        + _bytes(5, _tensor("weights", weights))
        + _bytes(11, _value("rows", rows.dtype.name, rows.shape))
        + _bytes(12, _value("result", result, (rows.shape[0], weights.shape[1])))
    )
    return _field(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _text(1, "") + _field(2, _OPSET))


def _tensor(name: str, array: np.ndarray) -> bytes:
    sizes = b"".join(_field(1, size) for size in array.shape)
    return sizes + _field(2, _TYPES[array.dtype.name]) + _text(8, name) + _bytes(9, array.tobytes())


def _value(name: str, kind: str, shape: tuple[int, ...]) -> bytes:
    sizes = b"".join(_bytes(1, _field(1, size)) for size in shape)
    tensor = _field(1, _TYPES[kind]) + _bytes(2, sizes)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first; a set eighth bit says that more follow."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
