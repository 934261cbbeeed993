"""The model code that MLflow stores with a registered version: raw text in, label out.

MLflow runs this file by itself, far from Parsimony, so it repeats the few lines that read a bundle, and whole modules that check one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The wheel of ONNX Runtime sends usage events unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import mlflow.models
import mlflow.pyfunc
import numpy as np
import onnxruntime
import tokenizers
from mlflow.types.type_hints import TypeFromExample

MAX_CHARS = 20_000  # a longer text is cut before it reaches the tokenizer, which would keep every overflowing piece


class BundleModel(mlflow.pyfunc.PythonModel):
    """Predict with the bundle stored beside this file; one text at a time, the shape in which it was judged."""

    def load_context(self, context: Any) -> None:
        """Read the bundle: each file from the bytes that its manifest vouches for, checked before a library sees it; one CPU thread."""
        folder = Path(context.artifacts["bundle"])
        manifest = json.loads(_read(folder / "manifest.json"))
        model = _verified(folder, manifest, "model.onnx")
        if problems := problems_of(model):
            raise ValueError(f"model.onnx {OUTSIDE if OUTSIDE in problems else problems[0]}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.load_model_format", "ONNX")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.labels = json.loads(_verified(folder, manifest, "labels.json"))
        self.averaged = manifest.get("windows", "first") == "mean"
        self.tokenizer = None
        if manifest["input"] == "tokens":
            text = check_tokenizer(_verified(folder, manifest, "tokenizer.json"))
            self.tokenizer = _without_panic(lambda: tokenizers.Tokenizer.from_str(text))

    # With `list[str]` as the hint, MLflow refuses a pandas Series and every HTTP body but {"inputs": [...]}.
    def predict(self, context: Any, model_input: TypeFromExample, params: dict[str, Any] | None = None) -> list[str]:
        """Return the label of each text.

        Takes a list of texts, a Series, an array, or a DataFrame of one column; TypeError for anything but text, ValueError where the
        logits are not finite.
        """
        texts = np.asarray(model_input, dtype=object).ravel().tolist()
        return [self._label(text) for text in texts]

    def _label(self, text: object) -> str:
        if not isinstance(text, str):
            raise TypeError(f"found {text!r}, expected a text; drop missing values before you predict")
        windows = self._feeds(text[:MAX_CHARS])
        rows = [self.session.run(["logits"], window)[0][0] for window in windows]
        logits = np.average(rows, axis=0, weights=[window[self.inputs[0]].shape[-1] or 1 for window in windows])
        if not np.isfinite(logits).all():
            raise ValueError("the graph gives logits that are not finite, so there is no label; build the bundle again")
        return str(self.labels[int(np.argmax(logits))])

    def _feeds(self, text: str) -> list[dict[str, Any]]:
        """Return the inputs of each window that is read: the first, or all where the bundle averages them."""
        if self.tokenizer is None:
            return [{"text": np.array([text], dtype=object)}]
        encoding = _without_panic(lambda: self.tokenizer.encode(text))
        return [self._inputs(window) for window in (encoding, *(encoding.overflowing if self.averaged else ()))]

    def _inputs(self, encoding: tokenizers.Encoding) -> dict[str, Any]:
        values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
        return {name: np.array([values[name]], dtype=np.int64) for name in self.inputs}


def _verified(folder: Path, manifest: dict[str, Any], name: str) -> bytes:
    """Return a file's content; ValueError when the manifest does not vouch for it."""
    content = _read(folder / name)
    listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    if listed.get(name) != hashlib.sha256(content).hexdigest():
        raise ValueError(f"{name} is not the file that manifest.json lists; register the model again")
    return content


