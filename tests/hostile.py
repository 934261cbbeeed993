"""Broken and hostile bundles, built on the spot: each case is a name and a function that writes a folder.

The manifest of each vouches for what is in the folder, unless the manifest is the case.
"""

from __future__ import annotations

import base64
import json
import os
import random
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bundles import write_tiny_bundle
from onnx import AttributeProto, SparseTensorProto, TensorProto, helper, numpy_helper

from parsimony.bundle.folder import LABELS, MODEL, TOKENIZER
from parsimony.files import MANIFEST, write_manifest

Case = Callable[[Path], None]
SECRET = "secret.bin"  # lies beside the bundle, and in the folder in which it is loaded
_VALUES = 21
_INT64_MAX = 2**63 - 1


def vouch(folder: Path, **facts: object) -> None:
    """Write a manifest for what is in the folder now."""
    (folder / MANIFEST).unlink(missing_ok=True)
    write_manifest(folder, {"format": 1, "input": "tokens", "lineage": {}, **facts})


def number(value: int, *, longer: int = 0) -> bytes:
    """Return a variable-length number, in so many bytes more than it needs."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    if longer:
        encoded[-1] |= 128
        encoded += b"\x80" * (longer - 1) + b"\0"
    return bytes(encoded)


def piece(tag: bytes, content: bytes) -> bytes:
    """Return a field with a length."""
    return tag + number(len(content)) + content


# --- graphs ---------------------------------------------------------------------------------------


def tiny(folder: Path) -> onnx.ModelProto:
    """Write a sound bundle and return its graph."""
    write_tiny_bundle(folder)
    return onnx.load_model_from_string((folder / MODEL).read_bytes())


def graph_case(change: Callable[[onnx.ModelProto], bytes | None]) -> Case:
    """Return a case whose graph is changed, as a message or as bytes."""

    def write(folder: Path) -> None:
        model = tiny(folder)
        content = change(model)
        (folder / MODEL).write_bytes(model.SerializeToString() if content is None else content)
        vouch(folder)

    return write


def _pointer() -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[18], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=SECRET)
    return tensor


def _hidden_pointer(tag_of_data: bytes, tag_of_place: bytes) -> bytes:
    """Return a weight that lies in another file, with other bytes for the two fields that say so."""
    pair = piece(b"\x0a", b"location") + piece(b"\x12", SECRET.encode())
    return b"\x08\x12\x10\x01" + piece(b"\x42", b"w") + piece(tag_of_data, pair) + tag_of_place + b"\x01"


def _sparse(values: bytes, dimensions: int) -> bytes:
    indices = numpy_helper.from_array(np.arange(18), "at").SerializeToString()
    return piece(b"\x0a", values) + piece(b"\x12", indices) + b"\x18" + number(dimensions)


def _graph_with(extra: bytes) -> Callable[[onnx.ModelProto], bytes]:
    """Return a change that puts bytes at the end of the graph."""

    def change(model: onnx.ModelProto) -> bytes:
        inner = model.graph.SerializeToString() + extra
        model.ClearField("graph")
        return model.SerializeToString() + piece(b"\x3a", inner)

    return change


def _behind(node: Callable[[], onnx.NodeProto], **weights: np.ndarray) -> Callable[[onnx.ModelProto], None]:
    """Return a change that makes the logits depend on a node whose output `fill` is a tensor of numbers."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
        model.graph.node[-1].output[0] = "votes.of.words"
        model.graph.node.extend(
            (
                node(),
                helper.make_node("Cast", ["fill"], ["fill.float"], to=TensorProto.FLOAT),
                helper.make_node("ReduceMax", ["fill.float"], ["largest"], keepdims=0),
                helper.make_node("Add", ["votes.of.words", "largest"], ["logits"]),
            )
        )

    return change


