"""Tiny real bundles for the tests: a bag of words as an ONNX graph, a few kilobytes, built in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from parsimony.bundle.folder import Contents, Windows, write_bundle
from parsimony.candidates import BuiltBundle

LABELS = ("greeting", "weather", "transfer")
WORDS = {"hello": 0, "hi": 0, "rain": 1, "sun": 1, "money": 2, "send": 2}
UNKNOWN = "[UNK]"


def write_tiny_bundle(
    folder: Path,
    *,
    labels: Sequence[str] = LABELS,
    words: Mapping[str, int] = WORDS,
    name: str = "tiny",
    padding_floats: int = 0,
    windows: Windows = "first",
) -> BuiltBundle:
    """Write a bundle whose every word votes for one label, by its number; `padding_floats` makes the file larger.

    Bundles with different `name` have different digests and the same predictions.
    """
    return write_bundle(
        folder,
        Contents(
            model=_graph(_votes(words, len(labels)), padding_floats).SerializeToString(),
            tokenizer=_tokenizer(words).to_str(),
            labels=labels,
            lineage={"name": name},
            windows=windows,
        ),
    )


def _tokenizer(words: Mapping[str, int]) -> Tokenizer:
    vocabulary = {word: position for position, word in enumerate((UNKNOWN, *words))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(max_length=32)
    return tokenizer


def _votes(words: Mapping[str, int], classes: int) -> np.ndarray:
    """Return the table float32 [words + 1, classes]; the unknown word votes for nothing."""
    table = np.zeros((len(words) + 1, classes), dtype=np.float32)
    for row, label in enumerate(words.values(), start=1):
        table[row, label % classes] = 1.0
    return table


def _graph(votes: np.ndarray, padding_floats: int) -> onnx.ModelProto:
    """Return a graph from `input_ids` int64 [batch, tokens] to `logits` float32 [batch, classes]."""
    weights = [("votes", votes), ("axes", np.array([1], dtype=np.int64))]
    if padding_floats:
        weights.append(("padding", np.zeros(padding_floats, dtype=np.float32)))
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["votes", "input_ids"], ["counted"]),
            helper.make_node("ReduceSum", ["counted", "axes"], ["logits"], keepdims=0),
        ],
        "bag of words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", votes.shape[1]])],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
