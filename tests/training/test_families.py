"""Each family's checkpoint predicts as its method says it should, measured against an independent computation."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tinymodels import (
    ARCHITECTURES,
    LABELS,
    Architecture,
    Name,
    base_of,
    checkpoint,
    first_quick,
    material,
    relabelled,
    spec_of,
    tables,
)

from parsimony.data.labels import class_numbers
from parsimony.graphs import rewrite
from parsimony.training.checkpoint import FACTS, MODEL, TOKENIZER, WEIGHTS
from parsimony.training.classifier import load, load_base, pad
from parsimony.training.families import FAMILIES, encoder, linear, static, student
from parsimony.training.family import Material
from parsimony.training.fit import _needed, frozen_head
from parsimony.training.teacher import classes_of, read_teacher, write_teacher
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

every_architecture = first_quick(ARCHITECTURES)
TRAIN, VALIDATION, _ = tables()


def facts_of(folder: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return facts


def model_of(folder: Path) -> onnx.ModelProto:
    return onnx.load_model_from_string((folder / MODEL).read_bytes())


def rows_of(folder: Path, texts: tuple[str, ...]) -> list[list[int]]:
    return token_ids((folder / TOKENIZER).read_text(encoding="utf-8"), texts)


def logits_of(folder: Path, texts: tuple[str, ...]) -> np.ndarray:
    return rewrite.run(model_of(folder), rows_of(folder, texts))


def accuracy_of(folder: Path) -> float:
    return float((logits_of(folder, VALIDATION.texts).argmax(1) == class_numbers(VALIDATION.labels, LABELS)).mean())


def folder_of(architecture: Architecture, name: Name) -> Path:
    return Path(checkpoint(architecture, name).folder)


def test_the_registry_knows_every_family_by_its_name() -> None:
    assert {name: family.name for name, family in FAMILIES.items()} == {
        n: n for n in ("linear", "static", "encoder", "student")
    }


@every_architecture
@pytest.mark.parametrize("name", ["frozen", "reference", "student", "linear", "static"])
def test_the_validation_accuracy_of_a_checkpoint_is_that_of_its_graph(architecture: Architecture, name: Name) -> None:
    folder = folder_of(architecture, name)
    # Training looks at the validation split in bf16 and in batches; that may turn one of the 48 predictions.
    assert facts_of(folder)["validation_accuracy"] == pytest.approx(accuracy_of(folder), abs=1.1 / 48)
    assert accuracy_of(folder) > 0.5


# --- linear ---------------------------------------------------------------------------------------


def _scikit(folder: Path, texts: tuple[str, ...], labels: tuple[str, ...], table: tuple[str, ...]) -> np.ndarray:
    """Return the decision function of scikit-learn's own TF-IDF and SVM on the same tokens, without special tokens."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    document = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    special = {token["id"] for token in document["added_tokens"] if token["special"]}

    def pieces(text: str) -> list[str]:
        return [str(token) for token in rows_of(folder, (text,))[0] if token not in special]

    vectors = TfidfVectorizer(analyzer=pieces, binary=True)
    penalty = facts_of(folder)["penalty"]
    svm = LinearSVC(C=penalty, random_state=0).fit(vectors.fit_transform(TRAIN.texts), labels)
    assert tuple(svm.classes_) == table
    decision: np.ndarray = svm.decision_function(vectors.transform(texts))
    return decision


@every_architecture
def test_the_linear_graph_is_the_decision_function_of_scikit_learn(architecture: Architecture) -> None:
    folder = folder_of(architecture, "linear")
    texts = (*VALIDATION.texts, "rain rain rain and more rain rain", "quarterly parliament", "rain")
    expected = _scikit(folder, texts, TRAIN.labels, LABELS)
    np.testing.assert_allclose(logits_of(folder, texts), expected, atol=1e-3)


def test_a_token_counts_once_however_often_it_occurs() -> None:
    once, often = logits_of(folder_of("bert", "linear"), ("rain ticket", "rain rain ticket rain ticket"))
    np.testing.assert_allclose(often, once, atol=1e-6)


def test_a_text_without_a_known_token_gets_the_bias() -> None:
    folder = folder_of("bert", "linear")
    bias = onnx.numpy_helper.to_array(rewrite.initializers(model_of(folder))["bias"])
    np.testing.assert_array_equal(logits_of(folder, ("", "   ", "§§§")), [bias] * 3)
    np.testing.assert_array_equal(rewrite.run(model_of(folder), [[]]), [bias])


def test_padding_changes_nothing_in_the_linear_graph() -> None:
    import onnxruntime

    folder = folder_of("bert", "linear")
    rows = rows_of(folder, VALIDATION.texts)
    session = onnxruntime.InferenceSession((folder / MODEL).read_bytes())
    ids, mask = (part.numpy() for part in pad(rows))
    [logits] = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(logits, logits_of(folder, VALIDATION.texts), atol=1e-6)


