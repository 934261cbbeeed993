"""What a teacher made of the texts, kept for the students that learn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parsimony.training.classifier import Classifier, features
from parsimony.training.examples import Teacher
from parsimony.training.family import Material

from parsimony.training.vocabulary import token_ids

TEACHER = "teacher.npz"


def write_teacher(folder: Path, classifier: Classifier, material: Material) -> None:
    """Keep the mean states of the training and the validation texts, and the head that reads them, for students."""
    weight, bias = (p.detach().float().numpy() for p in (classifier.head.weight, classifier.head.bias))
    train, validation = (
        features(classifier, token_ids(classifier.tokenizer, table.texts))
        for table in (material.train, material.validation)
    )
    np.savez(folder / TEACHER, weight=weight, bias=bias, train=train, validation=validation)


def read_teacher(folder: Path) -> tuple[Teacher, Teacher]:
    """Read what the teacher made of the training and of the validation texts."""
    with np.load(folder / TEACHER, allow_pickle=False) as kept:
        states, weight, bias = (kept["train"], kept["validation"]), kept["weight"], kept["bias"]
    train, validation = (Teacher(logits=of @ weight.T + bias, states=of) for of in states)
    return train, validation
