"""Load a bundle and predict with it, one text at a time. Needs onnxruntime, tokenizers and numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from parsimony.bundle.config_json import CONFIG
from parsimony.bundle.external_data import refuse_external_data
from parsimony.bundle.folder import (
    LABELS,
    MODEL,
    TOKENIZER,
    Windows,
    labels_of,
    require_config,
    tokenizer_text,
    windows_of,
)
from parsimony.errors import InfrastructureError, first_line
from parsimony.files import MANIFEST, read_folder
from parsimony.runtimes.onnxruntime_cpu import open_session

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

T = TypeVar("T")
MAX_CHARS = 20_000  # a longer text is cut before it reaches the tokenizer, which would keep every overflowing piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A bundle in memory, ready to predict; `tokenizer` is None when the graph takes text.

    `windows` says how a text is read that is longer than the tokenizer keeps: "first" or "mean".
    """

    labels: tuple[str, ...]
    session: onnxruntime.InferenceSession
    tokenizer: tokenizers.Tokenizer | None
    inputs: tuple[str, ...]
    windows: Windows = "first"

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the label of each text, predicted one at a time. TypeError for a single text."""
        if isinstance(texts, str):
            raise TypeError("found one text, expected a list of texts; put it into one: [text]")
        return [self.labels[int(logits(self, text).argmax())] for text in texts]

    def probabilities(self, text: str) -> dict[str, float]:
        """Return each label's softmax probability for one text, in the order of the labels."""
        return dict(zip(self.labels, softmax(logits(self, text)).tolist(), strict=True))


def load(folder: Path, *, threads: int = 1) -> Model:
    """Verify a bundle and load it for `threads` threads, each file from the bytes that were verified.

    What no bundle of ours holds is refused before a library sees it. Raises InfrastructureError when a file differs from the manifest or
    the graph breaks the bundle's contract. A bundle of a stranger is tried out first (see `trial`).
    """
    manifest, content = read_folder(folder, keep=(MODEL, TOKENIZER, LABELS, CONFIG))
    for name in (MODEL, LABELS):
        if name not in content:
            raise InfrastructureError(f"{folder} holds no {name}; build it again")
    labels = labels_of(content[LABELS], folder / LABELS)
    require_config(content.get(CONFIG), labels, folder / CONFIG)
    tokenizer = _tokenizer(folder, manifest.get("input"), content.get(TOKENIZER))
    session = _session(folder / MODEL, content[MODEL], threads)
    inputs = tuple(node.name for node in session.get_inputs())
    allowed = {"text"} if tokenizer is None else {"input_ids", "attention_mask"}
    if not inputs or not set(inputs) <= allowed:
        raise InfrastructureError(f"{folder / MODEL} takes {inputs}, expected {sorted(allowed)}; export it again")
    classes = {node.name: node.shape[-1] for node in session.get_outputs() if node.shape}
    if classes.get("logits") != len(labels):
        raise InfrastructureError(
            f"{folder / MODEL} gives {classes}, expected logits of {len(labels)}; export it again"
        )
    return Model(labels=labels, session=session, tokenizer=tokenizer, inputs=inputs, windows=windows_of(manifest))


def _session(path: Path, model: bytes, threads: int) -> onnxruntime.InferenceSession:
    refuse_external_data(model, path)
    try:
        return open_session(model, threads)
    except Exception as error:  # ONNX Runtime raises whatever its C++ raises
        raise InfrastructureError(f"{path} cannot be opened ({first_line(error, 300)}); export it again") from error


def _tokenizer(folder: Path, kind: object, content: bytes | None) -> tokenizers.Tokenizer | None:
    if kind == "text":
        return None
    if kind != "tokens":
        raise InfrastructureError(f"{folder / MANIFEST} says input {kind!r}, expected 'tokens' or 'text'")
    if content is None:
        raise InfrastructureError(f"{folder} holds no {TOKENIZER}; build it again")
    text = tokenizer_text(content, folder / TOKENIZER)
    from tokenizers import Tokenizer

    try:
        return without_panic(lambda: Tokenizer.from_str(text))
    except Exception as error:  # the tokenizers library raises nothing more telling
        raise InfrastructureError(f"{folder / TOKENIZER} cannot be opened ({first_line(error, 300)})") from error


def without_panic(step: Callable[[], T]) -> T:
    """Do what the tokenizers library does; raise InfrastructureError where it panics, which is no Exception in its eyes."""
    try:
        return step()
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise InfrastructureError(f"the tokenizer broke ({first_line(error, 200)}); build the bundle again") from error


def thread_settings(model: Model) -> dict[str, object]:
    """Return what the session says of its threads: how many, and whether they spin while there is nothing to do."""
    options = model.session.get_session_options()
    return {
        "intra_op_threads": options.intra_op_num_threads,
        "inter_op_threads": options.inter_op_num_threads,
        "spinning": options.get_session_config_entry("session.intra_op.allow_spinning") == "1",
    }


def feeds(model: Model, text: str) -> list[dict[str, np.ndarray]]:
    """Return the inputs of each window of one text: int64 [1, tokens] each, or a string tensor [1]."""
    text = text[:MAX_CHARS]
    if model.tokenizer is None:
        return [{"text": np.array([text], dtype=object)}]
    encode = model.tokenizer.encode
    return [_inputs(model, encoding) for encoding in read(model, without_panic(lambda: encode(text)))]


def read(model: Model, encoding: tokenizers.Encoding) -> list[tokenizers.Encoding]:
    """Return the windows of a text that the model reads: the first, or all."""
    return [encoding] if model.windows == "first" else [encoding, *encoding.overflowing]


def _inputs(model: Model, encoding: tokenizers.Encoding) -> dict[str, np.ndarray]:
    values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
    return {name: np.array([values[name]], dtype=np.int64) for name in model.inputs}


def logits(model: Model, text: str) -> np.ndarray:
    """Return the logits of one text, float32 [classes], in the order of the labels.

    Of several windows, each read by itself, the mean, weighted by their tokens. Raises InfrastructureError when they are not finite: the
    largest of what is no number would be a label.
    """
    windows = feeds(model, text)
    rows = [model.session.run(["logits"], window)[0][0] for window in windows]
    return finite(averaged(rows, [window[model.inputs[0]].shape[-1] for window in windows]))


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the probabilities that logits stand for, float64 [classes]."""
    values = scores.astype(np.float64)
    weights = np.exp(values - values.max())
    shares: np.ndarray = weights / weights.sum()
    return shares


def finite(values: np.ndarray) -> np.ndarray:
    """Return logits; InfrastructureError when one of them is not a finite number."""
    if not np.isfinite(values).all():
        raise InfrastructureError(
            "the graph gives logits that are not finite, so there is no label; build the bundle again"
        )
    return values


def averaged(rows: Sequence[np.ndarray], tokens: Sequence[int]) -> np.ndarray:
    """Return the mean of the windows' logits, float32 [classes], a window counting by its tokens."""
    if len(rows) == 1:
        return rows[0]
    return np.average(rows, axis=0, weights=tokens).astype(np.float32)