def test_two_classes_have_opposite_logits(tmp_path: Path) -> None:
    labels = ("no", "yes")
    given = material(base_of("bert"), spec_of("bert", "linear"))
    parts = {"train": relabelled(TRAIN, labels), "validation": relabelled(VALIDATION, labels)}
    linear.train(replace(given, labels=labels, **parts), tmp_path)
    expected = _scikit(tmp_path, VALIDATION.texts, parts["train"].labels, labels)
    np.testing.assert_allclose(logits_of(tmp_path, VALIDATION.texts), np.stack((-expected, expected), 1), atol=1e-3)


def test_the_linear_family_needs_no_weights_of_the_base(tmp_path: Path) -> None:
    shutil.copy(base_of("bert") / TOKENIZER, tmp_path / TOKENIZER)
    (tmp_path / "checkpoint").mkdir()
    linear.train(material(tmp_path, spec_of("bert", "linear")), tmp_path / "checkpoint")
    expected = logits_of(folder_of("bert", "linear"), VALIDATION.texts)
    np.testing.assert_array_equal(logits_of(tmp_path / "checkpoint", VALIDATION.texts), expected)


# --- static ---------------------------------------------------------------------------------------


@every_architecture
def test_a_static_model_is_the_mean_of_its_rows_and_a_matrix(architecture: Architecture) -> None:
    folder = folder_of(architecture, "static")
    constants = {name: onnx.numpy_helper.to_array(t) for name, t in rewrite.initializers(model_of(folder)).items()}
    expected = [
        constants["tokens"][row].mean(0) @ constants["head.weight"] + constants["head.bias"]
        for row in rows_of(folder, VALIDATION.texts)
    ]
    np.testing.assert_allclose(logits_of(folder, VALIDATION.texts), expected, atol=1e-4)
    assert constants["tokens"].shape[1] == facts_of(folder)["hidden"] == 32


def test_a_static_model_gives_tokens_that_training_never_held_no_vector() -> None:
    folder = folder_of("bert", "static")
    table = onnx.numpy_helper.to_array(rewrite.initializers(model_of(folder))["tokens"])
    known = {token for row in rows_of(folder, TRAIN.texts) for token in row}
    silent = set(np.flatnonzero(~table.any(axis=1)).tolist())
    assert silent == set(range(len(table))) - known


def test_a_static_model_learns_the_reference_and_not_the_labels(tmp_path: Path) -> None:
    """A teacher that takes every card for a meal is followed although the labels say otherwise."""
    folder, start = folder_of("bert", "reference"), tmp_path / "start"
    shutil.copytree(folder, start)
    with np.load(folder / "teacher.npz") as kept:
        arrays = dict(kept)
    order = [LABELS.index("meal"), LABELS.index("card"), LABELS.index("travel"), LABELS.index("weather")]
    arrays["weight"], arrays["bias"] = arrays["weight"][order], arrays["bias"][order]
    np.savez(start / "teacher.npz", **arrays)
    (tmp_path / "made").mkdir()
    static.train(material(base_of("bert"), spec_of("bert", "static"), start), tmp_path / "made")
    predicted = logits_of(tmp_path / "made", TRAIN.texts).argmax(1)
    cards = [label == "card" for label in TRAIN.labels]
    assert (predicted[cards] == LABELS.index("meal")).mean() > 0.7


def test_a_static_model_starts_from_the_reference(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a static model starts from the reference, found none"):
        static.train(material(base_of("bert"), spec_of("bert", "static")), tmp_path)


# --- encoder --------------------------------------------------------------------------------------


@every_architecture
def test_a_probed_base_keeps_its_weights(architecture: Architecture) -> None:
    probed = load(folder_of(architecture, "frozen") / WEIGHTS).encoder.state_dict()
    base = load_base(base_of(architecture), classes=2, max_tokens=64).encoder.state_dict()
    assert probed.keys() == base.keys()
    assert all(torch.equal(probed[name], base[name]) for name in base)


def test_the_head_of_a_probe_is_the_logistic_regression_of_its_features() -> None:
    from sklearn.linear_model import LogisticRegression

    from parsimony.training.classifier import features

    probed = load(folder_of("bert", "frozen") / WEIGHTS)
    states, others = (features(probed, token_ids(probed.tokenizer, t.texts)) for t in (TRAIN, VALIDATION))
    model = LogisticRegression(max_iter=200).fit(states / states.std(), TRAIN.labels)
    expected = model.decision_function(others / states.std())
    np.testing.assert_allclose(logits_of(folder_of("bert", "frozen"), VALIDATION.texts), expected, atol=2e-2)


def test_a_head_for_two_classes_gives_both_their_probability() -> None:
    from sklearn.linear_model import LogisticRegression

    from parsimony.training.classifier import all_logits, features

    labels = ("no", "yes")
    given = material(base_of("bert"), spec_of("bert", "frozen"))
    parts = {"train": relabelled(TRAIN, labels), "validation": relabelled(VALIDATION, labels)}
    classifier = load_base(base_of("bert"), classes=2, max_tokens=64)
    accuracy = frozen_head(classifier, replace(given, labels=labels, **parts))
    rows = [token_ids(classifier.tokenizer, t.texts) for t in (TRAIN, VALIDATION)]
    states, others = (features(classifier, r) for r in rows)
    model = LogisticRegression(max_iter=200).fit(states / states.std(), parts["train"].labels)
    odds = np.exp(all_logits(classifier, rows[1]))
    expected = model.predict_proba(others / states.std())
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), expected, atol=5e-3)
    assert accuracy == model.score(others / states.std(), parts["validation"].labels)


