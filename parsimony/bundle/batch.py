"""Many texts at once, padded to the longest: how a bundle is used when nobody waits. numpy and tokenizers only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from parsimony.bundle.config_json import PADDING
from parsimony.bundle.predict import MAX_CHARS, Model, averaged, finite, read, without_panic

if TYPE_CHECKING:
    from tokenizers import Encoding


def many(model: Model) -> Callable[[Sequence[str]], list[int]] | None:
    """Return a function that predicts the class numbers of several texts at once, None where the graph takes only one.

    Predictions can differ from those one at a time: some quantised products share one scale for all that a batch holds.
    """
    if any(isinstance(node.shape[0], int) for node in model.session.get_inputs() if node.shape):
        return None

    return lambda texts: [int(row.argmax()) for row in _logits(model, [text[:MAX_CHARS] for text in texts])]


def _logits(model: Model, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the logits of each text, float32 [classes]; no more windows than texts are in the graph at once."""
    if model.tokenizer is None:
        return [finite(row) for row in model.session.run(["logits"], {"text": np.array(texts, dtype=object)})[0]]
    encode = model.tokenizer.encode_batch
    windows = [read(model, encoding) for encoding in without_panic(lambda: encode(texts))]
    every = [window for of_text in windows for window in of_text]
    size = max(len(texts), 1)
    parts = (every[start : start + size] for start in range(0, len(every), size))
    rows = iter([row for part in parts for row in model.session.run(["logits"], padded(model, part))[0]])
    return [
        finite(averaged(list(islice(rows, len(of_text))), [len(window.ids) for window in of_text]))
        for of_text in windows
    ]


def padded(model: Model, encodings: Sequence[Encoding]) -> dict[str, np.ndarray]:
    """Return the inputs of several windows: int64 [windows, tokens of the longest] each."""
    width = max(len(encoding.ids) for encoding in encodings)
    padding = padding_of(model)
    values = {
        "input_ids": [encoding.ids + [padding] * (width - len(encoding.ids)) for encoding in encodings],
        "attention_mask": [
            encoding.attention_mask + [0] * (width - len(encoding.attention_mask)) for encoding in encodings
        ],
    }
    return {name: np.array(values[name], dtype=np.int64) for name in model.inputs}


def padding_of(model: Model) -> int:
    """Return the number of the tokenizer's padding token, 0 where it has none."""
    if model.tokenizer is None:
        return 0
    if model.tokenizer.padding is not None:
        return int(model.tokenizer.padding["pad_id"])
    numbers = (model.tokenizer.token_to_id(name) for name in PADDING)
    return next((number for number in numbers if number is not None), 0)
