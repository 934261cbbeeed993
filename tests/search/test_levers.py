"""Every lever on every kind of small base: what is left out is known beforehand, the rest is as large as predicted.

The bases are random and made on the spot, with a vocabulary of a few thousand tokens. Nothing is trained: what training
changes is neither the size of a graph nor whether it can be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tinymodels import LABELS, Architecture, material, tables, write_tiny_base

from parsimony.bundle import predict
from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.compression import build
from parsimony.data.table import Texts
from parsimony.search import ladder, size_prediction
from parsimony.training.checkpoint import write_checkpoint
from parsimony.training.classifier import Classifier, all_logits, load_base
from parsimony.training.families import student
from parsimony.training.fit import set_head
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TRAIN, _, _ = tables()
TEXTS = Texts.of(TRAIN.texts)
ALL = ("linear", "student", "encoder")
MAX_TOKENS, WORDS, NEAR = 32, 4_500, 0.02
EVERY: tuple[Architecture, ...] = (
    "bert", "distilbert", "roberta", "xlm-roberta", "electra", "mpnet", "deberta-v2", "modernbert",
)  # fmt: skip
# One body with separate matrices and one with joined ones; the others are tried where there is more time.
FIRST = ("bert", "modernbert")
FUSED = {"bert", "distilbert", "roberta", "xlm-roberta", "electra"}
# The widest student, one with fewer heads, and the smallest: together they use every lever.
STUDENTS = (0, 3, -1)


def _classifier(base: Path, spec: ModelSpec) -> Classifier:
    classifier = load_base(base, classes=len(LABELS), max_tokens=MAX_TOKENS)
    hidden = classifier.encoder.config.hidden_size
    set_head(classifier, np.random.default_rng(0).normal(size=(len(LABELS), hidden)), np.zeros(len(LABELS)))
    if spec.family == "student":
        student.shrink(classifier, spec.shape, TRAIN.texts)
    return classifier


def _built(
    base: Path, shape: size_prediction.Shape, folder: Path
) -> Iterator[tuple[Candidate, BuiltBundle, Classifier]]:
    """Build what the ladder derives from the reference and three students, each from an untrained checkpoint."""
    reference = ladder.reference_spec(str(base))
    students = ladder.student_specs(str(base), shape)
    for spec in (reference, *dict.fromkeys(students[place] for place in STUDENTS)):
        classifier, checkpoint = _classifier(base, spec), folder / spec.id
        checkpoint.mkdir()
        write_checkpoint(
            checkpoint, classifier, replace(material(base, spec), max_tokens=MAX_TOKENS), {"validation_accuracy": 0.0}
        )
        sources = build.Sources(checkpoint=checkpoint, base=base, texts=TEXTS, labels=LABELS, data_digest="d" * 64)
        without = [name for name, _ in shape.obstacles]
        for candidate in ladder.candidates(spec, ALL, reference, without, shape.amounts):
            yield candidate, build.build(candidate, sources, folder / f"bundle {candidate.id}"), classifier


@pytest.mark.parametrize(
    "architecture", [pytest.param(name, marks=[] if name in FIRST else [pytest.mark.long]) for name in EVERY]
)
def test_every_lever_works_as_predicted_and_predicts_like_the_model(architecture: Architecture, tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base", architecture=architecture, hidden=64, words=WORDS)
    shape = size_prediction.shape_of(base, TEXTS, MAX_TOKENS)
    assert shape.whole.rows > WORDS
    assert (shape.layers, shape.heads, shape.neurons) == (3, 4, 128)
    assert [name for name, _ in shape.obstacles] == ([] if architecture in FUSED else ["fusion"])
    sizes = {}
    for candidate, bundle, classifier in _built(base, shape, tmp_path):
        sizes[candidate.id] = size_prediction.predict(candidate, shape, LABELS) / bundle.size_bytes - 1
        expected = all_logits(classifier, token_ids(classifier.tokenizer, TRAIN.texts[:16]))
        model = predict.load(Path(bundle.folder), threads=1)
        logits = np.stack([predict.logits(model, text) for text in TRAIN.texts[:16]])
        if not {"int8", "mixed", "int4"} & set(candidate.techniques):
            np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
        assert np.isfinite(logits).all()
    assert shape.amounts == ("trim2k",)
    assert len(sizes) == 8 + 3 * 4
    worst = max(sizes, key=lambda name: abs(sizes[name]))
    assert abs(sizes[worst]) < NEAR, (worst, sizes[worst])
