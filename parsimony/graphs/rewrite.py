"""Read and rewrite ONNX graphs: what they hold, per data type, and the small repairs after export."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parsimony.runtimes.onnxruntime_cpu import open_session

# The operators that carry a model's weights; a table or matrix left in fp32 here was not quantised.
_WEIGHTED = {"MatMul", "Gemm", "Gather", "Attention", "EmbedLayerNormalization", "FusedMatMul", "Einsum", "Conv"}
# What hands a weight on as it is; it may stand between the weight and the operator that uses it.
_PASSING = {"Identity", "Transpose", "Reshape", "Cast"}
SMALL = 4_096  # elements: biases, norms and single rows stay fp32 by design


def initializers(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the graph's constants by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def bytes_per_type(model: onnx.ModelProto) -> dict[str, int]:
    """Return the bytes of all constants per data type, such as {"FLOAT": 209524, "INT8": 10815053}."""
    total: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        size = len(tensor.raw_data) or numpy_helper.to_array(tensor).nbytes
        total[onnx.TensorProto.DataType.Name(tensor.data_type)] += size
    return dict(total)


def float_weights(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of fp32 matrices of more than 4,096 elements that products or look-ups still read."""
    origin = {tensor.name: tensor.name for tensor in model.graph.initializer if _is_float_matrix(tensor)}
    weights: dict[str, None] = {}
    for node in model.graph.node:
        if node.op_type == "Constant" and any(_is_float_matrix(a.t) for a in node.attribute if a.name == "value"):
            origin[node.output[0]] = node.output[0]
        elif node.op_type in _PASSING and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        elif node.op_type in _WEIGHTED:
            weights |= dict.fromkeys(origin[name] for name in node.input if name in origin)
    return tuple(weights)


def _is_float_matrix(tensor: onnx.TensorProto) -> bool:
    rows = sum(size > 1 for size in tensor.dims)
    return tensor.data_type == onnx.TensorProto.FLOAT and rows > 1 and bool(np.prod(tensor.dims) > SMALL)


def token_inputs() -> list[onnx.ValueInfoProto]:
    """Return the inputs of a graph that reads tokens: `input_ids` and `attention_mask`, int64 [batch, tokens]."""
    shape = ["batch", "tokens"]
    return [
        helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")
    ]


def replace_constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    """Give a constant of the graph a new value."""
    tensor = initializers(model)[name]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))


def lookup_of(model: onnx.ModelProto, source: str) -> tuple[onnx.NodeProto, ...]:
    """Return the Gather nodes that look up rows of a constant table by the graph input `source`."""
    constants = initializers(model)
    same = {source} | {n.output[0] for n in model.graph.node if n.op_type == "Cast" and n.input[0] == source}
    return tuple(
        node
        for node in model.graph.node
        if node.op_type == "Gather" and node.input[0] in constants and node.input[1] in same
    )


def redirect_lookups(model: onnx.ModelProto, source: str, rows: np.ndarray) -> None:
    """Let the number i of the graph input `source` look up row `rows[i]`, and every larger number the last of `rows`."""
    lookups = lookup_of(model, source)
    limit, table, limited, small, row = (f"{source}.{name}" for name in ("largest", "rows", "limited", "small", "row"))
    kind = np.int16 if rows.max() <= np.iinfo(np.int16).max else np.int32
    constants = (limit, np.array(len(rows) - 1, dtype=np.int64)), (table, rows.astype(kind))
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants)
    for node in lookups:
        node.input[1] = row
    nodes = (
        helper.make_node("Min", [source, limit], [limited], name=limited),
        helper.make_node("Gather", [table, limited], [small], name=small),
        helper.make_node("Cast", [small], [row], name=row, to=onnx.TensorProto.INT64),
    )
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)


def compared_with(model: onnx.ModelProto, source: str) -> tuple[int, ...]:
    """Return the numbers that the graph input `source` is compared with, such as the padding token's."""
    values = {t.name: t for t in model.graph.initializer}
    values |= {n.output[0]: n.attribute[0].t for n in model.graph.node if n.op_type == "Constant"}
    others = (set(n.input) - {source} for n in model.graph.node if n.op_type == "Equal" and source in n.input)
    return tuple(int(numpy_helper.to_array(values[name])) for names in others for name in names if name in values)


def drop_token_types(model: onnx.ModelProto) -> None:
    """Replace the segment input by its only value, segment 0, so that tokens and mask are all a caller gives."""
    names = [node.name for node in model.graph.input]
    if "token_type_ids" not in names:
        return
    for node in lookup_of(model, "token_type_ids"):
        row = numpy_helper.to_array(initializers(model)[node.input[0]])[:1]
        constant = f"{node.input[0]}.first"
        model.graph.initializer.append(numpy_helper.from_array(row[None], constant))
        for other in model.graph.node:
            other.input[:] = [constant if name == node.output[0] else name for name in other.input]
        model.graph.node.remove(node)
    if "token_type_ids" in _read_by(model.graph):
        raise ValueError("segments are used for more than looking up a row of a table, expected nothing else")
    del model.graph.input[names.index("token_type_ids")]
    drop_unused(model)


