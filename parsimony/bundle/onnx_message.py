"""The ONNX message, parsed strictly, field by field: whatever two parsers could read differently is refused. Needs no library.

The parser of ONNX Runtime drops bits above 32 of a tag and the first of two values, so a field can be hidden from a parser that keeps them.
mlflow/bundle_model.py repeats this module word for word; a test holds both equal.
"""

from __future__ import annotations

from typing import Any

MOST_FIELDS, MOST_PARTS, MOST_DIMENSIONS = 2_000_000, 200_000, 64
# onnx.proto: what each field of a message holds. `*` repeats; `bytes`, `float` and `double` are passed over, `text` and `int` kept,
# `count` counts numbers; every other word is a message.
FIELDS: dict[str, dict[int, str]] = {
    "model": {
        1: "int", 2: "bytes", 3: "bytes", 4: "bytes", 5: "int", 6: "bytes", 7: "graph", 8: "*opset", 14: "*pair",
        20: "*training", 25: "*function",
    },
    "opset": {1: "text", 2: "int"},
    "pair": {1: "bytes", 2: "bytes"},
    "training": {1: "graph", 2: "graph", 3: "*pair", 4: "*pair"},
    "function": {
        1: "bytes", 4: "*bytes", 5: "*bytes", 6: "*bytes", 7: "*node", 8: "bytes", 9: "*opset", 10: "bytes", 11: "*attribute",
        12: "*value", 13: "bytes", 14: "*pair",
    },
    "graph": {
        1: "*node", 2: "bytes", 5: "*tensor", 10: "bytes", 11: "*value", 12: "*value", 13: "*value", 14: "*annotation",
        15: "*sparse", 16: "*pair",
    },
    "annotation": {1: "bytes", 2: "*pair"},
    "node": {
        1: "*text", 2: "*text", 3: "bytes", 4: "text", 5: "*attribute", 6: "bytes", 7: "text", 8: "bytes", 9: "*pair",
    },
    "attribute": {
        1: "bytes", 2: "float", 3: "int", 4: "bytes", 5: "tensor", 6: "graph", 7: "*float", 8: "*count", 9: "*bytes", 10: "*tensor",
        11: "*graph", 13: "bytes", 14: "type", 15: "*type", 20: "int", 21: "bytes", 22: "sparse", 23: "*sparse",
    },
    "tensor": {
        1: "*int", 2: "int", 4: "*float", 5: "*count", 6: "*bytes", 7: "*count", 8: "text", 9: "raw", 10: "*double", 11: "*count",
        12: "bytes", 13: "*pair", 14: "int", 16: "*pair",
    },
    "sparse": {1: "tensor", 2: "tensor", 3: "*int"},
    "value": {1: "bytes", 2: "type", 3: "bytes", 4: "*pair"},
    "type": {1: "dense", 6: "bytes"},
    "dense": {1: "int", 2: "shape"},
    "shape": {1: "*dimension"},
    "dimension": {1: "int", 2: "bytes", 3: "bytes"},
}  # fmt: skip
_WIRES = {"int": 0, "count": 0, "double": 1, "float": 5}
_WIDTHS = {1: 8, 5: 4}
BYTES = 2
_CONTINUED = bytes(range(128, 256))
# The same, as it is used: the word, whether it repeats, and how its values are written.
_RULES = {
    kind: {
        number: (what.lstrip("*"), what[0] == "*", _WIRES.get(what.lstrip("*"), BYTES))
        for number, what in fields.items()
    }
    for kind, fields in FIELDS.items()
}


