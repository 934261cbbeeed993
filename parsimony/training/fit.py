"""Train a transformer classifier, or only the linear head on its frozen features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parsimony.data.labels import class_numbers
from parsimony.data.table import Table
from parsimony.training import factorised_embedding
from parsimony.training.classifier import Classifier, features, narrow, padding_position, widen
from parsimony.training.examples import Examples, Teacher
from parsimony.training.family import Material
from parsimony.training.teacher import classes_of, read_teacher
from parsimony.training.trainer import Recipe, train
from parsimony.training.vocabulary import CannotTrimError, Trimmed, token_ids, trim


def frozen_head(classifier: Classifier, material: Material) -> float:
    """Fit the linear head on the frozen features and return its accuracy on the validation split.

    Features are scaled to unit variance for the solver and the scale is folded back into the head.
    """
    from sklearn.linear_model import LogisticRegression

    table = features(classifier, token_ids(classifier.tokenizer, material.train.texts))
    validation = features(classifier, token_ids(classifier.tokenizer, material.validation.texts))
    classes, wanted = (class_numbers(t.labels, material.labels) for t in (material.train, material.validation))
    scale = 1.0 / max(float(table.std()), 1e-12)
    model = LogisticRegression(C=1.0, max_iter=200).fit(table * scale, classes)
    weight, bias = np.asarray(model.coef_) * scale, np.asarray(model.intercept_)
    if len(material.labels) == 2:  # scikit-learn keeps one row for two classes; logits need both
        weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
    set_head(classifier, weight, bias)
    return float(((validation @ weight.T + bias).argmax(1) == wanted).mean())


def set_head(classifier: Classifier, weight: np.ndarray, bias: np.ndarray) -> None:
    """Give the head its weight [classes, hidden] and bias [classes]."""
    import torch

    classifier.head.weight.data = torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32))
    classifier.head.bias.data = torch.from_numpy(np.ascontiguousarray(bias, dtype=np.float32))


def fit(classifier: Classifier, material: Material, recipe: Recipe, teacher: Path | None = None) -> dict[str, object]:
    """Train in place and return what happened; `teacher` is the checkpoint to learn from when distilling.

    Only the embedding rows of tokens that occur in training are trained: the others have no gradient, so leaving them
    out spares them the weight decay and the run much time. They are put back afterwards, as they were.
    """
    trimmed = _needed(classifier, material.train.texts if teacher is None else material.texts)
    original = factorised_embedding.table_of(classifier.encoder).weight.data.clone()
    narrow(classifier, trimmed)
    if teacher is None:
        examples, validation = (_examples(table, material, trimmed) for table in (material.train, material.validation))
    else:
        examples, validation = _distilled(material, trimmed, teacher)
    done = train(classifier, examples, validation, recipe, material.seed, material.place)
    widen(classifier, trimmed.kept, original)
    return {
        "epochs": done.epochs,
        "steps": done.steps,
        "validation_accuracy": done.validation_accuracy,
        "bf16": done.bf16,
    }


def _examples(table: Table, material: Material, trimmed: Trimmed, lesson: Teacher | None = None) -> Examples:
    """Return labelled texts as training reads them, with what a teacher made of them where it distils."""
    targets = class_numbers(table.labels, material.labels)
    return Examples(rows=token_ids(trimmed.tokenizer, table.texts), targets=targets, teacher=lesson)


def _distilled(material: Material, trimmed: Trimmed, teacher: Path) -> tuple[Examples, Examples]:
    """Return what to train on and what to validate with, and what the teacher makes of both."""
    lesson, check = read_teacher(teacher)
    examples = Examples(
        rows=token_ids(trimmed.tokenizer, material.texts), targets=classes_of(material, lesson), teacher=lesson
    )
    return examples, _examples(material.validation, material, trimmed, check)


def _needed(classifier: Classifier, texts: tuple[str, ...]) -> Trimmed:
    """Return the tokenizer and the embedding rows to train with: all of them where trimming is not possible."""
    try:
        trimmed = trim(classifier.tokenizer, texts)
    except CannotTrimError:
        return _all_rows(classifier)
    start = padding_position(classifier.encoder)
    moved = start is not None and (start >= len(trimmed.kept) or trimmed.kept[start] != start)
    return _all_rows(classifier) if moved else trimmed


def _all_rows(classifier: Classifier) -> Trimmed:
    rows = len(factorised_embedding.table_of(classifier.encoder).weight)
    every = tuple(range(rows))
    return Trimmed(tokenizer=classifier.tokenizer, kept=every, used=every, rows=every)
