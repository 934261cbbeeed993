"""The deployable folder: what is in it is checked, what it points at is not read, and one text is one prediction."""

from __future__ import annotations

import json
import os
import random
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from bundles import LABELS, WORDS, write_tiny_bundle
from onnx import AttributeProto, SparseTensorProto, TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from parsimony.bundle import batch, predict
from parsimony.bundle.external_data import holds_external_data
from parsimony.bundle.folder import MODEL, Contents, describe, described, write_bundle
from parsimony.bundle.runtime_version import least_version
from parsimony.errors import BundleError, InfrastructureError
from parsimony.files import MANIFEST, digest_file, write_manifest
from parsimony.measurement.measure import judge
from parsimony.measurement.records import TargetSettings

TEXTS = ("hello", "rain or sun", "send money", "hi hi rain", "nothing known", "")


TOKENS = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
MASK = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "tokens"])
TEXT = helper.make_tensor_value_info("text", TensorProto.STRING, ["batch"])


def graph(
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    *,
    takes: onnx.ValueInfoProto = TOKENS,
    classes: int | str = 3,
    gives: str = "logits",
) -> onnx.ModelProto:
    """Return a model of these nodes from one input to one output [batch, classes]."""
    made = helper.make_graph(
        nodes,
        "test",
        [takes],
        [helper.make_tensor_value_info(gives, TensorProto.FLOAT, ["batch", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


def votes(*, takes: onnx.ValueInfoProto = TOKENS, classes: int | str = 3, gives: str = "logits") -> onnx.ModelProto:
    """Return a model that adds a row of three votes for each token."""
    nodes = [
        helper.make_node("Gather", ["votes", takes.name], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "axes"], [gives], keepdims=0),
    ]
    constants = {"votes": np.eye(7, 3, dtype=np.float32), "axes": np.array([1], dtype=np.int64)}
    return graph(nodes, constants, takes=takes, classes=classes, gives=gives)


def tokenizer() -> str:
    known = {word: i for i, word in enumerate(("[UNK]", *WORDS))}
    made = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(made.to_str())


def written(folder: Path, model: onnx.ModelProto, text: str | None = None) -> Path:
    write_bundle(
        folder, Contents(model=model.SerializeToString(), tokenizer=text or tokenizer(), labels=LABELS, lineage={})
    )
    return folder


def forged(folder: Path, model: bytes) -> Path:
    """Put other model bytes into a bundle, with a manifest that vouches for them."""
    write_tiny_bundle(folder)
    facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MODEL).write_bytes(model)
    write_manifest(folder, facts)
    return folder


# --- writing and describing -----------------------------------------------------------------------


def test_a_bundle_is_five_files_and_its_size_is_their_bytes(tmp_path: Path) -> None:
    built = write_tiny_bundle(tmp_path / "tiny")
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "tiny").rglob("*")}
    assert set(sizes) == {"model.onnx", "tokenizer.json", "config.json", "labels.json", "manifest.json"}
    assert (built.folder, built.size_bytes) == (str(tmp_path / "tiny"), sum(sizes.values()))
    assert built.digest == digest_file(tmp_path / "tiny" / "manifest.json")
    assert describe(tmp_path / "tiny") == built
    assert json.loads((tmp_path / "tiny" / "manifest.json").read_text("utf-8"))["input"] == "tokens"


