"""Which version of ONNX Runtime a graph asks for at least."""

from __future__ import annotations

from parsimony.bundle.onnx_message import integers_in, parts_of

# Graphs of these versions of the format, which are ours, run on 1.17.3, 1.18.1, 1.22.1 and 1.32.0 (tests/compression/test_old_runtimes.py);
# ONNX's own 4-bit numbers, in which bundles of format 1 keep weights, are newer and run from 1.23 on.
_OPSET, _IR_VERSION, _OLDEST, _NEWER = 20, 9, "1.17", "1.23"
_IR_FIELD, _OPSET_FIELD, _DOMAIN, _VERSION = 1, 8, 1, 2


def least_version(model: bytes) -> str:
    """Return the least version of ONNX Runtime that runs a graph: "1.17", or "1.23" where the graph is of a newer format."""
    parts = parts_of(model)
    imports = [parts_of(each) for each in parts.get(_OPSET_FIELD, ())]
    standard = [each for each in imports if b"".join(map(bytes, each.get(_DOMAIN, ()))) in (b"", b"ai.onnx")]
    opset = max((version for each in standard for version in integers_in(each, _VERSION)), default=0)
    return _OLDEST if opset <= _OPSET and max(integers_in(parts, _IR_FIELD), default=0) <= _IR_VERSION else _NEWER
