"""Training learns, keeps its best epoch, stops when nothing is gained, and gives the same weights for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tinymodels import LABELS, base_of, freeze, tables

from parsimony.data.labels import class_numbers
from parsimony.training import qat
from parsimony.training.classifier import Classifier, all_logits, features, load_base
from parsimony.training.examples import Examples, Teacher
from parsimony.training.trainer import Recipe, Trained, train
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TRAIN, VALIDATION, _ = tables()
RECIPE = Recipe(epochs=8, patience=8, learning_rate=5e-3, batch_size=16)


def fresh() -> Classifier:
    freeze()
    return load_base(base_of("bert"), classes=4, max_tokens=32)


def examples(classifier: Classifier) -> tuple[Examples, Examples]:
    rows = [token_ids(classifier.tokenizer, table.texts) for table in (TRAIN, VALIDATION)]
    numbers = [class_numbers(table.labels, LABELS) for table in (TRAIN, VALIDATION)]
    return Examples(rows=rows[0], targets=numbers[0]), Examples(rows=rows[1], targets=numbers[1])


def right(classifier: Classifier, of: Examples) -> float:
    return float((all_logits(classifier, of.rows).argmax(1) == of.targets).mean())


def weights(classifier: Classifier) -> np.ndarray:
    parameters = [*classifier.encoder.parameters(), *classifier.head.parameters()]
    return torch.cat([p.detach().flatten() for p in parameters]).numpy()


@pytest.fixture(scope="module")
def first() -> tuple[Classifier, Trained]:
    classifier = fresh()
    return classifier, train(classifier, *examples(classifier), RECIPE, seed=1)


def test_a_classifier_learns(first: tuple[Classifier, Trained]) -> None:
    classifier, done = first
    assert right(classifier, examples(classifier)[0]) > 0.7
    assert (done.epochs, done.steps) == (8.0, 72)


def test_the_accuracy_that_is_reported_is_that_of_the_weights_that_are_left(first: tuple[Classifier, Trained]) -> None:
    classifier, done = first
    # The last digits of bf16 may turn one of the 48 predictions.
    assert done.validation_accuracy == pytest.approx(right(classifier, examples(classifier)[1]), abs=1.1 / 48)


def test_a_trained_classifier_is_left_ready_to_predict(first: tuple[Classifier, Trained]) -> None:
    classifier, _ = first
    assert not classifier.encoder.training
    assert not classifier.head.training
    assert {str(p.device) for p in classifier.encoder.parameters()} == {"cpu"}
    assert {p.dtype for p in classifier.encoder.parameters()} == {torch.float32}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    trained = []
    for seed in (1, 1, 2):
        classifier = fresh()
        train(classifier, *examples(classifier), replace(RECIPE, epochs=1), seed=seed)
        trained.append(weights(classifier))
    np.testing.assert_array_equal(trained[0], trained[1])
    assert not np.array_equal(trained[0], trained[2])


def test_training_stops_when_the_validation_split_gains_nothing() -> None:
    classifier = fresh()
    train_set, validation = examples(classifier)
    hopeless = replace(validation, targets=np.zeros_like(validation.targets))
    done = train(classifier, train_set, hopeless, replace(RECIPE, epochs=20, patience=1, learning_rate=1e-9), seed=1)
    assert done.epochs == 2.0


def lesson(classifier: Classifier, of: Examples, classes: np.ndarray) -> Teacher:
    """Return a teacher that is sure of these class numbers and sees each text as the untrained classifier does."""
    logits = np.full((len(of.rows), 4), -4.0, dtype=np.float32)
    logits[np.arange(len(of.rows)), classes] = 4.0
    return Teacher(logits=logits, states=features(classifier, of.rows))


def test_one_pass_of_a_student_follows_its_seed_comes_nearer_to_its_teacher_and_ends_rounded() -> None:
    """The teacher is another start; the labels are wrong, so nothing can be learned from them."""
    taught, distances = [], []
    for seed in (1, 1, 2):
        classifier, other = fresh(), fresh()
        for parameter in other.encoder.parameters():
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
        train_set, validation = (
            replace(of, targets=(of.targets + 1) % 4, teacher=lesson(other, of, of.targets))
            for of in examples(classifier)
        )
        wanted = features(other, validation.rows)
        before = ((features(classifier, validation.rows) - wanted) ** 2).mean()
        done = train(classifier, train_set, validation, replace(RECIPE, epochs=1, hard_share=0.0), seed=seed)
        distances.append(((features(classifier, validation.rows) - wanted) ** 2).mean() / before)
        taught.append(weights(classifier))
        assert done.epochs == 1.0
        assert done.validation_accuracy == pytest.approx(right(classifier, validation), abs=1.1 / 48)
        assert all(w.equal(qat.rounded(w)) for w in qat.stored_in_few_bits(classifier.encoder))
    np.testing.assert_array_equal(taught[0], taught[1])
    assert not np.array_equal(taught[0], taught[2])
    assert max(distances) < 0.9


def test_a_student_learns_from_the_teacher_what_the_labels_do_not_say() -> None:
    classifier = fresh()
    train_set, validation = examples(classifier)
    wrong, lost = (
        replace(of, targets=(of.targets + 1) % 4, teacher=lesson(classifier, of, of.targets))
        for of in (train_set, validation)
    )
    done = train(classifier, wrong, lost, replace(RECIPE, hard_share=0.0, state_weight=0.0), seed=1)
    assert right(classifier, train_set) > 0.7
    assert done.validation_accuracy < 0.3  # by the labels given


def test_a_student_comes_nearer_to_the_state_of_its_teacher() -> None:
    """The teacher's states are those of another start; the labels and the logits say nothing."""
    classifier, other = fresh(), fresh()
    for parameter in other.encoder.parameters():
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    train_set, validation = examples(classifier)
    taught = [
        replace(of, teacher=Teacher(logits=np.zeros((len(of.rows), 4)), states=features(other, of.rows)))
        for of in (train_set, validation)
    ]

    def distance() -> float:
        wanted = features(other, validation.rows)
        return float(((features(classifier, validation.rows) - wanted) ** 2).mean() / wanted.var(0).mean())

    before = distance()
    train(classifier, taught[0], taught[1], replace(RECIPE, hard_share=0.0, epochs=8), seed=1)
    assert distance() < 0.6 * before


def test_a_student_is_trained_to_the_end_and_kept_as_it_is_then() -> None:
    """By the labels every epoch is worse than the one before; that neither stops the training nor turns it back."""
    classifier = fresh()
    train_set, validation = examples(classifier)
    taught = [replace(of, teacher=lesson(classifier, of, of.targets)) for of in (train_set, validation)]
    hopeless = replace(taught[1], targets=(validation.targets + 1) % 4)
    done = train(classifier, taught[0], hopeless, replace(RECIPE, patience=1, state_weight=0.0), seed=1)
    assert done.epochs == 8.0
    assert right(classifier, train_set) > 0.7
    assert done.validation_accuracy == pytest.approx(right(classifier, hopeless), abs=1.1 / 48)
    for weight in qat.stored_in_few_bits(classifier.encoder):
        assert weight.equal(qat.rounded(weight))
