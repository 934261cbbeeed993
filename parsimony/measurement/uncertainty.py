"""How the test texts differ from the validation texts, as far as can be seen without their labels and without any candidate.

A given test file is often harder than rows cut from train, and models differ on hard texts; and other people use other words,
over which trimmed models stumble. Two numbers, the same for all candidates: they can order kinds of them, and tell none from
another by what it predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from parsimony.bundle import predict
from parsimony.data.splits import Splits

_MOST_TEXTS = 1_000
# Beyond these an estimate says more about the confidences than about the texts.
_LEAST, _GREATEST = 0.5, 4.0


class Three(NamedTuple):
    """The texts of the three splits."""

    train: Sequence[str]
    validation: Sequence[str]
    test: Sequence[str]

    @classmethod
    def of(cls, splits: Splits) -> Three:
        """Return those of a dataset: of train all that students read, with labels or without."""
        return cls(splits.read_by_students.texts, splits.texts("validation").texts, splits.texts("test").texts)


def shift(bundle: Path, texts: Three, threads: int) -> tuple[float, float]:
    """Return the factor of doubt, from 0.5 to 4, and the share of new words, from 0 to 1.

    The doubt of a bundle about a text is the probability that it gives to every other class than its prediction; the factor is
    the mean doubt about test texts over that about validation texts, of at most 1,000 texts each, at even distances. The share
    is that of test texts with a token that training never held, as far as it is greater than on the validation split.
    """
    model = predict.load(bundle, threads=threads)
    here, there = (
        float(np.mean([_doubt(predict.logits(model, text)) for text in _some(part)]))
        for part in (texts.validation, texts.test)
    )
    factor = min(max(there / here, _LEAST), _GREATEST) if here > 0 else 1.0
    return factor, max(_new(bundle, texts.train, texts.test) - _new(bundle, texts.train, texts.validation), 0.0)


def _new(bundle: Path, train: Sequence[str], texts: Sequence[str]) -> float:
    """Return the share of texts with a token that training never held; 0 where the bundle reads no tokens."""
    import tokenizers

    file = bundle / "tokenizer.json"
    if not file.exists():
        return 0.0
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    known = {token for encoded in tokenizer.encode_batch(list(train)) for token in encoded.ids}
    return float(np.mean([not known.issuperset(encoded.ids) for encoded in tokenizer.encode_batch(list(texts))]))


def _some(texts: Sequence[str]) -> list[str]:
    places = np.linspace(0, len(texts) - 1, min(len(texts), _MOST_TEXTS)).round().astype(int)
    return [texts[place] for place in places]


def _doubt(logits: np.ndarray) -> float:
    """Return 1 - the largest softmax probability."""
    weights = np.exp(logits.astype(np.float64).ravel() - float(logits.max()))
    return float(1 - weights.max() / weights.sum())
