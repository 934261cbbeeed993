"""The roofline peaks of this machine, the operations of graphs that are counted by hand, and the efficiency of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import decisions
import numpy as np
import onnx
import pytest
from bundles import write_tiny_bundle
from onnx import TensorProto, helper, numpy_helper
from test_measure import HERE, TEXTS, slowed, write_changed_bundle

from parsimony.bundle.folder import Contents, Windows, write_bundle
from parsimony.measurement import processes
from parsimony.measurement.measure import measure
from parsimony.measurement.records import Disturbance, RooflinePeaks
from parsimony.measurement.roofline import efficiency, matmul_graph, operation_count, peaks

WORDS, WIDTH, CLASSES = 7, 8, 3
TEXT, TOKENS = "hello sun and money", 4
CONTRIB = "com.microsoft"
PEAKS = RooflinePeaks(int8_ops_per_s=4e9, fp32_ops_per_s=1e9, memory_bytes_per_s=1e10)


# --- peaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weights", "rows"), [("float32", "float32"), ("int8", "uint8")])
def test_the_product_that_is_written_byte_by_byte_is_a_valid_graph_with_the_right_result(
    weights: str, rows: str
) -> None:
    import onnxruntime

    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 9, (3, 300)).astype(rows), rng.integers(-9, 9, (300, 5)).astype(weights)
    graph = matmul_graph.product(right, left)
    onnx.checker.check_model(onnx.load_model_from_string(graph))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    [result] = session.run(None, {"rows": left})
    np.testing.assert_array_equal(result, left.astype(np.int64) @ right.astype(np.int64))


def test_the_peaks_of_this_machine_are_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peaks, "_SECONDS", 0.0)
    monkeypatch.setattr(peaks, "BUFFER_BYTES", 16 << 20)
    require_plausible(peaks.here(1))


def require_plausible(here: RooflinePeaks) -> None:
    assert 1e8 < here.fp32_ops_per_s < 1e13
    assert 1e8 < here.int8_ops_per_s < 1e14
    assert 1e8 < here.memory_bytes_per_s < 1e12


@pytest.mark.slow
def test_the_peaks_of_this_machine_are_plausible_and_nearly_the_same_twice() -> None:
    """A peak is the most that was reached, and the other core may be busy: each side is the better of two, in turn."""
    turns = [processes.once("peaks", 1) for _ in range(4)]
    for name in ("int8_ops_per_s", "fp32_ops_per_s", "memory_bytes_per_s"):
        one, other = (max(turn[name] for turn in turns[side::2]) for side in (0, 1))
        assert math.isfinite(one)
        assert 0.5 < one / other < 2
    for turn in turns:
        require_plausible(RooflinePeaks(**turn))


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_peak_that_is_no_positive_number_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="fp32_ops_per_s"):
        replace(PEAKS, fp32_ops_per_s=wrong)


# --- operations -----------------------------------------------------------------------------------


def write_graph(
    folder: Path, nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray], windows: Windows = "first"
) -> Path:
    """Write a bundle that looks up states [1, tokens, 8], lets the nodes make `result` of them, and adds it all up."""
    tokenizer = (Path(write_tiny_bundle(folder / "tiny").folder) / "tokenizer.json").read_text(encoding="utf-8")
    table = np.ones((WORDS, WIDTH), dtype=np.float32)
    constants = {
        "table": table,
        "axes": np.array([1]),
        "head": np.ones((WIDTH, CLASSES), dtype=np.float32),
        **constants,
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["states"]),
            *nodes,
            helper.make_node("ReduceSum", ["result", "axes"], ["total"], keepdims=0),
            helper.make_node("Gemm", ["total", "head"], ["logits"]),
        ],
        "graph",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    made = write_bundle(
        folder / "made",
        Contents(
            model=model.SerializeToString(), tokenizer=tokenizer, labels=("a", "b", "c"), lineage={}, windows=windows
        ),
    )
    return Path(made.folder)


HEAD = 2 * WIDTH * CLASSES


def test_products_are_counted_from_their_real_shapes(tmp_path: Path) -> None:
    square = np.ones((WIDTH, WIDTH), dtype=np.float32)
    folder = write_graph(
        tmp_path,
        [
            helper.make_node("MatMul", ["states", "square"], ["first"]),
            helper.make_node("Transpose", ["first"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["first", "turned"], ["scores"]),
            helper.make_node("MatMul", ["scores", "first"], ["result"]),
        ],
        {"square": square},
    )
    projection, attention = TOKENS * WIDTH * WIDTH, 2 * TOKENS * TOKENS * WIDTH
    expected = operation_count.Counted(tokens=TOKENS, int8_ops=0, fp32_ops=2 * (projection + attention) + HEAD)
    assert operation_count.count(folder, TEXT) == expected


@pytest.mark.parametrize(("windows", "tokens"), [("first", 32), ("mean", 70)])
def test_the_products_of_every_window_that_is_read_are_counted(windows: Windows, tokens: int, tmp_path: Path) -> None:
    square = np.ones((WIDTH, WIDTH), dtype=np.float32)
    folder = write_graph(
        tmp_path, [helper.make_node("MatMul", ["states", "square"], ["result"])], {"square": square}, windows
    )
    heads = math.ceil(tokens / 32)  # the tokenizer keeps 32 tokens
    expected = operation_count.Counted(tokens=tokens, int8_ops=0, fp32_ops=2 * tokens * WIDTH**2 + heads * HEAD)
    assert operation_count.count(folder, "sun " * 70) == expected


def test_a_fused_attention_counts_what_its_parts_would(tmp_path: Path) -> None:
    constants = {
        "qkv": np.ones((WIDTH, 3 * WIDTH), dtype=np.float32),
        "bias": np.zeros(3 * WIDTH, dtype=np.float32),
    }
    node = helper.make_node("Attention", ["states", "qkv", "bias"], ["result"], domain=CONTRIB, num_heads=2)
    parts = TOKENS * WIDTH * 3 * WIDTH + 2 * TOKENS * TOKENS * WIDTH
    counted = operation_count.count(write_graph(tmp_path, [node], constants), TEXT)
    assert (counted.int8_ops, counted.fp32_ops) == (0, 2 * parts + HEAD)


def test_separate_queries_keys_and_values_count_the_two_products_of_attention(tmp_path: Path) -> None:
    node = helper.make_node("MultiHeadAttention", ["states"] * 3, ["result"], domain=CONTRIB, num_heads=2)
    counted = operation_count.count(write_graph(tmp_path, [node], {}), TEXT)
    assert counted.fp32_ops == 2 * 2 * TOKENS * TOKENS * WIDTH + HEAD


def test_quantised_products_are_counted_in_8_bits(tmp_path: Path) -> None:
    constants = {"weights": np.ones((WIDTH, WIDTH), dtype=np.int8)}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["states"], ["small", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["small", "weights", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["result"], to=TensorProto.FLOAT),
    ]
    counted = operation_count.count(write_graph(tmp_path, nodes, constants), TEXT)
    assert (counted.int8_ops, counted.fp32_ops) == (2 * TOKENS * WIDTH * WIDTH, HEAD)


@pytest.mark.parametrize(("level", "kind"), [(4, "int8_ops"), (0, "fp32_ops")])
def test_weights_of_four_bits_are_multiplied_in_8_bits_only_when_the_node_says_so(
    level: int, kind: str, tmp_path: Path
) -> None:
    inner = 32
    constants = {
        "wide": np.ones((WIDTH, inner), dtype=np.float32),
        "packed": np.zeros((WIDTH, 1, inner // 2), dtype=np.uint8),
        "scales": np.ones(WIDTH, dtype=np.float32),
    }
    few = {"K": inner, "N": WIDTH, "bits": 4, "block_size": inner, "accuracy_level": level}
    nodes = [
        helper.make_node("MatMul", ["states", "wide"], ["widened"]),
        helper.make_node("MatMulNBits", ["widened", "packed", "scales"], ["result"], domain=CONTRIB, **few),
    ]
    counted = operation_count.count(write_graph(tmp_path, nodes, constants), TEXT)
    products = 2 * TOKENS * inner * WIDTH
    assert getattr(counted, kind) == products + (products + HEAD if kind == "fp32_ops" else 0)
    assert counted.int8_ops + counted.fp32_ops == 2 * products + HEAD


# --- efficiency -----------------------------------------------------------------------------------


def test_an_efficiency_is_the_time_at_the_peaks_over_the_median(tmp_path: Path) -> None:
    constants = {"square": np.ones((WIDTH, WIDTH), dtype=np.float32)}
    folder = write_graph(tmp_path, [helper.make_node("MatMul", ["states", "square"], ["result"])], constants)
    share = efficiency.efficiency(folder, TEXT, 0.01, PEAKS)
    fp32 = 2 * TOKENS * WIDTH * WIDTH + HEAD
    assert (share.tokens, share.int8_ops, share.fp32_ops, share.reason) == (TOKENS, 0, fp32, "")
    assert share.value == pytest.approx(fp32 / 1e9 / 1e-5)


def test_an_operator_that_cannot_be_counted_leaves_no_efficiency_and_is_named(tmp_path: Path) -> None:
    node = helper.make_node("Einsum", ["states", "states"], ["result"], equation="bth,bth->bth")
    share = efficiency.efficiency(write_graph(tmp_path, [node], {}), TEXT, 1.0, PEAKS)
    assert (share.value, share.reason) == (None, "the operations of Einsum cannot be counted")


def test_a_graph_without_products_has_no_efficiency(tmp_path: Path) -> None:
    share = efficiency.efficiency(Path(write_tiny_bundle(tmp_path / "tiny").folder), TEXT, 1.0, PEAKS)
    assert (share.value, share.reason, share.tokens) == (None, "the graph multiplies no matrices", TOKENS)


def test_a_graph_that_reads_text_has_no_efficiency(tmp_path: Path) -> None:
    tiny = Path(write_tiny_bundle(tmp_path / "tiny").folder)
    (tiny / "tokenizer.json").unlink()
    share = efficiency.efficiency(tiny, TEXT, 1.0, PEAKS)
    assert (share.value, share.reason) == (
        None, "the graph reads text, not tokens: how much it does depends on the words",
    )  # fmt: skip


@pytest.mark.slow
def test_no_real_bundle_exceeds_the_peaks(tmp_path: Path) -> None:
    folders = {"slow": Path(write_changed_bundle(tmp_path, slowed).folder)}
    measurement = efficiency.with_roofline(measure(folders, TEXTS, HERE), folders, TEXTS, HERE)["slow"]
    measured = measurement.roofline_efficiency
    assert measurement.roofline_peaks is not None and measured is not None
    alone = efficiency.efficiency(
        folders["slow"], efficiency.median_text(TEXTS), measurement.p50.value_ms, measurement.roofline_peaks
    )
    assert alone.value is not None
    assert 0 < alone.value < 1.2
    waited = "it waited for busy cores, more than 5% of the time"
    assert (measured.value, measured.reason) in {(alone.value, ""), (None, waited)}
    assert measured.fp32_ops == 2 * (2 * 3 * 500 + 40 * 500 * 500)


@pytest.mark.parametrize(("waited_share", "known"), [(0.05, True), (0.051, False), (None, True)])
def test_who_waited_for_busy_cores_has_operations_and_no_efficiency(
    waited_share: float | None, known: bool, tmp_path: Path
) -> None:
    folders = {"slow": Path(write_changed_bundle(tmp_path, slowed).folder)}
    taken = Disturbance(steal_share=0.0, throttled=0, waited_share=waited_share)
    measurements = {"slow": replace(decisions.measurement(1.0), disturbance=taken)}
    share = efficiency.at_peaks(measurements, folders, TEXTS, PEAKS)["slow"].roofline_efficiency
    assert share is not None
    assert (share.value is not None, bool(share.reason)) == (known, not known)
    assert share.fp32_ops > 0


def test_the_text_that_is_counted_has_the_median_length() -> None:
    assert efficiency.median_text(["aaaa", "a", "aa"]) == "aa"
    assert efficiency.median_text(["aaaa", "a", "aa", "aaa"]) == "aa"
