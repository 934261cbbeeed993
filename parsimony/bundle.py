"""The deployable folder: build it, verify it, predict with it. Needs onnxruntime, tokenizers and numpy only.

`model.onnx` (one file), `tokenizer.json` (when the input is tokens), `labels.json`, `manifest.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from parsimony.errors import InfrastructureError
from parsimony.external import holds_external_data
from parsimony.files import MANIFEST, digest_file, folder_bytes, new_folder, verify_folder, write_manifest
from parsimony.records import BuiltBundle

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

MODEL, TOKENIZER, LABELS = "model.onnx", "tokenizer.json", "labels.json"
MAX_CHARS = 20_000  # a longer text is cut before it reaches the tokenizer, which would keep every overflowing piece
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A bundle in memory, ready to predict; `tokenizer` is None when the graph takes text."""

    labels: tuple[str, ...]
    session: onnxruntime.InferenceSession
    tokenizer: tokenizers.Tokenizer | None
    inputs: tuple[str, ...]


def write_bundle(
    target: Path, *, model: bytes, tokenizer: str | None, labels: Sequence[str], lineage: Mapping[str, object]
) -> BuiltBundle:
    """Write a bundle under a temporary name, manifest last, and rename it to `target`.

    Raises InfrastructureError when the graph keeps weights in other files.
    """
    _refuse_external_data(model, target / MODEL)
    with new_folder(target) as work:
        (work / MODEL).write_bytes(model)
        if tokenizer is not None:
            (work / TOKENIZER).write_text(tokenizer, encoding="utf-8")
        (work / LABELS).write_text(json.dumps(list(labels), ensure_ascii=False), encoding="utf-8")
        kind: Literal["tokens", "text"] = "text" if tokenizer is None else "tokens"
        write_manifest(work, {"format": FORMAT, "input": kind, "lineage": dict(lineage)})
    return describe(target)


def describe(folder: Path) -> BuiltBundle:
    """Verify a bundle and return its digest (SHA-256 of its manifest) and its size.

    Raises InfrastructureError when a file differs from the manifest.
    """
    verify_folder(folder)
    return BuiltBundle(folder=str(folder), digest=digest_file(folder / MANIFEST), size_bytes=folder_bytes(folder))


def load(folder: Path, *, threads: int = 1) -> Loaded:
    """Verify a bundle and load it for `threads` threads; the graph is read from bytes, external data refused.

    Raises InfrastructureError when a file differs from the manifest or the graph breaks the bundle's contract.
    """
    manifest = verify_folder(folder)
    tokenizer = _tokenizer(folder, manifest.get("input"))
    session = _session(folder / MODEL, threads)
    labels = tuple(json.loads((folder / LABELS).read_text(encoding="utf-8")))
    inputs = tuple(node.name for node in session.get_inputs())
    allowed = {"text"} if tokenizer is None else {"input_ids", "attention_mask"}
    if not inputs or not set(inputs) <= allowed:
        raise InfrastructureError(f"{folder / MODEL} takes {inputs}, expected {sorted(allowed)}; export it again")
    classes = {node.name: node.shape[-1] for node in session.get_outputs() if node.shape}
    if classes.get("logits") != len(labels):
        raise InfrastructureError(
            f"{folder / MODEL} gives {classes}, expected logits of {len(labels)}; export it again"
        )
    return Loaded(labels=labels, session=session, tokenizer=tokenizer, inputs=inputs)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    model = path.read_bytes()
    _refuse_external_data(model, path)
    return open_session(model, threads)


def open_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph as it is served: on the CPU, with so many threads, none of which spins while it is idle."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A spinning pool would take the core from the next candidate that is measured.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _refuse_external_data(model: bytes, path: Path) -> None:
    try:
        outside = holds_external_data(model)
    except ValueError as error:
        raise InfrastructureError(f"{path} is not an ONNX graph: {error}") from error
    if outside:
        raise InfrastructureError(f"{path} keeps weights in other files, which are never read; export it as one file")


def _tokenizer(folder: Path, kind: object) -> tokenizers.Tokenizer | None:
    if kind == "text":
        return None
    if kind != "tokens":
        raise InfrastructureError(f"{folder / MANIFEST} says input {kind!r}, expected 'tokens' or 'text'")
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / TOKENIZER))


def thread_settings(loaded: Loaded) -> dict[str, object]:
    """Return what the session says of its threads: how many, and whether they spin while there is nothing to do."""
    options = loaded.session.get_session_options()
    return {
        "intra_op_threads": options.intra_op_num_threads,
        "inter_op_threads": options.inter_op_num_threads,
        "spinning": options.get_session_config_entry("session.intra_op.allow_spinning") == "1",
    }


def feeds(loaded: Loaded, text: str) -> dict[str, np.ndarray]:
    """Return the inputs of one text: int64 [1, tokens] each, or a string tensor [1]."""
    text = text[:MAX_CHARS]
    if loaded.tokenizer is None:
        return {"text": np.array([text], dtype=object)}
    encoding = loaded.tokenizer.encode(text)
    values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
    return {name: np.array([values[name]], dtype=np.int64) for name in loaded.inputs}


def logits(loaded: Loaded, text: str) -> np.ndarray:
    """Return the logits of one text, float32 [classes], in the order of the labels."""
    result: np.ndarray = loaded.session.run(["logits"], feeds(loaded, text))[0][0]
    return result


def predict(loaded: Loaded, texts: Sequence[str]) -> list[str]:
    """Return the label of each text, predicted one at a time."""
    return [loaded.labels[int(logits(loaded, text).argmax())] for text in texts]


def probabilities(loaded: Loaded, text: str) -> dict[str, float]:
    """Return each label's softmax probability for one text."""
    scores = logits(loaded, text).astype(np.float64)
    weights = np.exp(scores - scores.max())
    return dict(zip(loaded.labels, (weights / weights.sum()).tolist(), strict=True))
