"""Many texts at once, padded to the longest: how a bundle is used when nobody waits. numpy and tokenizers only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from parsimony.bundle.predict import MAX_CHARS, Model

_PADDING = ("[PAD]", "<pad>", "<|padding|>")


def many(model: Model) -> Callable[[Sequence[str]], list[int]] | None:
    """Return a function that predicts the class numbers of several texts at once, None where the graph takes only one.

    Predictions can differ from those one at a time: some quantised products share one scale for all that a batch holds.
    """
    if any(isinstance(node.shape[0], int) for node in model.session.get_inputs() if node.shape):
        return None

    def predict(texts: Sequence[str]) -> list[int]:
        logits = model.session.run(["logits"], feeds_of(model, texts))[0]
        return [int(number) for number in logits.argmax(axis=1)]

    return predict


def feeds_of(model: Model, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the inputs of several texts: int64 [texts, tokens of the longest] each, or a string tensor [texts]."""
    cut = [text[:MAX_CHARS] for text in texts]
    if model.tokenizer is None:
        return {"text": np.array(cut, dtype=object)}
    encodings = model.tokenizer.encode_batch(cut)
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
    numbers = (model.tokenizer.token_to_id(name) for name in _PADDING)
    return next((number for number in numbers if number is not None), 0)
