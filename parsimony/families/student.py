"""The student family: some layers of the fine-tuned reference, distilled from its cached logits.

Layers are taken at even distances from the first to the last (Sanh et al. 2019, DistilBERT, takes every second).
"""

from __future__ import annotations

from pathlib import Path

from parsimony.classifier import keep_layers, layers_of, load
from parsimony.contracts import Family, Material
from parsimony.training import Recipe
from parsimony.trunks import WEIGHTS, fit, read_teacher, write_trunk

PREFIX = "layers-"


def layers_in(shape: tuple[str, ...]) -> int:
    """Return k of the shape ("layers-k",)."""
    return int(shape[0].removeprefix(PREFIX))


def spread(keep: int, of: int) -> tuple[int, ...]:
    """Return `keep` positions of `of`, evenly spread, the first and the last included where there is room."""
    if not 0 < keep <= of:
        raise ValueError(f"cannot keep {keep} of {of} layers")
    if keep == 1:
        return (0,)
    return tuple(round(i * (of - 1) / (keep - 1)) for i in range(keep))


def train(material: Material, folder: Path) -> None:
    """Write the trunk: the reference with fewer layers, trained on the reference's answers."""
    if material.start is None:
        raise ValueError("a student starts from the reference, found none")
    classifier = load(material.start / WEIGHTS)
    _, layers = layers_of(classifier.encoder)
    chosen = spread(layers_in(material.trunk.shape), len(layers))
    keep_layers(classifier, chosen)
    settings = material.settings
    recipe = Recipe(
        epochs=settings.student_epochs,
        learning_rate=settings.student_learning_rate,
        batch_size=settings.batch_size,
        patience=3,
    )
    done = fit(classifier, material, recipe, teacher=read_teacher(material.start))
    write_trunk(folder, classifier, material, {**done, "trained": "distilled", "from_layers": list(chosen)})


FAMILY = Family(name="student", train=train)
