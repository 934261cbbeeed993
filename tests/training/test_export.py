"""The exported graph is the trained model: two inputs, one output, the same predictions alone and in a batch."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from test_classifier import every_architecture, loaded, rows_of
from tinymodels import Architecture, base_of, first_quick, tables

from parsimony.compression.technique import Draft
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.table import Texts
from parsimony.errors import PlanError
from parsimony.graphs import rewrite
from parsimony.training.classifier import Classifier, all_logits, load_base, pad
from parsimony.training.export import OPSET, ParityError, check_parity, compare, export, require_inputs

pytestmark = pytest.mark.slow

_exported: dict[str, tuple[Classifier, onnx.ModelProto]] = {}


def exported(architecture: Architecture) -> tuple[Classifier, onnx.ModelProto]:
    if architecture not in _exported:
        classifier = loaded(architecture)
        _exported[architecture] = classifier, export(classifier)
    return _exported[architecture]


def in_one_batch(model: onnx.ModelProto, rows: list[list[int]]) -> np.ndarray:
    """Return the logits of all texts at once, padded on the right."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids, mask = (tensor.numpy() for tensor in pad(rows))
    logits: np.ndarray = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
    return logits


@every_architecture
def test_the_graph_predicts_like_the_model(architecture: Architecture) -> None:
    classifier, model = exported(architecture)
    rows = rows_of(classifier)
    check_parity(model, classifier, rows)
    np.testing.assert_allclose(rewrite.run(model, rows), all_logits(classifier, rows), atol=1e-3)


@every_architecture
def test_tokens_and_mask_are_all_that_goes_in_and_logits_all_that_comes_out(architecture: Architecture) -> None:
    _, model = exported(architecture)
    assert sorted(node.name for node in model.graph.input) == ["attention_mask", "input_ids"]
    [output] = model.graph.output
    shape = [d.dim_value or d.dim_param for d in output.type.tensor_type.shape.dim]
    assert (output.name, output.type.tensor_type.elem_type, shape) == ("logits", onnx.TensorProto.FLOAT, ["batch", 4])


@every_architecture
def test_a_padded_batch_predicts_like_single_texts(architecture: Architecture) -> None:
    classifier, model = exported(architecture)
    rows = rows_of(classifier)
    assert len({len(row) for row in rows}) > 3
    np.testing.assert_allclose(in_one_batch(model, rows), rewrite.run(model, rows), atol=1e-3)


@first_quick(("bert", "distilbert", "roberta"))
def test_a_padded_batch_predicts_like_single_texts_when_attention_is_fused(
    architecture: Architecture,
) -> None:
    classifier, model = exported(architecture)
    rows = rows_of(classifier)
    draft = Draft(
        graph=model,
        tokenizer=classifier.tokenizer,
        architecture=architecture,
        heads=4,
        hidden=48,
        texts=Texts.of(tables()[0].texts),
    )
    fused = TECHNIQUES["fusion"].apply(draft).graph
    np.testing.assert_allclose(in_one_batch(fused, rows), rewrite.run(model, rows), atol=1e-3)


@every_architecture
def test_the_file_says_nothing_about_the_machine_that_made_it(architecture: Architecture) -> None:
    _, model = exported(architecture)
    assert model.opset_import[0].version == OPSET
    assert str(Path.home()).encode() not in model.SerializeToString()
    assert not [node for node in model.graph.node if node.doc_string or node.metadata_props]


@pytest.mark.parametrize("inputs", [("input_ids",), ("input_ids", "attention_mask", "position_ids"), ()])
def test_a_graph_of_other_inputs_than_tokens_and_a_mask_is_refused(inputs: tuple[str, ...]) -> None:
    model = onnx.ModelProto()
    model.graph.input.extend(onnx.ValueInfoProto(name=name) for name in inputs)
    with pytest.raises(
        PlanError, match=rf"a gpt2 graph takes {', '.join(sorted(inputs))}, expected attention_mask and"
    ):
        require_inputs(model, "gpt2")


def test_a_model_that_reads_one_side_only_is_refused(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2Model

    GPT2Model(GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=4)).save_pretrained(tmp_path)
    shutil.copy(base_of("bert") / "tokenizer.json", tmp_path)
    with pytest.raises(PlanError, match="a gpt2 reads each token without those behind it, expected an encoder"):
        export(load_base(tmp_path, classes=2, max_tokens=16))


def test_another_head_is_noticed() -> None:
    classifier, model = exported("bert")
    with torch.no_grad():
        classifier.head.bias[0] += 0.5
    try:
        with pytest.raises(ParityError, match=r"logits differ by up to 0\.5, expected at most 0\.00"):
            check_parity(model, classifier, rows_of(classifier))
    finally:
        with torch.no_grad():
            classifier.head.bias[0] -= 0.5


@pytest.mark.parametrize("logits", [[[0.0, 1.1]], [[0.0, float("nan")]], [[float("inf"), 1.0]]])
def test_logits_that_differ_or_are_no_numbers_are_refused(logits: list[list[float]]) -> None:
    with pytest.raises(ParityError):
        compare(np.array([[0.0, 1.0]]), np.array(logits))


def test_rounding_is_no_difference() -> None:
    compare(np.array([[0.0, 1.0]]), np.array([[0.0, 1.0009]]))
    compare(np.array([[0.0, 100.0]]), np.array([[0.0, 100.09]]))


def test_an_export_leaves_the_log_as_it_was() -> None:
    logging.disable(logging.INFO)
    try:
        export(exported("bert")[0])
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)