@every_architecture
def test_fine_tuning_is_no_worse_than_the_base_as_it_is(architecture: Architecture) -> None:
    assert (
        accuracy_of(folder_of(architecture, "reference")) >= accuracy_of(folder_of(architecture, "frozen")) - 1.1 / 48
    )


@every_architecture
def test_rows_of_tokens_that_training_never_saw_stay_as_they_were(architecture: Architecture) -> None:
    from parsimony.training.vocabulary import trim

    tuned = load(folder_of(architecture, "reference") / WEIGHTS)
    before = load_base(base_of(architecture), classes=2, max_tokens=64).encoder.get_input_embeddings().weight
    after = tuned.encoder.get_input_embeddings().weight
    kept = set(trim(tuned.tokenizer, TRAIN.texts).kept)
    others = [row for row in range(len(before)) if row not in kept]
    assert others
    assert torch.equal(after[others], before[others])
    assert not torch.equal(after, before)


@every_architecture
def test_the_teacher_is_what_the_reference_predicts_for_the_training_texts(architecture: Architecture) -> None:
    folder = folder_of(architecture, "reference")
    for lesson, table in zip(read_teacher(folder), (TRAIN, VALIDATION), strict=True):
        np.testing.assert_allclose(lesson.logits, logits_of(folder, table.texts), atol=1e-3)
        assert lesson.states.shape == (len(table), 48)


