"""What a graph may hold, before ONNX Runtime sees it. Needs no library.

ONNX Runtime follows pointers to other files, those of sparse tensors even in a graph that it is given as bytes; a small graph can
fill all memory or never end. mlflow/bundle_model.py repeats this module word for word; a test holds both equal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from parsimony.bundle.onnx_message import FIELDS, MOST_FIELDS, integers_in, parts_of, signed, values_of

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