def _read(path: Path) -> bytes:
    """Return the content of a regular file; ValueError for a link and everything else."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    about = os.fstat(number)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(number)
        raise ValueError(f"{path.name} is a link or no regular file; it is not read")
    with os.fdopen(number, "rb") as stream:
        return stream.read()


def _without_panic(step: Callable[[], Any]) -> Any:
    """Do what the tokenizers library does; raise ValueError where it panics, which is no Exception in its eyes."""
    try:
        return step()
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the tokenizer broke ({str(error)[:200]}); register the model again") from error


# === parsimony/bundle/onnx_message.py, word for word ===

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


# === end of parsimony/bundle/onnx_message.py ===


# === parsimony/bundle/graph_check.py, word for word ===

OUTSIDE = "keeps weights in other files, which are never read; export it as one file"
MOST_GRAPH_BYTES = 2**31 - 1  # the length of a protobuf message
MOST_NODES, MOST_MESSAGES = 50_000, 500_000
MOST_NESTED = 24  # a graph inside a node lies three deeper
MOST_ELEMENTS = 2**26  # of a tensor that a few bytes describe: a sparse one, one that an operator fills
OPSETS = {"": (7, 30), "ai.onnx": (7, 30), "ai.onnx.ml": (1, 10), "com.microsoft": (1, 1)}
# ONNX Runtime's optimisers import these as well, and no operator of them is run here.
IDLE_DOMAINS = {
    "ai.onnx.preview", "ai.onnx.preview.training", "ai.onnx.training", "com.microsoft.experimental",
    "com.microsoft.nchwc", "com.ms.internal.nhwc", "org.pytorch.aten",
}  # fmt: skip
# Not here: what runs a graph of its own (If, Loop, Scan), draws at random, or holds sequences, maps, images and trees.
_STANDARD = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization BitShift BitwiseAnd BitwiseNot
BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh
CumSum DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU
Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GroupNormalization
HardSigmoid HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
LogSoftmax LpNormalization LpPool MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonZero Not
OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape ReverseSequence
RotaryEmbedding Round Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign SimplifiedLayerNormalization Sin Sinh Size
Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish SwiGLU Tan
Tanh TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where Xor
"""
_LEARNING = """
ArrayFeatureExtractor Binarizer CategoryMapper FeatureVectorizer Imputer LabelEncoder LinearClassifier LinearRegressor Normalizer
OneHotEncoder Scaler
"""
_MICROSOFT = """
Attention BiasAdd BiasGelu BiasSplitGelu DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu
FusedGemm FusedMatMul FusedMatMulActivation GatedRelativePositionBias GatherBlockQuantized GatherND Gelu GemmFastGelu
GroupQueryAttention LongformerAttention MatMulBnb4 MatMulFpQ4 MatMulInteger16 MatMulIntegerToFloat MatMulNBits MultiHeadAttention
PackedAttention PackedMultiHeadAttention QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearConcat QLinearLeakyRelu
QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QuantizeLinear QuickGelu RelativePositionBias
RemovePadding RestorePadding RotaryEmbedding SkipLayerNormalization SkipSimplifiedLayerNormalization SparseAttention Trilu Unique
"""
OPERATORS = {
    "": frozenset(_STANDARD.split()),
    "ai.onnx": frozenset(_STANDARD.split()),
    "ai.onnx.ml": frozenset(_LEARNING.split()),
    "com.microsoft": frozenset(_MICROSOFT.split()),
}
# Operators that fill a tensor, and which of their inputs says how large it is.
_FILLS = {"ConstantOfShape": (0,), "Expand": (1,), "OneHot": (1,), "Pad": (1,), "Range": (0, 1, 2), "Tile": (1,)}

# By the number of a tensor's type: the field that holds its values, how many of them an element takes, and its bits.
_FLOATS, _INTS, _STRINGS, _LONGS, _DOUBLES, _UNSIGNED, _RAW = 4, 5, 6, 7, 10, 11, 9
_TYPES = {
    1: (_FLOATS, 1, 32), 2: (_INTS, 1, 8), 3: (_INTS, 1, 8), 4: (_INTS, 1, 16), 5: (_INTS, 1, 16), 6: (_INTS, 1, 32),
    7: (_LONGS, 1, 64), 8: (_STRINGS, 1, 0), 9: (_INTS, 1, 8), 10: (_INTS, 1, 16), 11: (_DOUBLES, 1, 64), 12: (_UNSIGNED, 1, 32),
    13: (_UNSIGNED, 1, 64), 14: (_FLOATS, 2, 64), 15: (_DOUBLES, 2, 128), 16: (_INTS, 1, 16), 17: (_INTS, 1, 8), 18: (_INTS, 1, 8),
    19: (_INTS, 1, 8), 20: (_INTS, 1, 8), 21: (_INTS, 1, 4), 22: (_INTS, 1, 4), 23: (_INTS, 1, 4), 24: (_INTS, 1, 8),
    25: (_INTS, 1, 2), 26: (_INTS, 1, 2),
}  # fmt: skip
_INT32, _INT64 = 6, 7
_SMALL = 4096  # bytes of a weight that may be a size