def test_fine_tuning_starts_from_a_probe(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fine-tuning starts from the probed base, found none"):
        encoder.train(material(base_of("bert"), spec_of("bert", "reference")), tmp_path)


def _word_level(tokenizer: str) -> str:
    """Return a tokenizer.json with the same tokens, of a kind that cannot be trimmed."""
    document = json.loads(tokenizer)
    document["model"] = {"type": "WordLevel", "vocab": document["model"]["vocab"], "unk_token": "[UNK]"}
    return json.dumps(document)


def test_a_tokenizer_that_cannot_be_trimmed_keeps_all_rows() -> None:
    classifier = load_base(base_of("bert"), classes=2, max_tokens=64)
    rows = classifier.encoder.config.vocab_size
    assert len(_needed(classifier, TRAIN.texts).kept) < rows
    whole = replace(classifier, tokenizer=_word_level(classifier.tokenizer))
    assert _needed(whole, TRAIN.texts).kept == _needed(whole, TRAIN.texts).used == tuple(range(rows))


def test_a_base_whose_tokenizer_cannot_be_trimmed_is_fine_tuned_with_all_its_rows(tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    text = _word_level((base / TOKENIZER).read_text(encoding="utf-8"))
    vocabulary = json.loads(text)["model"]["vocab"]
    (base / TOKENIZER).write_text(text, encoding="utf-8")
    for name in ("probe", "tuned"):
        (tmp_path / name).mkdir()
    encoder.train(material(base, spec_of("bert", "frozen")), tmp_path / "probe")
    encoder.train(material(base, spec_of("bert", "reference"), tmp_path / "probe"), tmp_path / "tuned")
    table = load(tmp_path / "tuned" / WEIGHTS).encoder.get_input_embeddings().weight
    assert len(table) == len(vocabulary)
    assert accuracy_of(tmp_path / "tuned") > 0.5


def test_a_position_that_is_counted_from_a_token_that_would_move_keeps_all_rows() -> None:
    classifier = load_base(base_of("bert"), classes=2, max_tokens=64)
    rows = classifier.encoder.config.vocab_size
    for start, moves in ((0, False), (rows - 1, True)):
        positions = torch.nn.Embedding(96, 48)
        positions.padding_idx = start
        classifier.encoder.embeddings.position_embeddings = positions
        assert (_needed(classifier, TRAIN.texts).kept == tuple(range(rows))) == moves


def test_a_padding_token_that_would_move_keeps_all_rows() -> None:
    from transformers import RobertaConfig, RobertaModel

    classifier = load_base(base_of("roberta"), classes=2, max_tokens=64)
    assert len(_needed(classifier, TRAIN.texts).kept) < classifier.encoder.config.vocab_size
    rows = classifier.encoder.config.vocab_size
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    padded_last = RobertaConfig(vocab_size=rows, pad_token_id=rows - 1, max_position_embeddings=rows + 64, **shape)
    moved = replace(classifier, encoder=RobertaModel(padded_last))
    assert _needed(moved, TRAIN.texts).kept == tuple(range(rows))


# --- student --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "of", "expected"),
    [(1, 6, (0,)), (2, 6, (0, 5)), (3, 6, (0, 2, 5)), (4, 12, (0, 4, 7, 11)), (6, 6, (0, 1, 2, 3, 4, 5)), (1, 1, (0,))],
)
def test_layers_are_taken_from_first_to_last_at_even_distances(keep: int, of: int, expected: tuple[int, ...]) -> None:
    assert student.spread(keep, of) == expected


@pytest.mark.parametrize("of", range(1, 25))
def test_no_layer_is_taken_twice(of: int) -> None:
    for keep in range(1, of + 1):
        chosen = student.spread(keep, of)
        assert len(set(chosen)) == keep
        assert list(chosen) == sorted(chosen)
        assert 0 <= min(chosen) <= max(chosen) < of


@pytest.mark.parametrize("keep", [0, 7])
def test_more_layers_than_there_are_and_none_are_refused(keep: int) -> None:
    with pytest.raises(ValueError, match=f"cannot keep {keep} of 6 layers"):
        student.spread(keep, 6)


@every_architecture
def test_a_student_has_the_layers_that_its_name_says(architecture: Architecture) -> None:
    folder = folder_of(architecture, "student")
    facts = facts_of(folder)
    assert (facts["layers"], facts["from_layers"], facts["trained"]) == (2, [0, 2], "distilled")
    assert load(folder / WEIGHTS).encoder.config.num_hidden_layers == 2
    assert (folder / MODEL).stat().st_size < (folder_of(architecture, "reference") / MODEL).stat().st_size


def test_the_parts_of_a_students_shape_are_read_back() -> None:
    for layers, neurons in ((6, 384), (2, None)):
        shape = student.student_shape(layers, neurons=neurons)
        assert (student.layers_in(shape), student.neurons_in(shape)) == (layers, neurons)


def test_a_student_starts_from_the_reference(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a student starts from the reference, found none"):
        student.train(material(base_of("bert"), spec_of("bert", "student")), tmp_path)


UNLABELLED = ("quarterly parliament debate", "please tell me about the violin orchestra", "rain and soup at home")


@pytest.fixture
def with_texts(tmp_path: Path) -> Material:
    """What a student is trained on when there are texts without labels: the reference has predicted them as well."""
    reference = tmp_path / "reference"
    shutil.copytree(folder_of("bert", "reference"), reference)
    given = replace(material(base_of("bert"), spec_of("bert", "narrow"), reference), unlabelled=UNLABELLED)
    write_teacher(reference, load(reference / WEIGHTS), given)
    return given


def test_of_a_text_without_a_label_the_class_is_what_the_teacher_predicts(with_texts: Material) -> None:
    assert with_texts.start is not None
    lesson, _ = read_teacher(with_texts.start)
    predicted = logits_of(with_texts.start, UNLABELLED)
    np.testing.assert_allclose(lesson.logits[len(TRAIN) :], predicted, atol=1e-3)
    expected = [*class_numbers(TRAIN.labels, LABELS), *predicted.argmax(1)]
    assert classes_of(with_texts, lesson).tolist() == expected


@pytest.mark.parametrize("name", ["narrow", "static"])
def test_texts_without_labels_teach_and_cost_no_step(with_texts: Material, name: Name, tmp_path: Path) -> None:
    given = replace(with_texts, spec=spec_of("bert", name))
    FAMILIES[given.spec.family].train(given, tmp_path)
    bare = folder_of("bert", name)
    if name == "narrow":
        assert facts_of(tmp_path)["steps"] == facts_of(bare)["steps"]
        return
    token = rows_of(bare, ("parliament",))[0][1:-1]
    before, after = (rewrite.initializers(model_of(folder))["tokens"] for folder in (bare, tmp_path))
    rows = [onnx.numpy_helper.to_array(table)[token] for table in (before, after)]
    assert not np.allclose(*rows, atol=0.01)  # it has a row of its own now, no longer that of all unknown tokens


@pytest.mark.parametrize(("layers", "epochs"), [(6, 10.0), (3, 20.0), (2, 30.0), (1, 30.0)])
def test_fewer_layers_are_trained_for_as_long_up_to_three_times_the_passes(layers: int, epochs: float) -> None:
    assert student.epochs_of(layers, 6, 10) == epochs