def _computed(operator: str) -> Callable[[onnx.ModelProto], None]:
    """Return a change that fills a tensor whose size is computed from the text: no check of the file can see it."""

    def change(model: onnx.ModelProto) -> None:
        weights = {
            "huge": np.array([2**34], dtype=np.int64),
            "one": np.ones(1, dtype=np.float32),
            "none": np.zeros(1, dtype=np.int64),
        }
        model.graph.node.append(helper.make_node("Shape", ["input_ids"], ["shape"], start=0, end=1))
        model.graph.node.append(helper.make_node("Mul", ["shape", "huge"], ["size"]))
        inputs = {"ConstantOfShape": ["size"], "Expand": ["one", "size"], "Tile": ["one", "size"]}[operator]
        nodes = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend((*nodes[2:], *nodes[:2]))
        _behind(lambda: helper.make_node(operator, inputs, ["fill"]), **weights)(model)

    return change


def _loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, [])],
    )  # fmt: skip
    model.graph.initializer.extend(
        (numpy_helper.from_array(np.array(2**62), "trips"), numpy_helper.from_array(np.array(True), "yes"))
    )
    model.graph.node.append(helper.make_node("Loop", ["trips", "yes"], [], body=body))


def _branch(model: onnx.ModelProto) -> None:
    output = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    inner = helper.make_graph([helper.make_node("Constant", [], ["w"], value_floats=[1.0])], "inner", [], [output])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["w"], then_branch=inner, else_branch=inner))


def _nested(model: onnx.ModelProto) -> None:
    output = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    inner = helper.make_graph([helper.make_node("Constant", [], ["w"], value_floats=[1.0])], "0", [], [output])
    for level in range(30):
        node = helper.make_node("If", ["yes"], ["w"], then_branch=inner)
        inner = helper.make_graph([node], str(level), [], [output])
    model.graph.node.append(helper.make_node("If", ["yes"], ["w"], then_branch=inner))


def _function(model: onnx.ModelProto) -> None:
    """Functions of functions: thirty levels of two are a thousand million nodes."""
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model.opset_import.append(helper.make_opsetid("own", 1))
    for level in range(30):
        name = f"f{level - 1}" if level else "Neg"
        domain = "own" if level else ""
        body = [
            helper.make_node(name, ["x"], ["y"], domain=domain),
            helper.make_node(name, ["y"], ["z"], domain=domain),
        ]
        model.functions.append(helper.make_function("own", f"f{level}", ["x"], ["z"], body, opset))


def _node(kind: str, domain: str = "", **attributes: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(kind, ["input_ids"], ["odd"], domain=domain, **attributes))

    return change


def _weights(**fields: object) -> Callable[[onnx.ModelProto], None]:
    """Return a change of the first weight's declaration."""

    def change(model: onnx.ModelProto) -> None:
        for name, value in fields.items():
            if isinstance(value, list):
                del getattr(model.graph.initializer[0], name)[:]
                getattr(model.graph.initializer[0], name).extend(value)
            else:
                setattr(model.graph.initializer[0], name, value)

    return change


def _many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([helper.make_node("Neg", ["votes"], ["n"])] * 51_000)


def _opset(domain: str, version: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid(domain, version))

    return change


def _sparse_weight(model: onnx.ModelProto) -> None:
    values = _pointer()
    model.graph.sparse_initializer.append(
        SparseTensorProto(values=values, indices=numpy_helper.from_array(np.arange(18), "at"), dims=[18])
    )


def _constant(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=_pointer()))


def _sparse_constant(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["w"])
    sparse = SparseTensorProto(values=_pointer(), indices=numpy_helper.from_array(np.arange(18), "at"), dims=[18])
    node.attribute.add(name="sparse_value", type=AttributeProto.SPARSE_TENSOR, sparse_tensor=sparse)
    model.graph.node.insert(0, node)


def _not_a_number(model: onnx.ModelProto) -> None:
    votes = numpy_helper.to_array(model.graph.initializer[0]).copy()
    votes[0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(votes, "votes"))


def _fills(operator: str, inputs: list[str], **weights: np.ndarray) -> Callable[[onnx.ModelProto], None]:
    return _behind(lambda: helper.make_node(operator, inputs, ["fill"]), **weights)


