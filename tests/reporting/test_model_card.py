"""The description of a registered version: a verdict that fits into a list, then the model card."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import decisions
import numpy as np
import pytest
from bundles import write_tiny_bundle

import parsimony
from parsimony.bundle.folder import Contents, Windows, write_bundle
from parsimony.decision.records import Decision
from parsimony.reporting import version_card


def _with_winner(size_bytes: int, p50_ms: float, correct: int) -> Decision:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    assert winner.bundle is not None
    changed = replace(
        winner,
        bundle=replace(winner.bundle, size_bytes=size_bytes),
        certificate=replace(decisions.certificate(2825, 41, 5), score=decisions.score(correct, 3080)),
        measurements=(decisions.measurement(p50_ms),),
    )
    return replace(before, judged=tuple(changed if j is winner else j for j in before.judged))


@pytest.mark.parametrize(
    ("size_bytes", "p50_ms", "correct", "line"),
    [
        (3_742_118, 0.71, 2825, "PASS 3.7MB acc .917 p50 0.71ms"),
        (48_200, 0.0123, 3080, "PASS 48kB acc 1.000 p50 0.012ms"),
        (438_000_000, 1234.0, 2825, "PASS 440MB acc .917 p50 1200ms"),
        (12_345_678_901, 12_345.0, 1, "PASS 12GB acc .000 p50 12s"),
        (999_999_999_999, 9_999.0, 3080, "PASS 1000GB acc 1.000"),
    ],
)
def test_the_first_line_of_the_card_fits_into_the_list_of_versions(
    size_bytes: int, p50_ms: float, correct: int, line: str
) -> None:
    first = version_card(_with_winner(size_bytes, p50_ms, correct)).splitlines()[0]
    assert first == line
    assert len(first) <= 32


def test_the_first_line_names_the_metric_and_leaves_out_what_was_not_measured() -> None:
    before = decisions.with_metric("macro_f1")
    unmeasured = tuple(replace(j, measurements=()) for j in before.judged)
    assert version_card(replace(before, judged=unmeasured)).splitlines()[0] == "PASS 3.7MB f1 .916"


def test_the_first_line_shows_the_slowest_target() -> None:
    assert version_card(decisions.several_targets()).splitlines()[0] == "PASS 3.7MB acc .917 p50 2.3ms"


def test_there_is_no_card_without_a_winner() -> None:
    with pytest.raises(ValueError, match="no winner, expected one: only a winner is registered"):
        version_card(decisions.nothing_passed())


def test_the_card_has_all_sections_and_the_evidence() -> None:
    card = version_card(decisions.decision())
    titles = ["Intended use", "Quality", "Size", "Latency", "How it was made", "Limits", "Use"]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == titles
    assert "On 3,080 test rows: accuracy 0.9172, reference 0.9192." in card
    assert "with 95 % confidence at least −0.0066; −0.0100 was allowed" in card
    assert "p50 0.710 ms, p99 1.56 ms, 91.3 MB memory, on Example 9 CPU at 3.1 GHz, 1 of 2 cores" in card
    assert f"8,495 rows of the data with digest {'5e' * 32}." in card
    assert "Family student from package:gt\\_all\\_minilm\\_l6\\_v2, shape L2: trim, then fusion, then int4." in card
    assert "chosen from 13 candidates: the smallest of 6 candidates that pass every gate on every target." in card


def test_a_card_of_hostile_names_is_short_enough_to_be_stored() -> None:
    before = decisions.hostile()
    labels = tuple(f"{i}{'<' * 80}" for i in range(500))
    assert len(version_card(replace(before, dataset=replace(before.dataset, labels=labels)))) <= 5000


def _model(inputs: tuple[str, ...]) -> bytes:
    """Return a graph that predicts label 1 for long texts: logits [4, length]."""
    import onnx
    from onnx import TensorProto, helper

    text = inputs == ("text",)
    kind, shape = (TensorProto.STRING, [1]) if text else (TensorProto.INT64, [1, None])
    length = [] if text else [
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
    ]  # fmt: skip
    constants = [
        helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [1], [value]))
        for name, value in (("one", 1), ("four", 4), ("length" if text else "unused", 9))
    ]
    nodes = [
        *constants,
        *length,
        helper.make_node("Concat", ["four", "length"], ["pair"], axis=0),
        helper.make_node("Cast", ["pair"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "zero"], ["logits"]),
    ]
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    graph = helper.make_graph(
        nodes, "length", [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])], [zero],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _tokenizer() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(tokenizer.to_str())


@pytest.mark.parametrize("inputs", [("text",), ("input_ids",), ("input_ids", "attention_mask")])
def test_the_ten_lines_of_the_card_classify_with_a_bundle(
    inputs: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = re.findall(r"```python\n(.*?)\n```", version_card(decisions.decision()), re.DOTALL)
    assert len(code.splitlines()) == 10
    tokenizer = None if inputs == ("text",) else _tokenizer()
    write_bundle(
        tmp_path / "b", Contents(model=_model(inputs), tokenizer=tokenizer, labels=["short", "long"], lineage={})
    )
    monkeypatch.chdir(tmp_path / "b")
    names: dict[str, object] = {"np": np}
    exec(code, names)
    classify = names["classify"]
    assert callable(classify)
    assert classify("a b c d e f") == "long"
    assert classify("") == ("long" if inputs == ("text",) else "short")
    if inputs != ("text",):
        assert classify("a b") == "short"


@pytest.mark.slow
@pytest.mark.parametrize(("windows", "expected"), [("first", "greeting"), ("mean", "weather")])
def test_the_ten_lines_read_the_windows_that_the_bundle_reads(
    windows: Windows, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = re.findall(r"```python\n(.*?)\n```", version_card(decisions.decision()), re.DOTALL)
    write_tiny_bundle(tmp_path / "b", windows=windows)
    monkeypatch.chdir(tmp_path / "b")
    names: dict[str, Any] = {"np": np}
    exec(code, names)
    text = "hello " * 32 + "rain " * 40  # the tokenizer keeps 32 tokens
    assert names["classify"](text) == parsimony.load(tmp_path / "b").predict([text])[0] == expected
