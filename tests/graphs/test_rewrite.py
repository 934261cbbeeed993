"""Graphs are read and rewritten without losing what somebody still reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from parsimony.graphs import rewrite

LARGE = np.ones((80, 80), dtype=np.float32)
make = helper.make_node


def graph(
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    *,
    inputs: tuple[str, ...] = ("input_ids",),
    output: str = "logits",
) -> onnx.ModelProto:
    """Build a graph with int64 inputs [batch, tokens] and one output."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def test_bytes_are_counted_per_type() -> None:
    model = graph([], {"a": LARGE, "b": np.zeros(3, dtype=np.int64), "c": np.zeros(5, dtype=np.float32)})
    model.graph.initializer.append(helper.make_tensor("d", TensorProto.INT8, [2], [1, 2]))
    assert rewrite.bytes_per_type(model) == {"FLOAT": 80 * 80 * 4 + 5 * 4, "INT64": 24, "INT8": 2}


@pytest.mark.parametrize(
    "nodes",
    [
        [make("MatMul", ["x", "w"], ["logits"])],
        [make("Gather", ["w", "input_ids"], ["logits"])],
        [make("Attention", ["x", "w", "b"], ["logits"], domain="com.microsoft")],
        [make("Transpose", ["w"], ["t"]), make("MatMul", ["x", "t"], ["logits"])],
        [make("Identity", ["w"], ["i"]), make("Cast", ["i"], ["c"], to=1), make("MatMul", ["x", "c"], ["logits"])],
    ],
)
def test_an_fp32_matrix_is_found_however_it_reaches_the_product(nodes: list[onnx.NodeProto]) -> None:
    assert rewrite.float_weights(graph(nodes, {"w": LARGE})) == ("w",)


def test_an_fp32_matrix_in_a_constant_node_is_found() -> None:
    constant = make("Constant", [], ["w"], value=numpy_helper.from_array(LARGE))
    assert rewrite.float_weights(graph([constant, make("MatMul", ["x", "w"], ["logits"])], {})) == ("w",)


def test_small_matrices_vectors_and_scales_stay_fp32_by_design() -> None:
    nodes = [
        make("MatMul", ["x", "small"], ["a"]),
        make("Gemm", ["a", "small", "vector"], ["b"]),
        make("LayerNormalization", ["b", "vector"], ["c"]),
        make("MatMulNBits", ["c", "packed", "scales"], ["logits"], domain="com.microsoft"),
    ]
    constants = {
        "small": np.ones((64, 64), dtype=np.float32),
        "vector": np.ones((1, 9_000), dtype=np.float32),
        "packed": np.ones((80, 80), dtype=np.uint8),
        "scales": LARGE,
    }
    assert rewrite.float_weights(graph(nodes, constants)) == ()


def test_a_constant_gets_a_new_value_and_a_new_shape() -> None:
    model = graph([], {"a": LARGE})
    rewrite.replace_constant(model, "a", np.arange(6, dtype=np.float32).reshape(3, 2).T)
    assert numpy_helper.to_array(rewrite.initializers(model)["a"]).tolist() == [[0, 2, 4], [1, 3, 5]]


def test_look_ups_by_an_input_are_found_behind_a_cast_and_others_are_not() -> None:
    nodes = [
        make("Cast", ["input_ids"], ["narrow"], to=TensorProto.INT32),
        make("Gather", ["w", "narrow"], ["a"], name="mine"),
        make("Gather", ["w", "positions"], ["b"], name="by position"),
        make("Gather", ["a", "input_ids"], ["logits"], name="of no constant"),
    ]
    assert [n.name for n in rewrite.lookup_of(graph(nodes, {"w": LARGE}), "input_ids")] == ["mine"]


def test_numbers_that_the_tokens_are_compared_with_are_found() -> None:
    nodes = [
        make("Constant", [], ["two"], value=numpy_helper.from_array(np.array(2))),
        make("Equal", ["input_ids", "two"], ["a"]),
        make("Equal", ["one", "input_ids"], ["b"]),
        make("Equal", ["other", "one"], ["c"]),
    ]
    assert rewrite.compared_with(graph(nodes, {"one": np.array(1)}), "input_ids") == (2, 1)


def _with_segments(*more: onnx.NodeProto) -> onnx.ModelProto:
    nodes = [
        make("Gather", ["words", "input_ids"], ["word"]),
        make("Gather", ["segments", "token_type_ids"], ["segment"]),
        make("Add", ["word", "segment"], ["logits"]),
        *more,
    ]
    constants = {"words": np.eye(3, dtype=np.float32), "segments": np.array([[1, 2, 3], [9, 9, 9]], dtype=np.float32)}
    return graph(nodes, constants, inputs=("input_ids", "token_type_ids"))


def test_the_segment_input_gives_way_to_the_row_of_segment_0() -> None:
    model = _with_segments()
    rewrite.drop_token_types(model)
    assert [node.name for node in model.graph.input] == ["input_ids"]
    assert rewrite.run(model, [[2, 0]]).tolist() == [[[1, 2, 4], [2, 2, 3]]]
    assert set(rewrite.initializers(model)) == {"words", "segments.first"}


def test_a_graph_without_segments_stays_as_it_is() -> None:
    model = graph([make("Gather", ["w", "input_ids"], ["logits"])], {"w": LARGE})
    before = model.SerializeToString()
    rewrite.drop_token_types(model)
    assert model.SerializeToString() == before


