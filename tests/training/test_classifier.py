"""One classifier for every architecture: read, cut, narrowed and widened without changing what it should not."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tinymodels import ARCHITECTURES, POSITIONS, Architecture, base_of, first_quick, tables

from parsimony.errors import PlanError
from parsimony.training import classifier as classifiers
from parsimony.training.classifier import Classifier
from parsimony.training.vocabulary import Trimmed, token_ids, trim

pytestmark = pytest.mark.slow

every_architecture = first_quick(ARCHITECTURES)
TRAIN, VALIDATION, _ = tables()


def loaded(architecture: Architecture, *, classes: int = 4, max_tokens: int = 64) -> Classifier:
    """Return a base with a head of random numbers; zeros would hide mistakes."""
    made = classifiers.load_base(base_of(architecture), classes=classes, max_tokens=max_tokens)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        torch.nn.init.normal_(made.head.weight)
        torch.nn.init.normal_(made.head.bias)
    return made


def rows_of(classifier: Classifier, texts: tuple[str, ...] = VALIDATION.texts) -> list[list[int]]:
    return token_ids(classifier.tokenizer, texts)


def table_of(classifier: Classifier) -> torch.Tensor:
    return classifier.encoder.get_input_embeddings().weight.data


@every_architecture
def test_a_base_starts_with_a_head_that_says_nothing(architecture: Architecture) -> None:
    made = classifiers.load_base(base_of(architecture), classes=3, max_tokens=64)
    assert classifiers.all_logits(made, rows_of(made)[:2]).tolist() == [[0, 0, 0], [0, 0, 0]]


@every_architecture
def test_a_text_is_cut_to_what_the_base_can_read(architecture: Architecture) -> None:
    made = loaded(architecture, max_tokens=10_000)
    long = rows_of(made, ("rain " * 500,))
    assert [len(row) for row in long] == [POSITIONS] == [classifiers.position_limit(made.encoder)]
    assert np.isfinite(classifiers.all_logits(made, long)).all()
    assert [len(row) for row in rows_of(loaded(architecture, max_tokens=12), ("rain " * 500,))] == [12]


def test_a_base_with_a_weight_missing_is_refused_and_not_filled_with_noise(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PlanError, match=r"holds no weights for encoder\.layer\.1\.output\.dense\.weight"):
        classifiers.load_base(folder, classes=2, max_tokens=16)


def test_a_base_whose_layers_share_their_weights_is_refused(tmp_path: Path) -> None:
    from transformers import AlbertConfig, AlbertModel

    shape = {"embedding_size": 16, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 32}
    AlbertModel(AlbertConfig(vocab_size=300, num_hidden_layers=3, **shape)).save_pretrained(tmp_path)
    shutil.copy(base_of("bert") / "tokenizer.json", tmp_path)
    with pytest.raises(PlanError, match="AlbertModel has no list of 3 layers, each with weights of its own"):
        classifiers.load_base(tmp_path, classes=2, max_tokens=16)


def test_weights_in_half_precision_are_read_in_full(tmp_path: Path) -> None:
    made = loaded("bert")
    made.encoder.half().save_pretrained(tmp_path)
    shutil.copy(base_of("bert") / "tokenizer.json", tmp_path)
    read = classifiers.load_base(tmp_path, classes=2, max_tokens=16)
    assert {p.dtype for p in read.encoder.parameters()} == {torch.float32}


@every_architecture
def test_what_is_saved_predicts_the_same_when_it_is_read(architecture: Architecture, tmp_path: Path) -> None:
    made = loaded(architecture)
    classifiers.save(made, tmp_path)
    again = classifiers.load(tmp_path)
    expected = classifiers.all_logits(made, rows_of(made))
    np.testing.assert_array_equal(classifiers.all_logits(again, rows_of(again)), expected)


@every_architecture
def test_features_do_not_depend_on_the_batch_or_its_order(architecture: Architecture) -> None:
    made = loaded(architecture)
    rows = rows_of(made)
    together = classifiers.features(made, rows)
    alone = np.concatenate([classifiers.features(made, [row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_allclose(classifiers.features(made, rows[::-1]), alone[::-1], atol=2e-5)


def test_rows_are_padded_on_the_right() -> None:
    ids, mask = classifiers.pad([[5, 6], [7, 8, 9]], pad_id=1)
    assert ids.tolist() == [[5, 6, 1], [7, 8, 9]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]


@every_architecture
def test_a_narrow_classifier_predicts_like_the_full_one(architecture: Architecture) -> None:
    made = loaded(architecture)
    expected = classifiers.features(made, rows_of(made, TRAIN.texts))
    trimmed = trim(made.tokenizer, TRAIN.texts)
    classifiers.narrow(made, trimmed)
    assert table_of(made).shape[0] == made.encoder.config.vocab_size == len(trimmed.kept)
    features = classifiers.features(made, token_ids(trimmed.tokenizer, TRAIN.texts))
    np.testing.assert_allclose(features, expected, atol=2e-5)


@every_architecture
def test_widening_is_the_inverse_of_narrowing(architecture: Architecture) -> None:
    made = loaded(architecture)
    before = table_of(made).clone()
    trimmed = trim(made.tokenizer, TRAIN.texts)
    assert len(trimmed.kept) < len(before)
    classifiers.narrow(made, trimmed)
    classifiers.widen(made, trimmed.kept, before)
    assert torch.equal(table_of(made), before)
    assert made.encoder.config.vocab_size == len(before)


def _steps(classifier: Classifier, rows: list[list[int]]) -> None:
    """Train everything for three steps of AdamW on one batch."""
    ids, mask = classifiers.pad(rows)
    targets = torch.arange(len(rows)) % 4
    parameters = [*classifier.encoder.parameters(), *classifier.head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        logits = classifier.head(classifiers.mean_state(classifier.encoder, ids, mask))
        torch.nn.functional.cross_entropy(logits, targets).backward()
        optimiser.step()


@every_architecture
def test_training_the_narrow_classifier_is_training_the_full_one(architecture: Architecture) -> None:
    full, narrow = loaded(architecture), loaded(architecture)
    before = table_of(full).clone()
    trimmed = trim(full.tokenizer, TRAIN.texts)
    rows = rows_of(full, TRAIN.texts[:16])
    _steps(full, rows)
    classifiers.narrow(narrow, trimmed)
    _steps(narrow, token_ids(trimmed.tokenizer, TRAIN.texts[:16]))
    classifiers.widen(narrow, trimmed.kept, before)
    used = sorted({token for row in rows for token in row})
    outside = sorted(set(range(len(before))) - set(trimmed.kept))
    torch.testing.assert_close(table_of(narrow)[used], table_of(full)[used], atol=2e-4, rtol=1e-3)
    assert (table_of(narrow)[used] - before[used]).abs().max() > 1e-3
    assert torch.equal(table_of(narrow)[outside], before[outside])
    expected = classifiers.all_logits(full, rows)
    np.testing.assert_allclose(classifiers.all_logits(narrow, rows), expected, atol=5e-3)


def test_narrowing_follows_the_order_of_the_new_numbers() -> None:
    made = loaded("bert")
    before = table_of(made).clone()
    classifiers.narrow(made, Trimmed(tokenizer="", kept=(4, 2, 9), used=(4, 2, 9), rows=(0, 1, 2)))
    assert torch.equal(table_of(made), before[[4, 2, 9]])


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("bert", "encoder.layer"),
        ("distilbert", "transformer.layer"),
        ("roberta", "encoder.layer"),
        ("modernbert", "layers"),
    ],
)
def test_the_layers_are_found_whatever_they_are_called(architecture: Architecture, name: str) -> None:
    path, layers = classifiers.layers_of(loaded(architecture).encoder)
    assert (path, len(layers)) == (name, 3)


@every_architecture
def test_the_chosen_layers_are_kept_with_their_weights(architecture: Architecture) -> None:
    made = loaded(architecture)
    _, before = classifiers.layers_of(made.encoder)
    before = copy.deepcopy(before)
    classifiers.keep_layers(made, (0, 2))
    _, after = classifiers.layers_of(made.encoder)
    assert made.encoder.config.num_hidden_layers == len(after) == 2
    for place, position in enumerate((0, 2)):
        expected = dict(before[position].named_parameters())
        kept = dict(after[place].named_parameters())
        assert kept.keys() == expected.keys()
        assert all(torch.equal(kept[name], expected[name]) for name in expected)


@every_architecture
def test_a_shorter_encoder_is_the_one_that_its_configuration_describes(
    architecture: Architecture, tmp_path: Path
) -> None:
    made = loaded(architecture)
    whole = classifiers.all_logits(made, rows_of(made))
    classifiers.keep_layers(made, (0, 2))
    expected = classifiers.all_logits(made, rows_of(made))
    classifiers.save(made, tmp_path)
    again = classifiers.load(tmp_path)
    np.testing.assert_array_equal(classifiers.all_logits(again, rows_of(again)), expected)
    assert not np.allclose(expected, whole)


def test_a_layer_of_other_sizes_than_its_configuration_says_is_refused() -> None:
    made = loaded("bert")
    classifiers.layers_of(made.encoder)[1][2].output.dense = torch.nn.Linear(7, 48)
    with pytest.raises(ValueError, match="layer 2 of a bert does not fit place 1"):
        classifiers.keep_layers(made, (0, 2))


def test_a_layer_that_does_not_fit_its_new_place_is_refused() -> None:
    with pytest.raises(ValueError, match="layer 1 of a modernbert does not fit place 0"):
        classifiers.keep_layers(loaded("modernbert"), (1, 2))