@dataclass(slots=True)
class _Walk:
    """What was read so far: how much, what is refused, and what an operator that fills a tensor may take its size from."""

    fields: int = 0
    messages: int = 0
    nodes: int = 0
    problems: list[str] = field(default_factory=list)
    weights: list[memoryview] = field(default_factory=list)
    constants: dict[bytes, memoryview] = field(default_factory=dict)
    fills: list[tuple[str, bytes]] = field(default_factory=list)


def problems_of(model: bytes) -> list[str]:
    """Return why a graph is refused, `OUTSIDE` among them where it points at other files; nothing when it may be opened.

    Raises ValueError when the bytes are no ONNX message; ONNX Runtime's own format is none.
    """
    if len(model) > MOST_GRAPH_BYTES:
        raise ValueError(f"found {len(model):,} bytes, expected at most {MOST_GRAPH_BYTES:,}")
    walk, waiting = _Walk(), [("model", memoryview(model), 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        walk.messages += 1
        values, read = values_of(kind, message)
        walk.fields += read
        if walk.messages > MOST_MESSAGES or walk.fields > MOST_FIELDS or depth > MOST_NESTED:
            raise ValueError("found more parts than a graph of language has; export the graph again")
        _note(kind, values, walk)
        for number, inside in FIELDS[kind].items():
            if number in values and inside.lstrip("*") in FIELDS:
                waiting += [(inside.lstrip("*"), part, depth + 1) for part in values[number]]
        if kind == "model" and 7 not in values:
            raise ValueError("found no graph in it; export the graph again")
    _note_fills(walk)
    return walk.problems


# --- what it says ---------------------------------------------------------------------------------


def _note(kind: str, values: dict[int, list[Any]], walk: _Walk) -> None:
    """Note what is refused of one message."""
    if kind == "tensor":
        _note_tensor(values, walk)
    elif kind == "sparse" and math.prod(map(signed, values.get(3, ()))) > MOST_ELEMENTS:
        walk.problems.append(f"holds a sparse tensor of more than {MOST_ELEMENTS:,} elements")
    elif kind == "node":
        _note_node(values, walk)
    elif kind == "graph":
        walk.weights += [tensor for tensor in values.get(5, ()) if len(tensor) < _SMALL]
    elif kind == "attribute" and (6 in values or 11 in values):
        walk.problems.append("runs a graph inside a node (If, Loop, Scan), which no bundle needs; export it without")
    elif kind == "opset":
        _note_opset(_text(values, 1), values.get(2, [0])[0], walk)
    elif kind in ("function", "training"):
        walk.problems.append(f"holds a {kind}, which no bundle needs; export it without")


def _note_tensor(values: dict[int, list[Any]], walk: _Walk) -> None:
    """Note a tensor that lies elsewhere, or that declares more or less than is there."""
    if 13 in values or values.get(14, [0])[0] != 0:
        walk.problems.append(OUTSIDE)
        return
    dimensions, kind = [signed(value) for value in values.get(1, ())], values.get(2, [0])[0]
    if kind not in _TYPES or min(dimensions, default=0) < 0:
        walk.problems.append(f"holds a tensor of type {kind} and shape {dimensions[:8]}, which is not known")
        return
    place, each, bits = _TYPES[kind]
    elements = math.prod(dimensions)
    there = {
        number: values[number][0] for number in (_RAW, *{place for place, _, _ in _TYPES.values()}) if number in values
    }
    needed = {_RAW: -(-elements * bits // 8)} if _RAW in there and bits else {place: each * elements}
    if 0 < bits < 8 and place in needed:
        needed = {place: -(-elements * bits // 8)}
    if there != {number: count for number, count in needed.items() if count or number in there}:
        walk.problems.append(f"holds a tensor of shape {dimensions[:8]} without the values that it declares")


def _note_node(values: dict[int, list[Any]], walk: _Walk) -> None:
    """Note an operator that is not known, and keep what one that fills a tensor takes its size from."""
    walk.nodes += 1
    if walk.nodes == MOST_NODES + 1:
        walk.problems.append(f"holds more than {MOST_NODES:,} operators")
    name, domain = _text(values, 4), _text(values, 7)
    if name not in OPERATORS.get(domain, ()):
        walk.problems.append(
            f"holds the operator {name[:60]!a} of {domain[:60] or 'ai.onnx'!a}, which is not known here"
        )
    if name == "Constant" and len(values.get(2, ())) == len(values.get(5, ())) == 1 and len(values[5][0]) < _SMALL:
        walk.constants[values[2][0]] = values[5][0]
    inputs = values.get(1, [])
    walk.fills += [(name, inputs[at]) for at in _FILLS.get(name, ()) if at < len(inputs)]


def _note_opset(domain: str, version: int, walk: _Walk) -> None:
    least, most = OPSETS.get(domain, (1, 2**31) if domain in IDLE_DOMAINS else (0, -1))
    if not least <= version <= most:
        walk.problems.append(f"asks for version {version} of {domain[:60] or 'ai.onnx'!a}, which is not known here")


def _note_fills(walk: _Walk) -> None:
    """Note an operator that fills a tensor of a fixed size which is too large."""
    if not walk.fills:
        return
    sizes = {name: _integers(tensor) for tensor in walk.weights for name in parts_of(tensor).get(8, ())}
    for name, attribute in walk.constants.items():
        parts = parts_of(attribute)
        of_tensor = [number for tensor in parts.get(5, ()) for number in _integers(tensor)]
        sizes[name] = of_tensor + integers_in(parts, 3) + integers_in(parts, 8)
    for operator, source in walk.fills:
        if math.prod(max(1, abs(n)) for n in sizes.get(source, ())) > MOST_ELEMENTS:
            walk.problems.append(f"fills a tensor of more than {MOST_ELEMENTS:,} elements ({operator})")


def _integers(tensor: bytes | memoryview) -> list[int]:
    """Return the values of a tensor of integers; none where it holds others."""
    parts = parts_of(tensor)
    [kind] = parts.get(2, [0])
    width, raw = {_INT32: 4, _INT64: 8}.get(kind, 0), b"".join(parts.get(_RAW, ()))
    if not width or len(tensor) >= _SMALL:
        return []
    within = [int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)]
    return within + integers_in(parts, _INTS) + integers_in(parts, _LONGS)


def _text(values: dict[int, list[Any]], number: int) -> str:
    return str(values[number][0], "utf-8", "replace") if number in values else ""


# === end of parsimony/bundle/graph_check.py ===


# === parsimony/bundle/expression_check.py, word for word ===

# One alternative of an expression, sign by sign: a class, an escaped sign, a group's ends, a quantifier, or any other sign.
_SIGN = re.compile(r"\\(?:[pPux]\{[^{}]*\}|.)|\{\d*,?\d*\}[?+]?|[*+?][?+]?|\(\?(?:[imsx-]*:|[=!])|.", re.DOTALL)
_REFUSED = re.compile(r"\\[1-9kgKXGRyYO]|\(\?<|\(\?>|\(\?~|\(\?\(|\(\?P|\(\?#|\(\?@|\(\*|\(\?R|\(\?&|\(\?\d")
# What repeats without end weighs more than what may be there or not; two of the former and two of the latter are in use.
_ENDLESS, _MOST = 3, 8


def check_expression(source: str) -> None:
    """Refuse what can take more than the square of a text's length: what repeats inside what repeats, and many repetitions in a row.

    Names of groups, references back, and looking behind are no part of any tokenizer's expression either.
    """
    odd = f"its expression {source[:60]!a}"
    _require(not _REFUSED.search(source), f"{odd} uses what is not known here")
    groups, ended, inside = [_Group()], None, 0
    for sign in (match.group() for match in _SIGN.finditer(source)):
        before, ended, group = ended, None, groups[-1]
        if inside:  # a class of characters, in which another one may lie
            inside += (sign == "[") - (sign == "]")
        elif sign == "[":
            inside = 1
        elif sign.startswith("("):
            groups.append(_Group())
            _require(len(groups) <= 8, f"{odd} is nested too deep")
        elif sign == ")":
            _require(len(groups) > 1, f"{odd} has an end without a beginning")
            ended = groups.pop()
            groups[-1].take(ended)
        elif sign == "|":
            group.next()
        elif sign[0] in "*+?" or (sign[0] == "{" and len(sign) > 1):
            numbers = [int(number) for number in re.findall(r"\d+", sign[:20])]
            _require(len(sign) < 12 and max(numbers, default=0) <= 256, f"{odd} repeats too often")
            _require(sign[0] == "?" or before is None or before.plain, f"{odd} repeats a group that can vary")
            group.repeat(
                endless=sign[0] in "*+" or ",}" in sign or max(numbers, default=0) > 16, exact=sign[1:-1].isdigit()
            )
        _require(groups[-1].most <= _MOST, f"{odd} repeats too often in a row")
    _require(len(groups) == 1 and not inside, f"{odd} ends early")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(slots=True)
class _Group:
    """What the repetitions of a group weigh in a row, and whether it always takes the same signs."""

    here: int = 0
    most: int = 0
    plain: bool = True

    def repeat(self, *, endless: bool, exact: bool) -> None:
        """Count a repetition."""
        self.here += _ENDLESS if endless else not exact
        self.most, self.plain = max(self.most, self.here), self.plain and exact

    def take(self, inner: _Group) -> None:
        """Count the repetitions of a group within."""
        self.here += inner.most
        self.most, self.plain = max(self.most, self.here), self.plain and inner.plain

    def next(self) -> None:
        """Begin another alternative."""
        self.here, self.plain = 0, False


# === end of parsimony/bundle/expression_check.py ===


# === parsimony/bundle/tokenizer_check.py, word for word ===

MOST_TOKENIZER_BYTES = 128 * 2**20
MOST_TOKENS, MOST_ADDED, MOST_MERGES = 1_500_000, 20_000, 3_000_000
MOST_TOKEN_CHARS, MOST_LENGTH, MOST_COMPONENTS, MOST_NESTED_COMPONENTS = 1024, 32_768, 64, 4
MOST_GROWTH = 64  # how many times as long as the text all replacements together may make it
MOST_WORD_CHARS = 1000  # WordPiece tries every piece of a word
_MOST_PATTERN, _MOST_CHARS_MAP, _MOST_PIECE = 1024, 8 * 2**20, 256
_PARTS = {
    "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model",
}  # fmt: skip
_KNOWN = {
    "normalizer": "BertNormalizer ByteLevel Lowercase NFC NFD NFKC NFKD Nmt Precompiled Prepend Replace Sequence Strip StripAccents",
    "pre_tokenizer": "BertPreTokenizer ByteLevel CharDelimiterSplit Digits Metaspace Punctuation Sequence Split UnicodeScripts "
    "Whitespace WhitespaceSplit",
    "post_processor": "BertProcessing ByteLevel RobertaProcessing Sequence TemplateProcessing",
    "decoder": "BPEDecoder ByteFallback ByteLevel CTC Fuse Metaspace Replace Sequence Strip WordPiece",
    "model": "BPE Unigram WordLevel WordPiece",
}
_LISTS = ("normalizers", "pretokenizers", "processors", "decoders")


def check_tokenizer(content: bytes) -> str:
    """Return a tokenizer.json as text; ValueError for what a bundle's tokenizer never holds."""
    if len(content) > MOST_TOKENIZER_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, expected at most {MOST_TOKENIZER_BYTES:,}")
    text = str(content, "utf-8")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    _expect(isinstance(document, dict), "it is no JSON object")
    _expect(document.keys() <= _PARTS, f"it holds {sorted(document.keys() - _PARTS)[:3]}, which is not known here")
    _check_model(document.get("model"))
    _check_added(document.get("added_tokens"))
    _check_truncation(document.get("truncation"))
    _check_padding(document.get("padding"))
    for place in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        _check_chain(place, document.get(place))
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError when a name comes twice, which the two readers of it could understand differently."""
    values = dict(pairs)
    _expect(len(values) == len(pairs), "it names something twice")
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, expected numbers")


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _whole(value: object, least: int, most: int, name: str) -> int:
    """Return a whole number within its limits; ValueError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is {str(value)[:40]!a}, expected a whole number from {least:,} to {most:,}")
    return value


def _word(value: object, least: int, most: int, name: str) -> str:
    """Return a text of a bounded length; ValueError for anything else."""
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise ValueError(f"{name} is {str(value)[:40]!a}, expected a text of {least} to {most:,} characters")
    return value


# --- vocabulary -----------------------------------------------------------------------------------


def _check_model(model: Any) -> None:
    """Check the model: its kind, its vocabulary, and the parameters that decide how long a word takes."""
    _expect(isinstance(model, dict), "it has no model")
    vocabulary = model.get("vocab")
    kind = model.get("type") or ("Unigram" if isinstance(vocabulary, list) else "BPE" if "merges" in model else "")
    if not kind:  # as the first releases of the library wrote it
        kind = "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"
    _expect(kind in _KNOWN["model"].split(), f"its model is {str(kind)[:40]!a}, expected one of {_KNOWN['model']}")
    _expect(isinstance(vocabulary, list if kind == "Unigram" else dict), "its vocabulary has another form")
    _expect(0 < len(vocabulary) <= MOST_TOKENS, f"it has {len(vocabulary):,} tokens, expected 1 to {MOST_TOKENS:,}")
    if kind == "Unigram":
        _check_scores(vocabulary, model.get("unk_id"))
    else:
        numbers = vocabulary.values()
        _expect(set(map(type, numbers)) == {int}, "a token has no number")
        _expect(min(numbers) >= 0 and max(numbers) <= 4 * MOST_TOKENS, "a token's number is out of range")
    longest = max(len(entry[0]) if kind == "Unigram" else len(entry) for entry in vocabulary)
    _expect(longest <= MOST_TOKEN_CHARS, f"a token has {longest:,} characters, expected at most {MOST_TOKEN_CHARS:,}")
    if model.get("max_input_chars_per_word") is not None:
        _whole(model["max_input_chars_per_word"], 1, MOST_WORD_CHARS, "max_input_chars_per_word")
    _expect(not model.get("dropout"), "its model drops merges at random")
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        _word(model.get(name) or "", 0, MOST_TOKEN_CHARS, name)
    merges = model.get("merges") or []
    _expect(isinstance(merges, list) and len(merges) <= MOST_MERGES, "its merges have another form or are too many")


def _check_scores(vocabulary: list[Any], unknown: object) -> None:
    """Check the tokens of a Unigram model, [text, score] each, and the number of the unknown one."""
    whole = all(
        isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], int | float)
        for entry in vocabulary
    )
    _expect(whole, "a token of its Unigram model is not a text with a score")
    if unknown is not None:
        _whole(unknown, 0, len(vocabulary) - 1, "unk_id")


def _check_added(tokens: Any) -> None:
    """Check the tokens that are looked for before everything else."""
    _expect(
        isinstance(tokens or [], list) and len(tokens or []) <= MOST_ADDED, f"more than {MOST_ADDED:,} added tokens"
    )
    for token in tokens or []:
        _expect(isinstance(token, dict), "an added token has another form")
        _word(token.get("content"), 1, MOST_TOKEN_CHARS, "an added token")
        _whole(token.get("id"), 0, 4 * MOST_TOKENS, "the number of an added token")


# --- lengths --------------------------------------------------------------------------------------


def _check_truncation(truncation: Any) -> None:
    """Check where a text is cut: every window must bring at least half a window of new tokens."""
    if truncation is None:
        return
    _expect(isinstance(truncation, dict), "its truncation has another form")
    length = _whole(truncation.get("max_length"), 1, MOST_LENGTH, "truncation.max_length")
    _whole(truncation.get("stride") or 0, 0, length // 2, "truncation.stride")


def _check_padding(padding: Any) -> None:
    """Check how far a text is padded."""
    if padding is None:
        return
    _expect(isinstance(padding, dict), "its padding has another form")
    strategy = padding.get("strategy")
    if strategy != "BatchLongest":
        _expect(isinstance(strategy, dict) and strategy.keys() == {"Fixed"}, "its padding's strategy is not known here")
        _whole(strategy["Fixed"], 0, MOST_LENGTH, "padding.strategy.Fixed")
    _whole(padding.get("pad_to_multiple_of") or 1, 1, MOST_LENGTH, "padding.pad_to_multiple_of")
    _whole(padding.get("pad_id") or 0, 0, 4 * MOST_TOKENS, "padding.pad_id")
    _word(padding.get("pad_token") or "", 0, MOST_TOKEN_CHARS, "padding.pad_token")


# --- components -----------------------------------------------------------------------------------


def _check_chain(place: str, first: Any) -> None:
    """Check a component and those within it, and how much longer all of them together make a text."""
    growth, count, waiting = 1, 0, [] if first is None else [(first, 0)]
    while waiting:
        part, depth = waiting.pop()
        count += 1
        _expect(isinstance(part, dict) and depth <= MOST_NESTED_COMPONENTS, f"its {place} has another form")
        kind = part.get("type")
        known = _KNOWN[place].split()
        _expect(kind in known, f"its {place} is {str(kind)[:40]!a}, expected one of {', '.join(known)}")
        for name in _LISTS:
            _expect(isinstance(part.get(name) or [], list), f"its {place} has another form")
            waiting += [(inner, depth + 1) for inner in part.get(name) or []]
        growth *= _growth_of(kind, part)
        _expect(count + len(waiting) <= MOST_COMPONENTS, f"its {place} has more than {MOST_COMPONENTS} components")
        _expect(growth <= MOST_GROWTH, f"its {place} makes a text more than {MOST_GROWTH} times as long")


def _growth_of(kind: str, part: dict[str, Any]) -> int:
    """Check one component and return how many times as long it can make a text."""
    if kind == "Replace":
        content = _word(part.get("content"), 0, MOST_TOKEN_CHARS, "the content of a Replace")
        least = _check_pattern(part.get("pattern"))
        return -(-len(content) // least) or 1 if least else len(content) + 1
    if kind == "Prepend":
        return 1 + (len(_word(part.get("prepend"), 0, 16, "prepend")) > 1)
    if kind == "Split":
        _check_pattern(part.get("pattern"))
    elif kind == "Precompiled":
        _check_chars_map(_word(part.get("precompiled_charsmap"), 0, _MOST_CHARS_MAP, "precompiled_charsmap"))
    elif kind == "TemplateProcessing":
        _check_template(part)
    elif kind in ("BertProcessing", "RobertaProcessing"):
        for name in ("sep", "cls"):
            pair: Any = part.get(name)
            _expect(isinstance(pair, list) and len(pair) == 2, f"{name} of its {kind} has another form")
            _whole(pair[1], 0, 4 * MOST_TOKENS, f"{name} of its {kind}")
    elif kind == "Strip" and "content" in part:
        _word(part["content"], 1, 1, "the content of a Strip")
    return 1


def _check_template(part: dict[str, Any]) -> None:
    """Check what is put around a text: few pieces, each one known."""
    special = part.get("special_tokens") or {}
    _expect(isinstance(special, dict) and len(special) <= 256, "its special tokens have another form")
    for token in special.values():
        ids = token.get("ids") if isinstance(token, dict) else None
        _expect(isinstance(ids, list) and 0 < len(ids) <= 16, "a special token has another form")
        for number in ids:  # type: ignore[union-attr]
            _whole(number, 0, 4 * MOST_TOKENS, "the number of a special token")
    for name in ("single", "pair"):
        pieces = part.get(name) or []
        _expect(isinstance(pieces, list) and len(pieces) <= 64, f"the template {name} has another form")
        for piece in pieces:
            _expect(
                isinstance(piece, dict) and piece.keys() <= {"Sequence", "SpecialToken"}, f"the template {name} is odd"
            )
            named = (piece.get("SpecialToken") or {}).get("id")
            _expect(
                named is None or named in special,
                f"the template {name} puts {str(named)[:40]!a}, which it does not have",
            )


def _check_chars_map(encoded: str) -> None:
    """Check the tables of a SentencePiece normaliser: a trie of whole words, and short texts behind it."""
    content = base64.b64decode(encoded, validate=True)
    if not content:
        return
    size = int.from_bytes(content[:4], "little")
    _expect(len(content) > 4 and size % 4 == 0 and 0 < size <= len(content) - 4, "its map of characters is broken")
    longest = max(map(len, content[4 + size :].split(b"\0")))
    _expect(longest <= _MOST_PIECE, "its map of characters makes texts too long")


# --- expressions ----------------------------------------------------------------------------------


def _check_pattern(pattern: Any) -> int:
    """Check what is looked for and return how many characters it takes at least, 0 where that is not known."""
    _expect(isinstance(pattern, dict) and len(pattern) == 1, "a pattern has another form")
    [(kind, source)] = pattern.items()
    _expect(kind in ("String", "Regex"), f"a pattern is {str(kind)[:40]!a}, expected String or Regex")
    _word(source, 1, _MOST_PATTERN, "a pattern")
    if kind == "String":
        return len(source)
    check_expression(source)
    return 0


# === end of parsimony/bundle/tokenizer_check.py ===


mlflow.models.set_model(BundleModel())
