"""The encoder family: a pretrained transformer, as it is (`frozen`) or fine-tuned.

Fine-tuning starts from the head that fits the frozen features, then trains everything
(Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").
"""

from __future__ import annotations

from pathlib import Path

from parsimony.classifier import load, load_base
from parsimony.contracts import Family, Material
from parsimony.training import Recipe
from parsimony.trunks import WEIGHTS, fit, frozen_head, write_teacher, write_trunk

FROZEN = "frozen"


def train(material: Material, folder: Path) -> None:
    """Write the trunk: frozen features with a linear head, or the whole model fine-tuned from there."""
    if material.trunk.shape == (FROZEN,):
        _probe(material, folder)
    else:
        _finetune(material, folder)


def _probe(material: Material, folder: Path) -> None:
    classifier = load_base(material.base, classes=len(material.labels), max_tokens=material.max_tokens)
    accuracy = frozen_head(classifier, material)
    write_trunk(folder, classifier, material, {"search_accuracy": accuracy, "trained": "head"})


def _finetune(material: Material, folder: Path) -> None:
    if material.start is None:
        raise ValueError("fine-tuning starts from the probed base, found none")
    classifier = load(material.start / WEIGHTS)
    settings = material.settings
    recipe = Recipe(epochs=settings.epochs, learning_rate=settings.learning_rate, batch_size=settings.batch_size)
    done = fit(classifier, material, recipe)
    write_teacher(folder, classifier, material)
    write_trunk(folder, classifier, material, {**done, "trained": "all"})


FAMILY = Family(name="encoder", train=train)
