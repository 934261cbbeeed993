"""The student family: the fine-tuned reference with fewer or narrower layers or a narrower token table, distilled from
its cached predictions.

Layers are taken at even distances from the first to the last (Sanh et al. 2019, DistilBERT, takes every second). A
student learns the teacher's logits and its mean token state, and starts from the teacher's head, which reads that state.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parsimony.training.checkpoint import WEIGHTS, write_checkpoint
from parsimony.training.classifier import Classifier, cut_positions, keep_layers, load
from parsimony.training.factorised_embedding import factorise
from parsimony.training.family import Family, Material
from parsimony.training.fit import fit
from parsimony.training.layer_parts import layers_of
from parsimony.training.pruning import prune_ffn, prune_heads
from parsimony.training.teacher import passes
from parsimony.training.trainer import Recipe
from parsimony.training.vocabulary import token_ids

_LAYERS, _HEADS, _NEURONS, _EMBEDDING = "L", "A", "F", "E"
_SAMPLE_TEXTS = 512
_MOST_PASSES = 3.0


def student_shape(
    layers: int, *, heads: int | None = None, neurons: int | None = None, embedding: int | None = None
) -> tuple[str, ...]:
    """Return the shape of a student: layers and, when given, heads and neurons in each of them, width of its token table."""
    parts = ((_LAYERS, layers), (_HEADS, heads), (_NEURONS, neurons), (_EMBEDDING, embedding))
    return tuple(f"{name}{count}" for name, count in parts if count is not None)


def layers_in(shape: tuple[str, ...]) -> int:
    """Return k of the shape ("Lk", ...)."""
    return int(shape[0].removeprefix(_LAYERS))


def heads_in(shape: tuple[str, ...]) -> int | None:
    """Return h of the shape ("Lk", "Ah", ...), None when no head was taken out."""
    return _count(shape, _HEADS)


def neurons_in(shape: tuple[str, ...]) -> int | None:
    """Return n of the shape ("Lk", ..., "Fn", ...), None when no neuron was taken out."""
    return _count(shape, _NEURONS)


def embedding_in(shape: tuple[str, ...]) -> int | None:
    """Return e of the shape ("Lk", ..., "Ee"), None when the token table is whole."""
    return _count(shape, _EMBEDDING)


def epochs_of(layers: int, of: int, epochs: int) -> float:
    """Return how many passes a student with some of the layers trains for when one with all of them trains `epochs`.

    Fewer layers are given the same time, up to three times the passes: the fewer, the more there is to learn anew.
    """
    return epochs * min(of / layers, _MOST_PASSES)


def _count(shape: tuple[str, ...], name: str) -> int | None:
    return next((int(part.removeprefix(name)) for part in shape if part.startswith(name)), None)


def spread(keep: int, of: int) -> tuple[int, ...]:
    """Return `keep` positions of `of`, evenly spread, the first and the last included where there is room."""
    if not 0 < keep <= of:
        raise ValueError(f"cannot keep {keep} of {of} layers")
    if keep == 1:
        return (0,)
    return tuple(round(i * (of - 1) / (keep - 1)) for i in range(keep))


def train(material: Material, folder: Path) -> None:
    """Write the checkpoint: the reference with fewer layers, trained on the reference's predictions."""
    if material.start is None:
        raise ValueError("a student starts from the reference, found none")
    classifier = load(material.start / WEIGHTS)
    of = len(layers_of(classifier.encoder)[1])
    chosen = shrink(classifier, material.spec.shape, material.texts)
    settings = material.settings
    recipe = Recipe(
        epochs=passes(material, epochs_of(len(chosen), of, settings.student_epochs)),
        learning_rate=settings.student_learning_rate,
        batch_size=settings.batch_size,
    )
    done = fit(classifier, material, recipe, teacher=material.start)
    write_checkpoint(folder, classifier, material, {**done, "trained": "distilled", "from_layers": list(chosen)})


def shrink(classifier: Classifier, shape: tuple[str, ...], texts: Sequence[str]) -> tuple[int, ...]:
    """Give a classifier this shape, in place, and return which layers it kept; what stays is fitted on these texts."""
    chosen = spread(layers_in(shape), len(layers_of(classifier.encoder)[1]))
    keep_layers(classifier, chosen)
    sample = token_ids(classifier.tokenizer, texts[:: max(1, len(texts) // _SAMPLE_TEXTS)])
    if (heads := heads_in(shape)) is not None:
        prune_heads(classifier, heads, sample)
    if (neurons := neurons_in(shape)) is not None:
        prune_ffn(classifier, neurons, sample)
    if (width := embedding_in(shape)) is not None:
        factorise(classifier.encoder, width, token_ids(classifier.tokenizer, texts))
    cut_positions(classifier)
    return chosen


FAMILY = Family(name="student", train=train)
