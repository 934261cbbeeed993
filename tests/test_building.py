"""A bundle answers like its trunk, is built once, and no technique is believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from tinymodels import ARCHITECTURES, DATA, LABELS, Architecture, Name, base_of, grown, tables, trunk_of

from parsimony import building, graphs
from parsimony.bundle import load, logits
from parsimony.contracts import DoesNotApplyError, Draft, Technique
from parsimony.files import MANIFEST, folder_bytes, verify_folder
from parsimony.records import BuiltBundle, Candidate
from parsimony.techniques import TECHNIQUES
from parsimony.trunks import draft_of
from parsimony.vocabulary import token_ids

TRAIN, SEARCH, _ = tables()


def build(
    target: Path, *after: str, architecture: Architecture = "bert", name: Name = "reference", data: str = DATA
) -> BuiltBundle:
    candidate = Candidate(trunk=trunk_of(architecture, name), after=after)
    trunk = Path(grown(architecture, name).folder)
    return building.build(
        candidate, trunk, target, base=base_of(architecture), texts=TRAIN.texts, labels=LABELS, data_digest=data
    )


def logits_of(bundle: BuiltBundle) -> np.ndarray:
    loaded = load(Path(bundle.folder))
    return np.stack([logits(loaded, text) for text in SEARCH.texts])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ["reference", "linear"])
def test_a_bundle_without_techniques_answers_like_its_trunk(
    architecture: Architecture, name: Name, tmp_path: Path
) -> None:
    trunk = draft_of(Path(grown(architecture, name).folder), TRAIN.texts)
    expected = graphs.run(trunk.graph, token_ids(trunk.tokenizer, SEARCH.texts))
    found = logits_of(build(tmp_path / "b", architecture=architecture, name=name))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_size_is_that_of_the_folder_and_the_lineage_says_where_it_comes_from(tmp_path: Path) -> None:
    made = build(tmp_path / "b", "trim", "int8", name="student", data="digest of other data")
    assert made.size_bytes == folder_bytes(tmp_path / "b")
    lineage = verify_folder(tmp_path / "b")["lineage"]
    kinds = lineage.pop("bytes_per_type")
    assert set(kinds) >= {"INT8", "FLOAT"}
    assert lineage == {
        "candidate": "student.layers-2(tiny_bert)+trim+int8",
        "family": "student",
        "base": "package:tiny_bert",
        "techniques": ["layers-2", "trim", "int8"],
        "data_digest": "digest of other data",
    }


def test_building_again_uses_the_bundle_that_is_there(tmp_path: Path) -> None:
    first = build(tmp_path / "b", "trim")
    before = (tmp_path / "b" / MANIFEST).stat().st_ino
    assert build(tmp_path / "b", "trim") == first
    assert (tmp_path / "b" / MANIFEST).stat().st_ino == before


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "labels.json"])
def test_a_damaged_bundle_is_built_again(tmp_path: Path, name: str) -> None:
    first = build(tmp_path / "b", "trim")
    path = tmp_path / "b" / name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert build(tmp_path / "b", "trim") == first
    verify_folder(tmp_path / "b")


def test_a_bundle_without_its_manifest_is_built_again(tmp_path: Path) -> None:
    first = build(tmp_path / "b")
    (tmp_path / "b" / MANIFEST).unlink()
    assert build(tmp_path / "b") == first


def test_the_same_candidate_gives_the_same_bytes(tmp_path: Path) -> None:
    for after in ((), ("trim", "fusion", "int8"), ("trim", "fusion", "int4")):
        one, two = (build(tmp_path / f"{side}{len(after)}{after[-1:]}", *after) for side in ("a", "b"))
        assert one.digest == two.digest


# --- claims ---------------------------------------------------------------------------------------


def _with_head(draft: Draft, change: Callable[[np.ndarray], np.ndarray]) -> Draft:
    """Return the draft with another head."""
    model = type(draft.graph).FromString(draft.graph.SerializeToString())
    value = numpy_helper.to_array(graphs.initializers(model)["head.weight"])
    graphs.replace_constant(model, "head.weight", change(value))
    return replace(draft, graph=model)


def _only_tables(draft: Draft) -> Draft:
    """Quantise the tables and leave the matrices, as tools do that meet an operator they do not know."""
    quantised = TECHNIQUES["int8"].apply(draft).graph
    model = type(draft.graph).FromString(quantised.SerializeToString())
    weight = np.ones((48, 96), dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "left.behind"))
    model.graph.node[-1].op_type = "Gemm"
    model.graph.node[-1].input.append("left.behind")
    return replace(draft, graph=model)


LIARS = {
    "says it quantises and does nothing": (True, lambda draft: draft, "left .* in fp32"),
    "says it quantises and leaves a matrix": (True, _only_tables, r"left left\.behind in fp32"),
    "says it keeps the answers and changes them": (False, lambda draft: _with_head(draft, lambda w: w * 1.1), "differ"),
    "says it keeps the answers and gives no numbers": (
        False,
        lambda draft: _with_head(draft, lambda w: w * np.float32("nan")),
        "answers are no numbers",
    ),
}


@pytest.mark.parametrize("name", LIARS)
def test_a_technique_that_does_not_do_what_it_says_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantises, apply, reason = LIARS[name]
    monkeypatch.setitem(TECHNIQUES, "liar", Technique(name="liar", apply=apply, quantises=quantises))
    with pytest.raises(DoesNotApplyError, match=f"liar.*{reason}"):
        build(tmp_path / "b", "liar")
    assert list(tmp_path.iterdir()) == []


def test_a_quantised_graph_that_gives_no_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft) -> Draft:
        quantised = TECHNIQUES["int8"].apply(draft)
        model = type(draft.graph).FromString(quantised.graph.SerializeToString())
        graphs.replace_constant(model, "head.bias", np.full(4, np.nan, dtype=np.float32))
        return replace(quantised, graph=model)

    monkeypatch.setitem(TECHNIQUES, "broken", Technique(name="broken", apply=broken, quantises=True))
    with pytest.raises(DoesNotApplyError, match="broken made a graph whose answers are no numbers"):
        build(tmp_path / "b", "broken")


def test_a_candidate_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DoesNotApplyError, match="no attention pattern for modernbert"):
        build(tmp_path / "b", "trim", "fusion", "int8", architecture="modernbert")
    assert list(tmp_path.iterdir()) == []


# --- keys -----------------------------------------------------------------------------------------


def test_the_key_changes_with_all_that_the_bundle_depends_on() -> None:
    candidate = Candidate(trunk=trunk_of("bert", "reference"), after=("trim", "int8"))
    keys = [
        building.key_of(candidate, "trunk", LABELS),
        building.key_of(replace(candidate, after=("trim", "int4")), "trunk", LABELS),
        building.key_of(replace(candidate, after=("int8", "trim")), "trunk", LABELS),
        building.key_of(candidate, "other trunk", LABELS),
        building.key_of(candidate, "trunk", LABELS[::-1]),
    ]
    assert len(set(keys)) == len(keys)
    assert building.key_of(candidate, "trunk", LABELS) == keys[0]


def test_the_key_changes_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = Candidate(trunk=trunk_of("bert", "reference"), after=("trim",))
    copy = Path(shutil.copytree(Path(building.__file__).parent, tmp_path / "parsimony"))
    monkeypatch.setattr(building, "__file__", str(copy / "building.py"))
    before = building.key_of(candidate, "trunk", LABELS)
    for name in ("techniques/int8.py", "techniques/trim.py", "graphs.py"):
        (copy / name).write_text((copy / name).read_text(encoding="utf-8") + "\n", encoding="utf-8")
        after = building.key_of(candidate, "trunk", LABELS)
        assert (after != before) == (name != "techniques/int8.py"), name
        before = after


def test_the_lineage_is_strict_json(tmp_path: Path) -> None:
    build(tmp_path / "b", name="linear")
    json.loads((tmp_path / "b" / MANIFEST).read_text(encoding="utf-8"), parse_constant=lambda name: 1 / 0)