def test_segments_that_are_used_for_more_than_a_look_up_are_refused() -> None:
    with pytest.raises(ValueError, match="segments are used for more than looking up a row of a table"):
        rewrite.drop_token_types(_with_segments(make("Equal", ["token_type_ids", "input_ids"], ["same"])))


def test_readers_of_a_copy_read_the_constant_itself() -> None:
    nodes = [
        make("Identity", ["w"], ["copy"]),
        make("Gather", ["copy", "input_ids"], ["logits"]),
    ]
    model = graph(nodes, {"w": np.eye(3, dtype=np.float32)})
    expected = rewrite.run(model, [[1, 2]])
    rewrite.fold_copies(model)
    assert rewrite.operators(model) == {"Gather": 1}
    assert rewrite.run(model, [[1, 2]]).tolist() == expected.tolist()


def test_what_nobody_reads_is_dropped_in_chains() -> None:
    nodes = [
        make("Gather", ["w", "input_ids"], ["logits"]),
        make("Gather", ["lost", "input_ids"], ["a"]),
        make("Neg", ["a"], ["b"]),
    ]
    model = graph(nodes, {"w": LARGE, "lost": LARGE})
    rewrite.drop_unused(model)
    assert rewrite.operators(model) == {"Gather": 1}
    assert set(rewrite.initializers(model)) == {"w"}


def test_what_a_branch_reads_is_kept() -> None:
    def branch(name: str, operator: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([make(operator, ["looked.up"], [name])], name, [], [out])

    nodes = [
        make("Gather", ["w", "input_ids"], ["looked.up"]),
        make("If", ["yes"], ["logits"], then_branch=branch("then", "Neg"), else_branch=branch("else", "Abs")),
    ]
    model = graph(nodes, {"w": np.eye(3, dtype=np.float32), "yes": np.array(True)})
    rewrite.drop_unused(model)
    assert rewrite.operators(model) == {"Gather": 1, "If": 1}
    assert rewrite.run(model, [[1]]).tolist() == [[[0, -1, 0]]]


def test_the_head_is_the_mean_over_real_tokens_and_one_linear_layer() -> None:
    rng = np.random.default_rng(0)
    table, weight, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((9, 5), (3, 5), (3,)))
    nodes = [make("Gather", ["w", "input_ids"], ["states"])]
    model = graph(nodes, {"w": table}, inputs=("input_ids", "attention_mask"), output="states")
    rewrite.add_mean_head(model, weight, bias)
    expected = table[[1, 7, 7]].mean(0) @ weight.T + bias
    np.testing.assert_allclose(rewrite.run(model, [[1, 7, 7]]), [expected], rtol=1e-5)
    assert [o.name for o in model.graph.output] == ["logits"]


def test_strip_takes_out_what_serving_never_reads() -> None:
    model = graph([make("Gather", ["w", "input_ids"], ["logits"], doc_string="why")], {"w": LARGE})
    model.doc_string = model.graph.doc_string = "where"
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [1]))
    for owner in (model, model.graph.node[0]):
        owner.metadata_props.add(key="path", value="/home/somebody")
    rewrite.strip(model)
    serialized = model.SerializeToString()
    assert not [word for word in (b"why", b"where", b"somebody") if word in serialized]
    assert not model.graph.value_info


def test_a_graph_that_needs_more_than_tokens_and_mask_is_not_run() -> None:
    model = graph([make("Gather", ["w", "input_ids"], ["logits"])], {"w": LARGE}, inputs=("input_ids", "position_ids"))
    with pytest.raises(ValueError, match="the graph takes position_ids, expected input_ids and attention_mask only"):
        rewrite.run(model, [[1]])


def test_short_names_change_no_logit_and_leave_inputs_and_outputs_as_they_are() -> None:
    nodes = [
        make("Gather", ["a.long.table", "input_ids"], ["looked/up"], name="look-up"),
        make("MatMul", ["looked/up", "a.long.matrix"], ["a.product"], name="product"),
        make("Clip", ["a.product", "", "a.limit"], ["logits"], name="clip"),
    ]
    constants = {
        "a.long.table": np.arange(8, dtype=np.float32).reshape(4, 2),
        "a.long.matrix": np.eye(2, dtype=np.float32),
        "a.limit": np.array(5, dtype=np.float32),
    }
    model = graph(nodes, constants)
    short = rewrite.with_short_names(model)
    assert [([*node.input], [*node.output], node.name) for node in short.graph.node] == [
        (["0", "input_ids"], ["1"], ""),
        (["1", "2"], ["3"], ""),
        (["3", "", "4"], ["logits"], ""),
    ]
    np.testing.assert_array_equal(rewrite.run(short, [[0, 3]]), rewrite.run(model, [[0, 3]]))
    assert [node.name for node in model.graph.node] == ["look-up", "product", "clip"]


def test_a_name_that_is_taken_or_that_a_branch_reads_is_not_given_again() -> None:
    branch = helper.make_graph(
        [make("Identity", ["outside"], ["result"])],
        "branch",
        [],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
    )
    nodes = [make("Cast", ["0"], ["outside"], to=1), make("Cast", ["0"], ["which"], to=9)]
    nodes.append(make("If", ["which"], ["logits"], then_branch=branch, else_branch=branch))
    short = rewrite.with_short_names(graph(nodes, {}, inputs=("0",)))
    assert [([*node.input], [*node.output]) for node in short.graph.node] == [
        (["0"], ["outside"]), (["0"], ["1"]), (["1"], ["logits"])
    ]  # fmt: skip