def test_the_manifest_names_the_least_version_of_the_runtime(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    content = (tmp_path / "tiny" / "model.onnx").read_bytes()
    assert json.loads((tmp_path / "tiny" / "manifest.json").read_text("utf-8"))["onnxruntime"] == "1.17"
    for change in ({"opset": 21}, {"ir_version": 10}):
        graph = onnx.load_model_from_string(content)
        graph.ir_version = change.get("ir_version", graph.ir_version)
        graph.opset_import[0].version = change.get("opset", graph.opset_import[0].version)
        assert least_version(graph.SerializeToString()) == "1.23"


def test_the_same_content_has_the_same_digest_wherever_it_lies(tmp_path: Path) -> None:
    first, again = write_tiny_bundle(tmp_path / "a"), write_tiny_bundle(tmp_path / "b")
    assert (first.digest, first.size_bytes) == (again.digest, again.size_bytes)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "labels.json"])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_change_of_any_byte_is_found_or_changes_the_digest(tmp_path: Path, name: str, place: float) -> None:
    built = write_tiny_bundle(tmp_path / "tiny")
    path = tmp_path / "tiny" / name
    data = bytearray(path.read_bytes())
    data[round(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    assert described(tmp_path / "tiny") is None
    for read in (describe, predict.load):
        with pytest.raises(InfrastructureError, match=f"{name} has SHA-256"):
            read(tmp_path / "tiny")
    write_manifest(tmp_path / "tiny", {"format": 1, "input": "tokens", "lineage": {"name": "tiny"}})
    assert describe(tmp_path / "tiny").digest != built.digest


def test_what_a_bundle_comes_from_is_part_of_its_digest(tmp_path: Path) -> None:
    assert write_tiny_bundle(tmp_path / "a", name="a").digest != write_tiny_bundle(tmp_path / "b", name="b").digest


def test_a_complete_bundle_is_described_and_what_is_none_is_not(tmp_path: Path) -> None:
    built = write_tiny_bundle(tmp_path / "tiny")
    assert described(tmp_path / "tiny") == built
    assert described(tmp_path / "nowhere") is None
    (tmp_path / "tiny" / MANIFEST).unlink()
    assert described(tmp_path / "tiny") is None
    assert described(tmp_path / "tiny" / MODEL) is None


_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event == "open" and str(arguments[0]).endswith(MODEL):
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)


@pytest.mark.parametrize(("read", "times"), [(describe, 1), (described, 1), (predict.load, 1)])
def test_a_bundle_is_verified_once_where_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object], times: int
) -> None:
    """The graph is opened once: what predicts is the bytes whose digest was taken."""
    write_tiny_bundle(tmp_path / "tiny")
    monkeypatch.setattr(sys.modules[__name__], "_opened", [])
    read(tmp_path / "tiny")
    assert _opened == [str(tmp_path / "tiny" / MODEL)] * times


def test_what_is_written_is_verified_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph is opened to be written, to be digested for the manifest, and to be verified where it lies."""
    monkeypatch.setattr(sys.modules[__name__], "_opened", [])
    write_tiny_bundle(tmp_path / "tiny")
    assert _opened is not None
    assert len(_opened) == 3
    assert _opened[-1] == str(tmp_path / "tiny" / MODEL)
    assert str(tmp_path / "tiny" / MODEL) not in _opened[:-1]


# --- other files are never read -------------------------------------------------------------------


def pointer(location: str) -> TensorProto:
    """Return a tensor of 18 floats whose values lie in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[18], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "72")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def sparse(values: TensorProto) -> SparseTensorProto:
    return SparseTensorProto(values=values, indices=numpy_helper.from_array(np.arange(18), "at"), dims=[18])


def dense_weight(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.initializer.append(tensor)


def sparse_weight(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.append(sparse(tensor))


def constant(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))


def sparse_constant(model: onnx.ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["w"])
    node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse(tensor))
    model.graph.node.insert(0, node)


def inside_a_branch(model: onnx.ModelProto, tensor: TensorProto) -> None:
    output = helper.make_tensor_value_info("w", TensorProto.FLOAT, [18])
    branch = helper.make_graph([helper.make_node("Constant", [], ["w"], value=tensor)], "branch", [], [output])
    model.graph.node.insert(0, helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch))


def inside_a_function(model: onnx.ModelProto, tensor: TensorProto) -> None:
    body = [helper.make_node("Constant", [], ["w"], value=tensor)]
    model.functions.append(helper.make_function("own", "Weights", [], ["w"], body, [helper.make_opsetid("", 17)]))


HIDING_PLACES = (dense_weight, sparse_weight, constant, sparse_constant, inside_a_branch, inside_a_function)


