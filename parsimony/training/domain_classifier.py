"""A classifier that tells where texts come from: which of two sources, on texts that it was not trained on."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parsimony.data.normalise import normalise
from parsimony.errors import DataError

MOST_TEXTS = 4_000
LEAST_TEXTS = 40
_WORDS = r"(?u)\b\w+\b"
_MOST_WORDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """Two samples of equal size: how many held-out texts were distinguished, and in how many texts each frequent word occurs."""

    texts: tuple[tuple[str, ...], tuple[str, ...]]
    right: int
    rows: int
    words: tuple[Mapping[str, int], Mapping[str, int]]


def domains(before: Sequence[str], after: Sequence[str], seed: int) -> Domains:
    """Train on half of the texts of both sides and distinguish the other half.

    Equal texts of one side count once, because a text in both halves would be recognised. A side gives MOST_TEXTS at most, and both
    the same number. Raises DataError when a side has fewer than LEAST_TEXTS.
    """
    rng = random.Random(seed)
    sides = [_sampled(texts, rng) for texts in (before, after)]
    count = min(map(len, sides))
    if count < LEAST_TEXTS:
        raise DataError(f"found {count} different texts on one side, expected at least {LEAST_TEXTS}; wait for more")
    first, second = (tuple(side[:count]) for side in sides)
    half = count // 2
    right = _right(first[:half], second[:half], first[half:], second[half:], seed)
    return Domains(texts=(first, second), right=right, rows=2 * (count - half), words=_counted(first, second))


def _sampled(texts: Sequence[str], rng: random.Random) -> list[str]:
    different = list({normalise(text): text for text in texts if text.strip()}.values())
    return rng.sample(different, min(len(different), MOST_TEXTS))


def _right(
    first: Sequence[str], second: Sequence[str], new_first: Sequence[str], new_second: Sequence[str], seed: int
) -> int:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    features = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), max_features=50_000, sublinear_tf=True)
    model = make_pipeline(features, LogisticRegression(max_iter=300, random_state=seed))
    model.fit([*first, *second], [0] * len(first) + [1] * len(second))
    said = model.predict([*new_first, *new_second])
    return int((said[: len(new_first)] == 0).sum() + (said[len(new_first) :] == 1).sum())


def _counted(first: Sequence[str], second: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return in how many texts of each side the most frequent words of both occur."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, token_pattern=_WORDS, max_features=_MOST_WORDS)
    try:
        table = counter.fit_transform([*first, *second])
    except ValueError:  # not a word in any text
        return {}, {}
    names = counter.get_feature_names_out()
    counts = (table[: len(first)].sum(axis=0).A1, table[len(first) :].sum(axis=0).A1)
    before, after = ({str(n): int(c) for n, c in zip(names, side, strict=True)} for side in counts)
    return before, after
