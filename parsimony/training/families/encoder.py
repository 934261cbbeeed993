"""The encoder family: a pretrained transformer, as it is (`frozen`) or fine-tuned.

Fine-tuning starts from the head that fits the frozen features, then trains everything
(Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").
"""

from __future__ import annotations

from pathlib import Path

from parsimony.training.checkpoint import WEIGHTS, write_checkpoint
from parsimony.training.classifier import load, load_base
from parsimony.training.family import Family, Material
from parsimony.training.fit import fit, frozen_head
from parsimony.training.teacher import write_teacher
from parsimony.training.threads import suited
from parsimony.training.trainer import Recipe

FROZEN = "frozen"


def train(material: Material, folder: Path) -> None:
    """Write the checkpoint: frozen features with a linear head, or the whole model fine-tuned from there."""
    if material.spec.shape == (FROZEN,):
        _probe(material, folder)
    else:
        _finetune(material, folder)


def _probe(material: Material, folder: Path) -> None:
    classifier = load_base(material.base, classes=len(material.labels), max_tokens=material.max_tokens)
    with suited():
        accuracy = frozen_head(classifier, material)
    write_checkpoint(folder, classifier, material, {"validation_accuracy": accuracy, "trained": "head"})


def _finetune(material: Material, folder: Path) -> None:
    if material.start is None:
        raise ValueError("fine-tuning starts from the probed base, found none")
    classifier = load(material.start / WEIGHTS)
    settings = material.settings
    recipe = Recipe(epochs=settings.epochs, learning_rate=settings.learning_rate, batch_size=settings.batch_size)
    done = fit(classifier, material, recipe)
    write_teacher(folder, classifier, material)
    write_checkpoint(folder, classifier, material, {**done, "trained": "all"})


FAMILY = Family(name="encoder", train=train)