def values_of(kind: str, message: memoryview) -> tuple[dict[int, list[Any]], int]:
    """Return the values of each field of one message, and how many there are.

    Raises ValueError for what two parsers could read differently.
    """
    rules, values, at, end, read = _RULES[kind], dict[int, list[Any]](), 0, len(message), 0
    while at < end:
        tag, at = number_at(message, at)
        number = tag >> 3
        if (rule := rules.get(number)) is None:
            raise ValueError(f"found field {number} in a {kind}, which is not known; export the graph again")
        kept = values.get(number)
        if kept is None:
            kept = values[number] = []
        elif not rule[1]:
            raise ValueError(f"found field {number} of a {kind} twice; export the graph again")
        at = _value(rule, tag & 7, message, at, kept)
        read += 1
        if read > MOST_FIELDS or len(kept) > (MOST_DIMENSIONS if rule[0] == "int" else MOST_PARTS):
            raise ValueError(f"found too many values of field {number} of a {kind}; export the graph again")
    return values, read


def _value(rule: tuple[str, bool, int], wire: int, message: memoryview, at: int, kept: list[Any]) -> int:
    """Keep one value of a field, a count of numbers, or nothing; return the position behind it."""
    word, repeats, own = rule
    if wire != own and not (wire == BYTES and repeats):
        raise ValueError(f"found field type {wire}, expected {own}, as in the ONNX format; export the graph again")
    if wire == 0:
        value, at = number_at(message, at)
        if word == "int":
            kept.append(value)
        else:
            _count(kept, 1)
        return at
    size, at = (_WIDTHS[wire], at) if wire in _WIDTHS else number_at(message, at)
    if at + size > len(message):
        raise ValueError("the ONNX message ends early; export the graph again")
    part = message[at : at + size]
    if word in FIELDS:
        kept.append(part)
    elif word == "text":
        kept.append(bytes(part))
    elif word == "int":
        _unpack(part, kept)
    else:
        _count(kept, _counted(word, part, size, packed=wire == BYTES))
    return at + size


def _counted(word: str, part: memoryview, size: int, *, packed: bool) -> int:
    """Return how many numbers lie in a field, the bytes of raw values, 1 for a text."""
    if word == "raw":
        return size
    if word == "count":
        return len(bytes(part).translate(None, _CONTINUED))
    width = _WIDTHS.get(_WIRES.get(word, BYTES))
    return size // width if width and packed else 1


def _count(kept: list[Any], more: int) -> None:
    kept[:] = [kept[0] + more if kept else more]


def _unpack(part: memoryview, kept: list[Any]) -> None:
    at = 0
    while at < len(part) and len(kept) <= MOST_DIMENSIONS:
        value, at = number_at(part, at)
        kept.append(value)


def number_at(message: memoryview, at: int) -> tuple[int, int]:
    """Return the variable-length number at this position, and the position behind it; it may not be longer than needed."""
    if at < len(message) and message[at] < 128:
        return message[at], at + 1
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            if byte == 0 or value >= 1 << 64:
                raise ValueError("found a number in more bytes than it needs; export the graph again")
            return value, at
    raise ValueError("the ONNX message ends early; export the graph again")


def integers_in(parts: dict[int, list[Any]], number: int) -> list[int]:
    """Return the integers of a field, each by itself or many together."""
    values = list[int]()
    for part in parts.get(number, ()):
        if isinstance(part, int):
            values.append(signed(part))
            continue
        at = 0
        while at < len(part):
            value, at = number_at(memoryview(part), at)
            values.append(signed(value))
    return values


def parts_of(source: bytes | memoryview) -> dict[int, list[Any]]:
    """Return the values of a message that was read before: numbers, and the bytes of everything else."""
    message, parts, at = memoryview(source), dict[int, list[Any]](), 0
    while at < len(message):
        tag, at = number_at(message, at)
        value, at = number_at(message, at) if tag & 7 in (0, BYTES) else (_WIDTHS[tag & 7], at)
        kept = parts.setdefault(tag >> 3, [])
        if tag & 7:
            kept.append(bytes(message[at : at + value]))
            at += value
        else:
            kept.append(value)
    return parts


def signed(value: int) -> int:
    """Return a number of 64 bits as protobuf means it: the upper half is negative."""
    return value - (1 << 64) if value >= 1 << 63 else value