_HUGE = np.array([2**33], dtype=np.int64)
_SQUARE = np.array([2**17, 2**17], dtype=np.int64)
_ONE = np.ones(1, dtype=np.float32)
# `\x6a` is field 13 of a tensor (external data), `\x70` field 14 (where it lies); bits above 32 of a tag are dropped by protobuf.
_TAGS = {
    "as they are": (b"\x6a", b"\x70"),
    "long tags": (number(0x6A, longer=3), number(0x70, longer=3)),
    "longest tags": (number(0x6A, longer=4), number(0x70, longer=4)),
    "bits above": (number(0x6A | 1 << 32), number(0x70 | 1 << 32)),
    "bits far above": (number(0x6A | 1 << 40), number(0x70 | 1 << 40)),
}
GRAPHS: dict[str, Case] = {
    **{
        f"dense pointer, {name}": graph_case(_graph_with(piece(b"\x2a", _hidden_pointer(*tags))))
        for name, tags in _TAGS.items()
    },
    **{
        f"sparse pointer, {name}": graph_case(_graph_with(piece(b"\x7a", _sparse(_hidden_pointer(*tags), 18))))
        for name, tags in _TAGS.items()
    },
    "sparse pointer behind a long length": graph_case(
        _graph_with(b"\x7a" + number(len(_sparse(_hidden_pointer(b"\x6a", b"\x70"), 18)), longer=2) + _sparse(_hidden_pointer(b"\x6a", b"\x70"), 18))
    ),
    "sparse weight": graph_case(_sparse_weight),
    "constant": graph_case(_constant),
    "sparse constant": graph_case(_sparse_constant),
    "huge sparse weight": graph_case(_graph_with(piece(b"\x7a", _sparse(numpy_helper.from_array(np.arange(18, dtype=np.float32), "w").SerializeToString(), 2**40)))),
    "a group": graph_case(lambda model: model.SerializeToString() + b"\x9b\x06\x9c\x06"),
    "an unknown field": graph_case(lambda model: model.SerializeToString() + piece(number(99 << 3 | 2), b"x")),
    "two graphs": graph_case(lambda model: model.SerializeToString() * 2),
    "two versions of the format": graph_case(lambda model: model.SerializeToString() + b"\x08\x08"),
    "a tail": graph_case(lambda model: model.SerializeToString() + b"\0\0\0"),
    "a long length": graph_case(lambda model: model.SerializeToString() + b"\x12\xff\xff\xff\xff\x07"),
    "a negative length": graph_case(lambda model: model.SerializeToString() + b"\x12" + b"\xff" * 9 + b"\x01"),
    "endless number": graph_case(lambda model: b"\x08" + b"\xff" * 11),
    "no graph": graph_case(lambda model: b""),
    "ort format": graph_case(lambda model: b"\x18\x00\x00\x00ORTM" + b"\0" * 40),
    "pickle": graph_case(lambda model: b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."),
    "zip": graph_case(lambda model: b"PK\x03\x04" + b"\0" * 60),
    "text": graph_case(lambda model: b"not a graph at all"),
    "loop": graph_case(_loop),
    "branch": graph_case(_branch),
    "nested branches": graph_case(_nested),
    "functions of functions": graph_case(_function),
    "too many nodes": graph_case(_many_nodes),
    **{f"operator {name}": graph_case(_node(name)) for name in ("RandomNormalLike", "Bernoulli", "SequenceConstruct", "ImageDecoder", "NoSuch", "RegexFullMatch", "Optional")},
    "operator of a stranger": graph_case(_node("Neg", "evil.example")),
    "stored context": graph_case(_node("EPContext", "com.microsoft", ep_cache_context="/etc/passwd", embed_mode=0)),
    "pytorch operator": graph_case(_node("ATen", "org.pytorch.aten", operator="aten::neg")),
    "domain of a stranger": graph_case(_opset("evil.example", 1)),
    "version of the future": graph_case(_opset("ai.onnx.ml", 9_999)),
    "version below zero": graph_case(_opset("com.microsoft", -1)),
    "huge shape": graph_case(_weights(dims=[2**40])),
    "product of a shape": graph_case(_weights(dims=[2**32, 2**32])),
    "negative shape": graph_case(_weights(dims=[-7, -3])),
    "many dimensions": graph_case(_weights(dims=[1] * 5_000)),
    "smaller than it says": graph_case(_weights(dims=[7, 4])),
    "larger than it says": graph_case(_weights(dims=[7, 2])),
    "another type": graph_case(_weights(data_type=TensorProto.DOUBLE)),
    "unknown type": graph_case(_weights(data_type=999)),
    "text as numbers": graph_case(_weights(data_type=TensorProto.STRING)),
    "two kinds of values": graph_case(_weights(float_data=[1.0] * _VALUES)),
    "logits of no number": graph_case(_not_a_number),
    "fills a constant shape": graph_case(_fills("ConstantOfShape", ["huge"], huge=_HUGE)),
    "fills a square": graph_case(_fills("ConstantOfShape", ["huge"], huge=_SQUARE)),
    "fills by expanding": graph_case(_fills("Expand", ["one", "huge"], one=_ONE, huge=_HUGE)),
    "fills by tiling": graph_case(_fills("Tile", ["one", "huge"], one=_ONE, huge=_HUGE)),
    "fills a range": graph_case(_fills("Range", ["from", "huge", "by"], huge=_HUGE[0].reshape(()), **{"from": np.array(0), "by": np.array(1)})),
    **{f"fills by {name}, computed": graph_case(_computed(name)) for name in ("ConstantOfShape", "Expand", "Tile")},
}  # fmt: skip


# --- tokenizers -----------------------------------------------------------------------------------


def tokenizer_case(change: Callable[[dict], object]) -> Case:
    """Return a case whose tokenizer is changed, as a document, or replaced by a text."""

    def write(folder: Path) -> None:
        write_tiny_bundle(folder)
        document = json.loads((folder / TOKENIZER).read_text())
        content = change(document)
        (folder / TOKENIZER).write_text(content if isinstance(content, str) else json.dumps(document))
        vouch(folder)

    return write


def _with(**parts: object) -> Case:
    return tokenizer_case(lambda document: document.update(parts))


def _model(**parts: object) -> Case:
    return tokenizer_case(lambda document: document["model"].update(parts))


def _replace(content: str, pattern: Mapping[str, str]) -> dict[str, object]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _split(expression: str) -> Case:
    return _with(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
    )


def _padding(**parts: object) -> Case:
    whole = {
        "strategy": "BatchLongest",
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    return _with(padding={**whole, **parts})


def _truncation(**parts: object) -> Case:
    return _with(truncation={"direction": "Right", "max_length": 32, "strategy": "LongestFirst", "stride": 0, **parts})


def _chars_map(content: bytes) -> Case:
    return _with(normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()})


_ADDED = {
    "id": 0,
    "content": "",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}
_TEN = _replace("aaaaaaaaaa", {"String": "a"})
EXPRESSIONS = (
    "(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)*", "a*a*a*a*b", "(a)\\1", "(?<x>a)\\g<x>", "a{1,100000}", "((a{1,9}){1,9}){1,9}", "[", "(", "a?" * 30 + "a" * 30,
    "(?<=a+)b", "(?(1)a|b)", "\\K", "a{99999999999999999999}", "(x+x+)+y", "(\\s*[\\r\\n]*)+$", "(?~abc)",
)  # fmt: skip
TOKENIZERS: dict[str, Case] = {
    **{f"expression {expression[:20]}": _split(expression) for expression in EXPRESSIONS},
    "padding to two thousand million": _padding(strategy={"Fixed": 2_000_000_000}),
    "padding to a multiple": _padding(pad_to_multiple_of=2_000_000_000),
    "padding to nothing known": _padding(strategy={"Random": 3}),
    "stride of the whole length": _truncation(stride=32),
    "stride of nearly the length": _truncation(stride=31),
    "length of nothing": _truncation(max_length=0),
    "length of all": _truncation(max_length=2**63),
    "chained replacements": _with(normalizer={"type": "Sequence", "normalizers": [_TEN] * 12}),
    "long replacement": _with(normalizer=_replace("a" * 1_000_000, {"String": "a"})),
    "replacement of nothing": _with(normalizer=_replace("ab", {"String": ""})),
    "replacement by an expression": _with(normalizer=_replace("x", {"Regex": "(a+)+$"})),
    "replacement everywhere": _with(normalizer=_replace("a" * 900, {"Regex": "a?"})),
    "many prefixes": _with(normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "abcd"}] * 60}),
    "long prefix": _with(normalizer={"type": "Prepend", "prepend": "a" * 100_000}),
    "broken map": _chars_map(b"\xff\xff\xff\x7f" + b"\0" * 40),
    "odd map": _chars_map(b"\x03\0\0\0" + b"\0" * 40),
    "random map": _chars_map((1024).to_bytes(4, "little") + random.Random(3).randbytes(1024) + b"x\0"),
    "map of long texts": _chars_map((8).to_bytes(4, "little") + b"\0" * 8 + b"x" * 10_000 + b"\0"),
    "no map": _with(normalizer={"type": "Precompiled", "precompiled_charsmap": "not base64!"}),
    "nested sequences": tokenizer_case(
        lambda document: '{"model": ' + json.dumps(document["model"]) + ', "normalizer": ' + '{"type": "Sequence", "normalizers": [' * 20_000 + "]}" * 20_000 + "}"
    ),
    "unknown normaliser": _with(normalizer={"type": "Evil"}),
    "unknown splitter": _with(pre_tokenizer={"type": "Python"}),
    "unknown model": _model(type="Pickle"),
    "unknown part": _with(code="print(1)"),
    "no vocabulary": _model(vocab={}),
    "vocabulary of texts": _model(vocab={"[UNK]": "0"}),
    "vocabulary below zero": _model(vocab={"[UNK]": 0, "hello": -1}),
    "vocabulary far out": _model(vocab={"[UNK]": 0, "hello": 2**40}),
    "long token": _model(vocab={"[UNK]": 0, "a" * 100_000: 1}),
    "endless words": _with(model={"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 10**9, "vocab": {"[UNK]": 0}}),
    "merges at random": _with(model={"type": "BPE", "dropout": 0.5, "unk_token": None, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}),
    "unknown token out of range": _with(model={"type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]]}),
    "score of no number": _with(model={"type": "Unigram", "unk_id": 0, "vocab": [["a", float("nan")]]}),
    "score of a text": _with(model={"type": "Unigram", "unk_id": 0, "vocab": [["a", "b"]]}),
    "empty added token": _with(added_tokens=[_ADDED]),
    "many added tokens": _with(added_tokens=[{**_ADDED, "id": i, "content": f"t{i}"} for i in range(30_000)]),
    "template without its token": _with(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}], "pair": [], "special_tokens": {}}),
    "long template": _with(post_processor={"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 5_000, "pair": [], "special_tokens": {}}),
    "a name twice": tokenizer_case(lambda document: json.dumps(document)[:-1] + ', "padding": null}'),
    "no json": tokenizer_case(lambda document: "{"),
    "a list": tokenizer_case(lambda document: "[]"),
    "deep json": tokenizer_case(lambda document: "[" * 200_000),
    "long number": tokenizer_case(lambda document: '{"version": ' + "9" * 100_000 + "}"),
}  # fmt: skip


# --- labels, manifests, kinds of files ------------------------------------------------------------


def _labels(content: str) -> Case:
    def write(folder: Path) -> None:
        write_tiny_bundle(folder)
        (folder / LABELS).write_bytes(content.encode("utf-8", "surrogatepass"))
        vouch(folder)

    return write


def _manifest(content: str | bytes) -> Case:
    def write(folder: Path) -> None:
        write_tiny_bundle(folder)
        (folder / MANIFEST).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def _listed(**entry: object) -> Case:
    def write(folder: Path) -> None:
        write_tiny_bundle(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        manifest["files"][0].update(entry)
        (folder / MANIFEST).write_text(json.dumps(manifest))

    return write


def _kind(name: str, put: Callable[[Path], object]) -> Case:
    """Return a case with another kind of file in the place of one, which its manifest vouches for as far as it can."""

    def write(folder: Path) -> None:
        write_tiny_bundle(folder)
        path = folder / name
        path.unlink()
        put(path)
        if name != MANIFEST:
            manifest = json.loads((folder / MANIFEST).read_text())
            for entry in manifest["files"]:
                entry.update(
                    {"bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
                    if entry["path"] == name
                    else {}
                )
            (folder / MANIFEST).write_text(json.dumps(manifest))

    return write


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


_KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "link": lambda path: path.symlink_to(path.parent.parent / SECRET),
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "endless link": lambda path: path.symlink_to("/dev/zero"),
    "hard link": lambda path: os.link(path.parent.parent / SECRET, path),
    "folder": Path.mkdir,
}
FILES: dict[str, Case] = {
    **{f"{kind} as {name}": _kind(name, put) for name in (MODEL, TOKENIZER, LABELS, MANIFEST) for kind, put in _KINDS.items()},
    "no labels": _labels("[]"),
    "labels as an object": _labels('{"greeting": 1, "weather": 2, "transfer": 3}'),
    "labels as numbers": _labels("[1, 2, 3]"),
    "one label twice": _labels('["a", "a", "b"]'),
    "half a character": _labels('["a", "b", "\\ud800"]'),
    "fewer labels": _labels('["a", "b"]'),
    "deep labels": _labels("[" * 100_000),
    "manifest of infinite bytes": _manifest('{"files": [{"path": "model.onnx", "sha256": "0", "bytes": 1e999}]}'),
    "manifest in other letters": _manifest('{"files": []}'.encode("utf-16")),
    "deep manifest": _manifest("[" * 100_000),
    "long manifest": _manifest(b" " * 20_000_000),
    "other input": lambda folder: (write_tiny_bundle(folder), vouch(folder, input="pickle"))[0] and None,
    "other windows": lambda folder: (write_tiny_bundle(folder), vouch(folder, windows=[]))[0] and None,
    "outside": _listed(path=f"../{SECRET}"),
    "absolute": _listed(path="/etc/hostname"),
    "below zero": _listed(bytes=-1),
}  # fmt: skip
CASES: dict[str, Case] = {
    **{f"graph: {name}": case for name, case in GRAPHS.items()},
    **{f"tokenizer: {name}": case for name, case in TOKENIZERS.items()},
    **{f"files: {name}": case for name, case in FILES.items()},
}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a graph with a few bytes changed, cut out, doubled or cut off."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed))
        step = rng.randrange(4)
        if step == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif step == 1:
            del changed[at : at + rng.randint(1, 9)]
        elif step == 2:
            changed[at:at] = changed[at : at + rng.randint(1, 40)]
        else:
            changed[at] = rng.choice((0, 127, 128, 255))
        changed = changed or bytearray(b"\0")
    return bytes(changed)


# --- drawn from a seed ----------------------------------------------------------------------------

_ODD = (
    None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, float("nan"), "", "a" * 70_000, "\ud800", "\u202e", "../" + SECRET, "/dev/zero", [], {}, [[]] * 900,
    {"Regex": "(a+)+$"}, {"String": ""}, "(a|aa)+$", ["a", "b"], {"type": "Sequence", "normalizers": []},
)  # fmt: skip


def drawn(seed: int) -> Case:
    """Return a case that a seed decides: a sound bundle with a file or two of which something is changed at random."""

    def write(folder: Path) -> None:
        rng = random.Random(seed)
        write_tiny_bundle(folder)
        for name in rng.sample((MODEL, TOKENIZER, TOKENIZER, LABELS, MANIFEST), rng.randint(1, 2)):
            path = folder / name
            content = path.read_bytes()
            path.write_bytes(mutated(content, rng) if name == MODEL or rng.random() < 0.2 else _odd(content, rng))
            if name != MANIFEST:
                vouch(folder)

    return write


def _odd(content: bytes, rng: random.Random) -> bytes:
    """Return a JSON document with a value or two replaced, doubled or taken away."""
    try:
        document = json.loads(content)
    except ValueError:
        return mutated(content, rng)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(document))
        if not places:
            break
        where, key = rng.choice(places)
        if isinstance(where, dict) and rng.random() < 0.2:
            del where[key]
        else:
            where[key] = rng.choice(_ODD)
    return json.dumps(document).encode()


def _places(document: object) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a document that holds a value: the object or list, and the key or number."""
    parts = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(parts):
        yield document, key
        yield from _places(value)
