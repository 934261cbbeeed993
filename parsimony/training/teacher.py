"""What a teacher made of the texts, kept for the students that learn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parsimony.data.labels import class_numbers
from parsimony.training.classifier import Classifier, features
from parsimony.training.examples import Teacher
from parsimony.training.family import Material
from parsimony.training.vocabulary import token_ids

TEACHER = "teacher.npz"


def write_teacher(folder: Path, classifier: Classifier, material: Material) -> None:
    """Keep the mean states of the texts to distil on and of the validation texts, and the head that reads them, for students."""
    weight, bias = (p.detach().float().numpy() for p in (classifier.head.weight, classifier.head.bias))
    train, validation = (
        features(classifier, token_ids(classifier.tokenizer, texts))
        for texts in (material.texts, material.validation.texts)
    )
    np.savez(folder / TEACHER, weight=weight, bias=bias, train=train, validation=validation)


def read_teacher(folder: Path) -> tuple[Teacher, Teacher]:
    """Read what the teacher made of the texts to distil on, those without labels last, and of the validation texts."""
    with np.load(folder / TEACHER, allow_pickle=False) as kept:
        states, weight, bias = (kept["train"], kept["validation"]), kept["weight"], kept["bias"]
    train, validation = (Teacher(logits=of @ weight.T + bias, states=of) for of in states)
    return train, validation


def classes_of(material: Material, lesson: Teacher) -> np.ndarray:
    """Return a class number for every text to distil on: its label's, or what the teacher predicts of a text without one."""
    labelled = class_numbers(material.train.labels, material.labels)
    return np.concatenate((labelled, lesson.logits[len(labelled) :].argmax(1)))


def passes(material: Material, epochs: float) -> float:
    """Return how many passes over all texts take as many steps as so many over those with labels."""
    labelled, every = (-(-len(texts) // material.settings.batch_size) for texts in (material.train, material.texts))
    return epochs * labelled / every