def fold_copies(model: onnx.ModelProto) -> None:
    """Let every reader of a copy of a constant read the constant; quantisation sees no weight behind a copy."""
    constants = initializers(model)
    copies = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in constants}
    for node in model.graph.node:
        node.input[:] = [copies.get(name, name) for name in node.input]
    drop_unused(model)


def _read_by(graph: onnx.GraphProto) -> set[str]:
    """Return every name that the nodes of a graph read, those of its branches and loops included."""
    inner = (a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
    own = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    return own.union(*(_read_by(branch) for branch in inner))


def drop_unused(model: onnx.ModelProto) -> None:
    """Take out constants that no node reads, and nodes whose results nobody reads."""
    while True:
        read = _read_by(model.graph)
        dead = [node for node in model.graph.node if not set(node.output) & read]
        if not dead:
            break
        for node in dead:
            model.graph.node.remove(node)
    unread = [tensor for tensor in model.graph.initializer if tensor.name not in read]
    for tensor in unread:
        model.graph.initializer.remove(tensor)


def add_mean_head(model: onnx.ModelProto, weight: np.ndarray, bias: np.ndarray) -> None:
    """Append the mean over real tokens and the linear head; the graph's output becomes `logits`.

    weight: float32 [classes, hidden], bias: float32 [classes].
    """
    states = model.graph.output[0].name
    axes = ("head.token_axis", np.array([1], dtype=np.int64)), ("head.last_axis", np.array([2], dtype=np.int64))
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in axes)
    make = helper.make_node
    model.graph.node.extend(
        (
            make("Cast", ["attention_mask"], ["head.mask"], name="head.Cast", to=onnx.TensorProto.FLOAT),
            make("Unsqueeze", ["head.mask", "head.last_axis"], ["head.column"], name="head.Unsqueeze"),
            make("Mul", [states, "head.column"], ["head.real"], name="head.Mul"),
            make("ReduceSum", ["head.real", "head.token_axis"], ["head.total"], name="head.Sum", keepdims=0),
            make("ReduceSum", ["head.mask", "head.token_axis"], ["head.count"], name="head.Count", keepdims=1),
            make("Div", ["head.total", "head.count"], ["head.mean"], name="head.Div"),
        )
    )
    _add_linear(model, "head.mean", weight, bias)


def add_first_token_head(model: onnx.ModelProto, weight: np.ndarray, bias: np.ndarray) -> None:
    """Append the state of the first token and the linear head; the graph's output becomes `logits`.

    weight: float32 [classes, hidden], bias: float32 [classes].
    """
    states = model.graph.output[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array(0, dtype=np.int64), "head.place"))
    model.graph.node.append(
        helper.make_node("Gather", [states, "head.place"], ["head.first"], name="head.Gather", axis=1)
    )
    _add_linear(model, "head.first", weight, bias)


def _add_linear(model: onnx.ModelProto, states: str, weight: np.ndarray, bias: np.ndarray) -> None:
    """Append a linear layer on `states`, [batch, hidden], as the graph's only output."""
    constants = ("head.weight", np.ascontiguousarray(weight.T)), ("head.bias", bias)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants)
    model.graph.node.extend(
        (
            helper.make_node("MatMul", [states, "head.weight"], ["head.product"], name="head.MatMul"),
            helper.make_node("Add", ["head.product", "head.bias"], ["logits"], name="head.Add"),
        )
    )
    output = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", len(bias)])
    del model.graph.output[:]
    model.graph.output.append(output)


def strip(model: onnx.ModelProto) -> None:
    """Take out what serving never reads: documentation, shapes of inner values, exporter metadata."""
    model.doc_string = model.graph.doc_string = ""
    del model.graph.value_info[:]
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def with_short_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with nameless nodes and numbered values; inputs, outputs and what branches read keep their names.

    Exporters name everything after the module it comes from, which is a good part of a small file.
    """
    short = copy.deepcopy(model)
    graph = short.graph
    inner = (a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
    fixed = {value.name for value in (*graph.input, *graph.output)}.union({""}, *(_read_by(branch) for branch in inner))
    values = dict.fromkeys(name for node in graph.node for name in (*node.input, *node.output) if name not in fixed)
    names = dict(
        zip(values, (name for name in map("{:x}".format, itertools.count()) if name not in fixed), strict=False)
    )
    for node in graph.node:
        node.name = ""
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    return short


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """Count the nodes per operator."""
    return dict(Counter(node.op_type for node in model.graph.node))


def run(model: onnx.ModelProto, rows: Iterable[Iterable[int]]) -> np.ndarray:
    """Return the logits of tokenised texts, one at a time and unpadded, float32 [texts, classes]."""
    session = open_session(model.SerializeToString(), threads=1)
    names = {node.name for node in session.get_inputs()}
    if unknown := names - {"input_ids", "attention_mask"}:
        raise ValueError(f"the graph takes {', '.join(sorted(unknown))}, expected input_ids and attention_mask only")
    results = []
    for row in rows:
        ids = np.array([list(row)], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        results.append(session.run(["logits"], {name: feeds[name] for name in names})[0][0])
    return np.stack(results)
