"""Refuse ONNX graphs that point at other files, before anything follows the pointer. No library is needed.

ONNX Runtime refuses external data of a graph read from bytes, but not (1.31) that of sparse tensors, which it reads
from the working folder. So the protobuf message is walked here, as far as tensors can lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from parsimony.errors import InfrastructureError

# Field numbers of onnx.proto: which fields of a message hold which kind of message.
_INSIDE = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5


def refuse_external_data(model: bytes, path: Path) -> None:
    """Raise InfrastructureError when a graph, read from `path`, keeps weights in other files or is no ONNX graph."""
    try:
        outside = holds_external_data(model)
    except ValueError as error:
        raise InfrastructureError(f"{path} is not an ONNX graph: {error}") from error
    if outside:
        raise InfrastructureError(f"{path} keeps weights in other files, which are never read; export it as one file")


def holds_external_data(model: bytes) -> bool:
    """Say whether a tensor anywhere in this graph keeps its values in another file.

    Raises ValueError when the bytes are no ONNX message; ONNX Runtime's own format is none.
    """
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        for number, value in _fields(message):
            if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
                return True
            if number in _INSIDE[kind] and isinstance(value, memoryview):
                waiting.append((_INSIDE[kind][number], value))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number of each field and its value: a number, or the bytes of what has a length."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            value, at = _number(message, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _number(message, at)
        elif kind in (_LONG, _SHORT):
            size = 8 if kind == _LONG else 4
        else:
            raise ValueError(f"found field type {kind}, expected the ONNX format; export the graph again")
        if at + size > len(message):
            raise ValueError("the ONNX message ends early; export the graph again")
        yield tag >> 3, message[at : at + size]
        at += size


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """Return the variable-length number at this position, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    raise ValueError("the ONNX message ends early; export the graph again")