@pytest.mark.parametrize("location", ["secret.bin", "folder/hard link", "../secret.bin", "/etc/hostname"])
@pytest.mark.parametrize("hide", HIDING_PLACES)
def test_a_graph_that_keeps_weights_in_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hide: Callable[..., None], location: str
) -> None:
    """ONNX Runtime 1.31 reads the sparse ones from the working folder, also for a graph that it was given as bytes."""
    (tmp_path / "secret.bin").write_bytes(np.arange(18, dtype=np.float32).tobytes())
    (tmp_path / "folder").mkdir()
    os.link(tmp_path / "secret.bin", tmp_path / "folder" / "hard link")
    monkeypatch.chdir(tmp_path)
    model = votes()
    hide(model, pointer(location))
    with pytest.raises(InfrastructureError, match="keeps weights in other files, which are never read"):
        write_bundle(
            tmp_path / "new",
            Contents(model=model.SerializeToString(), tokenizer=tokenizer(), labels=LABELS, lineage={}),
        )
    assert not (tmp_path / "new").exists()
    with pytest.raises(InfrastructureError, match="keeps weights in other files, which are never read"):
        predict.load(forged(tmp_path / "forged", model.SerializeToString()))


def test_a_graph_with_all_its_weights_inside_holds_no_external_data() -> None:
    model = votes()
    sparse_weight(model, numpy_helper.from_array(np.zeros(18, dtype=np.float32), "w"))
    assert not holds_external_data(model.SerializeToString())
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    assert not holds_external_data(model.SerializeToString())


@pytest.mark.parametrize("model", [b"\x3a\x7f", b"\x0b", b"\x08", b"\xff" * 20, b"\x18\x00\x00\x00ORTM" + b"\0" * 40])
def test_bytes_that_are_no_onnx_graph_are_refused(tmp_path: Path, model: bytes) -> None:
    with pytest.raises(InfrastructureError, match="is not an ONNX graph"):
        predict.load(forged(tmp_path / "forged", model))


def test_a_graph_that_ends_early_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    """Whatever the walk lets through because a field ends there, ONNX Runtime refuses."""
    whole = votes().SerializeToString()
    for end in range(1, len(whole), 7):
        with pytest.raises(Exception, match=r"not an ONNX graph|ONNXRuntimeError|expected"):
            predict.load(forged(tmp_path / str(end), whole[:end]))


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["token", "Tokens", "", None, 3])
def test_a_manifest_with_another_word_for_its_input_is_refused(tmp_path: Path, word: object) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    write_manifest(tmp_path / "tiny", {"format": 1, "input": word})
    with pytest.raises(InfrastructureError, match=f"says input {word!r}, expected 'tokens' or 'text'"):
        predict.load(tmp_path / "tiny")


def test_a_graph_that_takes_something_else_is_refused(tmp_path: Path) -> None:
    segments = helper.make_tensor_value_info("token_type_ids", TensorProto.INT64, ["batch", "tokens"])
    model = votes(takes=segments)
    with pytest.raises(InfrastructureError, match=r"takes \('token_type_ids',\), expected"):
        predict.load(written(tmp_path / "other", model))


@pytest.mark.parametrize(("classes", "gives"), [(2, "logits"), (3, "scores")])
def test_a_graph_without_one_logit_for_each_label_is_refused(tmp_path: Path, classes: int, gives: str) -> None:
    model = votes(classes=classes, gives=gives)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.eye(7, classes, dtype=np.float32), "votes"))
    with pytest.raises(InfrastructureError, match="expected logits of 3"):
        predict.load(written(tmp_path / "other", model))


# --- predicting -----------------------------------------------------------------------------------


# --- windows --------------------------------------------------------------------------------------


def test_the_windows_of_a_long_text_are_averaged_by_their_tokens(tmp_path: Path) -> None:
    text = "hello " * 32 + "rain " * 32 + "money money"  # the tokenizer keeps 32 tokens
    first = predict.load(Path(write_tiny_bundle(tmp_path / "first").folder))
    every = predict.load(Path(write_tiny_bundle(tmp_path / "every", windows="mean").folder))
    assert predict.logits(first, text).tolist() == [32, 0, 0]
    expected = (32 * np.array([32, 0, 0]) + 32 * np.array([0, 32, 0]) + 2 * np.array([0, 0, 2])) / 66
    logits = predict.logits(every, text)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-6)


