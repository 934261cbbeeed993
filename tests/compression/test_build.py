"""A bundle predicts like its checkpoint, is built once, and no technique is believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import rooms
from onnx import numpy_helper
from tinymodels import (
    ARCHITECTURES,
    DATA,
    LABELS,
    Architecture,
    Name,
    base_of,
    checkpoint,
    first_quick,
    spec_of,
    tables,
)
from tokenizers import Tokenizer

from parsimony import files
from parsimony.bundle.config_json import CONFIG
from parsimony.bundle.folder import Windows
from parsimony.bundle.predict import load, logits
from parsimony.candidates import BuiltBundle, Candidate
from parsimony.compression import build as bundles
from parsimony.compression.build import ROOMS, Sources, draft_of
from parsimony.compression.technique import DoesNotApplyError, Draft, Technique
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.table import Texts
from parsimony.files import MANIFEST, folder_bytes, verify_folder
from parsimony.graphs import rewrite
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TRAIN, VALIDATION, _ = tables()
TEXTS = Texts.of(TRAIN.texts)


def build(
    target: Path,
    *after: str,
    architecture: Architecture = "bert",
    name: Name = "reference",
    data: str = DATA,
    windows: Windows = "first",
) -> BuiltBundle:
    candidate = Candidate(spec=spec_of(architecture, name), techniques=after)
    sources = Sources(
        checkpoint=Path(checkpoint(architecture, name).folder),
        base=base_of(architecture),
        texts=TEXTS,
        labels=LABELS,
        data_digest=data,
        windows=windows,
    )
    return bundles.build(candidate, sources, target)


def logits_of(bundle: BuiltBundle) -> np.ndarray:
    model = load(Path(bundle.folder))
    return np.stack([logits(model, text) for text in VALIDATION.texts])


@first_quick(ARCHITECTURES)
@pytest.mark.parametrize("name", ["reference", "linear"])
def test_a_bundle_without_techniques_predicts_like_its_checkpoint(
    architecture: Architecture, name: Name, tmp_path: Path
) -> None:
    draft = draft_of(Path(checkpoint(architecture, name).folder), TEXTS)
    expected = rewrite.run(draft.graph, token_ids(draft.tokenizer, VALIDATION.texts))
    logits = logits_of(build(tmp_path / "b", architecture=architecture, name=name))
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_the_size_is_that_of_the_folder_and_the_lineage_says_where_it_comes_from(tmp_path: Path) -> None:
    made = build(tmp_path / "b", "trim", "int8", name="student", data="digest of other data")
    assert made.size_bytes == folder_bytes(tmp_path / "b")
    lineage = verify_folder(tmp_path / "b")["lineage"]
    kinds = lineage.pop("bytes_per_type")
    assert set(kinds) >= {"INT8", "FLOAT"}
    assert lineage == {
        "candidate": "student-L2+trim+int8",
        "family": "student",
        "base": "package:tiny_bert",
        "shape": ["L2"],
        "techniques": ["trim", "int8"],
        "data_digest": "digest of other data",
    }


def _config_of(bundle: BuiltBundle) -> dict[str, object]:
    return json.loads((Path(bundle.folder) / CONFIG).read_text(encoding="utf-8"))


LABELLED = {
    "problem_type": "single_label_classification",
    "id2label": {"0": "card", "1": "meal", "2": "travel", "3": "weather"},
    "label2id": {"card": 0, "meal": 1, "travel": 2, "weather": 3},
}


@pytest.mark.parametrize(
    ("name", "after", "architectures", "model_type", "sizes"),
    [
        ("reference", (), "BertForSequenceClassification", "bert", (48, 3, 4)),
        ("narrow", ("trim", "fusion", "int4"), "BertForSequenceClassification", "bert", (48, 2, 2)),
        ("linear", ("trim", "int8"), "BagOfTokensForSequenceClassification", "bag-of-tokens", (4, 0, 0)),
        ("static", (), "BagOfTokensForSequenceClassification", "bag-of-tokens", (32, 0, 0)),
    ],
)
def test_config_json_says_what_was_built_in_transformers_words(
    name: Name, after: tuple[str, ...], architectures: str, model_type: str, sizes: tuple[int, ...], tmp_path: Path
) -> None:
    made = build(tmp_path / "b", *after, name=name)
    tokenizer = Tokenizer.from_file(str(tmp_path / "b" / "tokenizer.json"))
    assert _config_of(made) == {
        "architectures": [architectures],
        "model_type": model_type,
        **dict(zip(("hidden_size", "num_hidden_layers", "num_attention_heads"), sizes, strict=True)),
        "max_position_embeddings": 64,
        "vocab_size": max(tokenizer.get_vocab().values()) + 1,
        "pad_token_id": tokenizer.token_to_id("[PAD]"),
        **LABELLED,
    }


@pytest.mark.parametrize(("architecture", "positions"), [("roberta", 66), ("modernbert", 64)])
def test_transformers_reads_the_config_json_of_a_bundle(
    architecture: Architecture, positions: int, tmp_path: Path
) -> None:
    from transformers import AutoConfig

    made = build(tmp_path / "b", architecture=architecture)
    config = AutoConfig.from_pretrained(made.folder, trust_remote_code=False, local_files_only=True)
    assert (config.model_type, config.max_position_embeddings) == (architecture, positions)
    assert [config.id2label[number] for number in range(config.num_labels)] == list(LABELS)
    assert config.pad_token_id == Tokenizer.from_file(f"{made.folder}/tokenizer.json").token_to_id(
        "<pad>" if architecture == "roberta" else "[PAD]"
    )


@pytest.mark.parametrize("name", ["reference", "linear", "static"])
def test_a_server_that_gives_every_graph_tokens_and_their_mask_gets_the_same_logits(name: Name, tmp_path: Path) -> None:
    made = build(tmp_path / "b", name=name)
    session = onnxruntime.InferenceSession(f"{made.folder}/model.onnx", providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(f"{made.folder}/tokenizer.json")
    encodings = [tokenizer.encode(text) for text in VALIDATION.texts]
    feeds = [{"input_ids": np.array([e.ids]), "attention_mask": np.array([e.attention_mask])} for e in encodings]
    rows = [session.run(["logits"], feed)[0][0] for feed in feeds]
    np.testing.assert_array_equal(np.stack(rows), logits_of(made))


def test_building_again_uses_the_bundle_that_is_there(tmp_path: Path) -> None:
    first = build(tmp_path / "b", "trim")
    before = (tmp_path / "b" / MANIFEST).stat().st_ino
    assert build(tmp_path / "b", "trim") == first
    assert (tmp_path / "b" / MANIFEST).stat().st_ino == before


@pytest.mark.parametrize("family", ["reference", "linear"])
def test_a_bundle_that_reads_windows_averages_what_its_checkpoint_makes_of_each(family: Name, tmp_path: Path) -> None:
    draft = draft_of(Path(checkpoint("bert", family).folder), TEXTS)
    text = " ".join(VALIDATION.texts)
    whole = Tokenizer.from_str(draft.tokenizer).encode(text)
    windows = [whole.ids, *(part.ids for part in whole.overflowing)]
    assert len(windows) > 2
    rows = np.concatenate([rewrite.run(draft.graph, [ids]) for ids in windows])
    first, every = (load(Path(build(tmp_path / w, name=family, windows=w).folder)) for w in ("first", "mean"))
    np.testing.assert_allclose(logits(first, text), rows[0], atol=1e-5)
    np.testing.assert_allclose(logits(every, text), np.average(rows, axis=0, weights=[*map(len, windows)]), atol=1e-5)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json", "labels.json"])
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
    value = numpy_helper.to_array(rewrite.initializers(model)["head.weight"])
    rewrite.replace_constant(model, "head.weight", change(value))
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
    "says it keeps the logits and changes them": (False, lambda draft: _with_head(draft, lambda w: w * 1.1), "differ"),
    "says it keeps the logits and gives no numbers": (
        False,
        lambda draft: _with_head(draft, lambda w: w * np.float32("nan")),
        "logits are no numbers",
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
        rewrite.replace_constant(model, "head.bias", np.full(4, np.nan, dtype=np.float32))
        return replace(quantised, graph=model)

    monkeypatch.setitem(TECHNIQUES, "broken", Technique(name="broken", apply=broken, quantises=True))
    with pytest.raises(DoesNotApplyError, match="broken made a graph whose logits are no numbers"):
        build(tmp_path / "b", "broken")


def test_a_candidate_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DoesNotApplyError, match="found no attention in this bag graph"):
        build(tmp_path / "b", "trim", "fusion", "int8", name="linear")
    assert list(tmp_path.iterdir()) == []


# --- keys -----------------------------------------------------------------------------------------


def test_the_key_changes_with_all_that_the_bundle_depends_on() -> None:
    candidate = Candidate(spec=spec_of("bert", "reference"), techniques=("trim", "int8"))
    keys = [
        bundles.key_of(candidate, "checkpoint", LABELS),
        bundles.key_of(replace(candidate, techniques=("trim", "int4")), "checkpoint", LABELS),
        bundles.key_of(replace(candidate, techniques=("int8", "trim")), "checkpoint", LABELS),
        bundles.key_of(candidate, "other checkpoint", LABELS),
        bundles.key_of(candidate, "checkpoint", LABELS[::-1]),
        bundles.key_of(candidate, "checkpoint", LABELS, "mean"),
    ]
    assert len(set(keys)) == len(keys)
    assert bundles.key_of(candidate, "checkpoint", LABELS) == keys[0]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    with rooms.copied(tmp_path / "parsimony") as sources:
        yield sources


def _key_after_a_change(path: Path) -> str:
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    files.code_digest.cache_clear()
    return bundles.key_of(Candidate(spec=spec_of("bert", "reference"), techniques=("trim",)), "checkpoint", LABELS)


def test_the_key_changes_with_every_file_that_decides_what_a_bundle_holds(copy: Path) -> None:
    keys = [_key_after_a_change(path) for room in ROOMS for path in rooms.sources(copy, room)]
    assert len(set(keys)) == len(keys) > 40


def test_the_key_stays_when_a_room_changes_that_building_does_not_enter(copy: Path) -> None:
    files.code_digest.cache_clear()
    candidate = Candidate(spec=spec_of("bert", "reference"), techniques=("trim",))
    before = bundles.key_of(candidate, "checkpoint", LABELS)
    others = {path.name for path in copy.iterdir() if path.is_dir()} - {*ROOMS}
    assert {"reporting", "decision", "measurement", "search"} <= others
    for room in others:
        for path in rooms.sources(copy, room):
            path.write_text("changed", encoding="utf-8")
    files.code_digest.cache_clear()
    assert bundles.key_of(candidate, "checkpoint", LABELS) == before


def test_a_key_is_made_of_every_room_that_building_enters() -> None:
    assert rooms.imported_by("compression") == tuple(sorted((*ROOMS, *rooms.BESIDE)))


def test_the_lineage_is_strict_json(tmp_path: Path) -> None:
    build(tmp_path / "b", name="linear")
    json.loads((tmp_path / "b" / MANIFEST).read_text(encoding="utf-8"), parse_constant=lambda name: 1 / 0)
