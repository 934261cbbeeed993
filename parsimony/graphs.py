"""Read and rewrite ONNX graphs: what they hold, per data type, and the small repairs after export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

# The operators that carry a model's weights; a table or matrix left in fp32 here was not quantised.
_WEIGHTED = {"MatMul", "Gemm", "Gather", "Attention"}
_SMALL = 4_096  # elements: biases, norms and single rows stay fp32 by design


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
    """Return the names of fp32 weights of more than 4,096 elements that matrix products or look-ups still read."""
    constants = initializers(model)
    found: dict[str, None] = {}
    for node in model.graph.node:
        for name in node.input if node.op_type in _WEIGHTED else ():
            tensor = constants.get(name)
            if tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) > _SMALL:
                found[name] = None
    return tuple(found)


def replace_constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> None:
    """Give a constant of the graph a new value."""
    tensor = initializers(model)[name]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))


def lookup_of(model: onnx.ModelProto, source: str) -> tuple[onnx.NodeProto, ...]:
    """Return the Gather nodes that look rows of a constant table up by the graph input `source`."""
    constants = initializers(model)
    same = {source} | {n.output[0] for n in model.graph.node if n.op_type == "Cast" and n.input[0] == source}
    return tuple(
        node
        for node in model.graph.node
        if node.op_type == "Gather" and node.input[0] in constants and node.input[1] in same
    )


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
    del model.graph.input[names.index("token_type_ids")]
    drop_unused(model)


def drop_unused(model: onnx.ModelProto) -> None:
    """Take out constants that no node reads, and nodes whose results nobody reads."""
    while True:
        read = {name for node in model.graph.node for name in node.input} | {o.name for o in model.graph.output}
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
    constants = (*axes, ("head.weight", np.ascontiguousarray(weight.T)), ("head.bias", bias))
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants)
    make = helper.make_node
    model.graph.node.extend(
        (
            make("Cast", ["attention_mask"], ["head.mask"], name="head.Cast", to=onnx.TensorProto.FLOAT),
            make("Unsqueeze", ["head.mask", "head.last_axis"], ["head.column"], name="head.Unsqueeze"),
            make("Mul", [states, "head.column"], ["head.real"], name="head.Mul"),
            make("ReduceSum", ["head.real", "head.token_axis"], ["head.total"], name="head.Sum", keepdims=0),
            make("ReduceSum", ["head.mask", "head.token_axis"], ["head.count"], name="head.Count", keepdims=1),
            make("Div", ["head.total", "head.count"], ["head.mean"], name="head.Div"),
            make("MatMul", ["head.mean", "head.weight"], ["head.product"], name="head.MatMul"),
            make("Add", ["head.product", "head.bias"], ["logits"], name="head.Add"),
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


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """Count the nodes per operator."""
    return dict(Counter(node.op_type for node in model.graph.node))


def run(model: onnx.ModelProto, rows: Iterable[Iterable[int]]) -> np.ndarray:
    """Return the logits of tokenised texts, one at a time and unpadded, float32 [texts, classes]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = {node.name for node in session.get_inputs()}
    results = []
    for row in rows:
        ids = np.array([list(row)], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        results.append(session.run(["logits"], {name: feeds[name] for name in names})[0][0])
    return np.stack(results)