def test_a_text_that_fits_is_read_as_before_and_no_other_byte_of_the_bundle_changes(tmp_path: Path) -> None:
    first, every = (write_tiny_bundle(tmp_path / kind, windows=kind) for kind in ("first", "mean"))
    for text in ("hello", "", "rain " * 32):
        np.testing.assert_array_equal(*(predict.logits(predict.load(Path(b.folder)), text) for b in (first, every)))
    manifests = [json.loads((Path(b.folder) / MANIFEST).read_text()) for b in (first, every)]
    assert manifests[1].pop("windows") == "mean"
    assert manifests[0] == manifests[1]
    assert first.digest != every.digest


def test_a_batch_reads_the_same_windows(tmp_path: Path) -> None:
    model = predict.load(Path(write_tiny_bundle(tmp_path / "every", windows="mean").folder))
    rng = random.Random(0)
    texts = [" ".join(rng.choices([*WORDS], k=rng.choice((0, 1, 31, 32, 33, 64, 200)))) for _ in range(40)]
    together = batch.many(model)
    assert together is not None
    assert together(texts) == [int(predict.logits(model, text).argmax()) for text in texts]
    assert together([]) == []


def test_a_way_of_reading_that_is_not_known_is_refused(tmp_path: Path) -> None:
    folder = Path(write_tiny_bundle(tmp_path / "every", windows="mean").folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "windows": "max"}))
    with pytest.raises(InfrastructureError, match="says windows 'max', expected 'first' or 'mean'"):
        predict.load(folder)


def test_one_text_at_a_time_equals_the_batch(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    model = predict.load(tmp_path / "tiny")
    rng = random.Random(0)
    texts = [" ".join(rng.choices([*WORDS, "unknown"], k=5)) for _ in range(50)]
    alone = np.stack([predict.logits(model, text) for text in texts])
    ids = np.concatenate([predict.feeds(model, text)[0]["input_ids"] for text in texts])
    (together,) = model.session.run(["logits"], {"input_ids": ids})
    assert alone.dtype == together.dtype == np.float32
    np.testing.assert_array_equal(alone, together)
    assert model.predict(texts) == [LABELS[i] for i in together.argmax(1)]


def test_texts_get_the_label_of_their_words(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    model = predict.load(tmp_path / "tiny", threads=2)
    assert model.predict(TEXTS[:4]) == ["greeting", "weather", "transfer", "greeting"]
    assert model.predict([]) == []


def test_probabilities_are_the_softmax_in_the_order_of_the_labels(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    model = predict.load(tmp_path / "tiny")
    probabilities = model.probabilities("hello hi rain")
    weights = np.exp([2.0, 1.0, 0.0])
    assert tuple(probabilities) == model.labels == LABELS
    assert list(probabilities.values()) == pytest.approx(list(weights / weights.sum()))
    assert model.probabilities("") == pytest.approx(dict.fromkeys(LABELS, 1 / 3))


def test_the_mask_is_given_to_a_graph_that_asks_for_it(tmp_path: Path) -> None:
    masked = votes()
    masked.graph.input.append(MASK)
    model = predict.load(written(tmp_path / "masked", masked))
    [feeds] = predict.feeds(model, "send money hi")
    assert {name: value.tolist() for name, value in feeds.items()} == {
        "input_ids": [[6, 5, 2]],
        "attention_mask": [[1, 1, 1]],
    }
    assert {value.dtype for value in feeds.values()} == {np.dtype(np.int64)}


def test_a_long_text_is_cut_before_the_tokenizer_reads_it(tmp_path: Path) -> None:
    """A tokenizer keeps every piece of a long text in memory, also those that it cuts off."""
    read: list[int] = []
    model = predict.load(written(tmp_path / "plain", votes()))
    assert model.tokenizer is not None
    last = "x" * (predict.MAX_CHARS - 4) + " sun"
    for text in (last, last + " money" * 100_000):
        read.append(len(text))
        assert model.tokenizer.get_vocab()["sun"] == predict.feeds(model, text)[0]["input_ids"][0][-1]
        assert predict.feeds(model, text)[0]["input_ids"].shape == (1, 2)
    assert read == [predict.MAX_CHARS, predict.MAX_CHARS + 600_000]


def text_graph() -> onnx.ModelProto:
    """Return a model that reads text itself: two known texts, everything else votes for the last label."""
    values = {"greeting": (1.0, 0.0, 0.0), "weather": (0.0, 1.0, 0.0), "transfer": (0.0, 0.0, 1.0)}
    encode = [
        helper.make_node(
            "LabelEncoder",
            ["text"],
            [label],
            domain="ai.onnx.ml",
            keys_strings=["hello", "rain"],
            values_floats=[values[label][0], values[label][1]],
            default_float=values[label][2],
        )
        for label in LABELS
    ]
    columns = [helper.make_node("Unsqueeze", [label, "last"], [f"{label}.column"]) for label in LABELS]
    join = helper.make_node("Concat", [f"{label}.column" for label in LABELS], ["logits"], axis=1)
    constants = {"last": np.array([1], dtype=np.int64)}
    return graph([*encode, *columns, join], constants, takes=TEXT)


def test_a_graph_that_reads_text_needs_no_tokenizer(tmp_path: Path) -> None:
    made = text_graph().SerializeToString()
    write_bundle(tmp_path / "text", Contents(model=made, tokenizer=None, labels=LABELS, lineage={}))
    model = predict.load(tmp_path / "text")
    assert sorted(p.name for p in (tmp_path / "text").iterdir()) == ["labels.json", "manifest.json", "model.onnx"]
    assert model.predict(["hello", "rain", "no idea"]) == ["greeting", "weather", "transfer"]
    assert predict.feeds(model, "x" * 50_000)[0]["text"].tolist() == ["x" * predict.MAX_CHARS]


def test_a_graph_that_reads_text_is_no_graph_that_reads_tokens(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"takes \('text',\), expected \['attention_mask', 'input_ids'\]"):
        predict.load(written(tmp_path / "text", text_graph()))


# --- predictions that are no predictions ----------------------------------------------------------


def odd_votes(value: float) -> onnx.ModelProto:
    """Return a model whose logits of the word `sun` are not finite."""
    model = votes()
    table = np.eye(7, 3, dtype=np.float32)
    table[4] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(table, "votes"))
    return model


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error_and_never_a_label(tmp_path: Path, value: float) -> None:
    model = predict.load(written(tmp_path / "odd", odd_votes(value)))
    together = batch.many(model)
    assert together is not None
    assert len(model.predict(["hello"])) == len(together(["hello", "hi"])) - 1 == 1
    for ask in (
        lambda: model.predict(["hello", "sun"]),
        lambda: model.probabilities("sun"),
        lambda: together(["hi", "sun"]),
    ):
        with pytest.raises(InfrastructureError, match="logits that are not finite, so there is no label"):
            ask()


@pytest.mark.slow
def test_the_stored_code_gives_no_label_for_logits_that_are_not_finite(tmp_path: Path) -> None:
    folder = written(tmp_path / "odd", odd_votes(np.nan))
    model = runpy.run_path(str(Path(__file__).parents[2] / "mlflow" / "bundle_model.py"))["BundleModel"]()
    model.load_context(SimpleNamespace(artifacts={"bundle": str(folder)}))
    assert len(model.predict(None, ["hello"])) == 1
    with pytest.raises(ValueError, match="logits that are not finite"):
        model.predict(None, ["sun"])


def test_the_measured_process_says_that_a_text_has_no_label(tmp_path: Path) -> None:
    folder = written(tmp_path / "odd", odd_votes(np.nan))
    target = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    with pytest.raises(BundleError, match="logits that are not finite"):
        judge(folder, ["hello", "sun"], target)
