"""Which tokens that no training text holds mean nearly the same as one that some text does.

A base has learned where tokens lie to one another; the nearer two rows of its token table, the more alike their
meaning (cosine). A token within reach of a used one can be read as that one at the price of its name, where it would
else be spelled in pieces that say little: "refunding" is read as "refund", not as "ref ##und ##ing".
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from parsimony.data.table import Texts
from parsimony.training.classifier import token_table
from parsimony.training.vocabulary import named_ids, token_ids

NEAR = 0.5
_PLACEHOLDER = re.compile(r"\[\w+\]")
_ROWS_AT_ONCE = 2_048


@lru_cache(maxsize=4)
def neighbours(base: Path, tokenizer: str, texts: Texts) -> dict[int, int]:
    """Return, for every token of a base that no text holds but that is near one that some does, that nearest token.

    tokenizer: tokenizer.json as it will be served, with the base's own ids.
    """
    return {token: other for token, (other, cosine) in _nearest_used(base, tokenizer, texts).items() if cosine >= NEAR}


def likeliest(base: Path, tokenizer: str, texts: Texts) -> tuple[int, ...]:
    """Return the tokens of a base that no text holds, those first that later texts are the likeliest to hold.

    They are ordered by the sum of two ranks: how near they are to a token that some text holds, and how frequent they are, for
    which their number stands: tokenizers number by frequency. Placeholders such as [unused7] are left out: no text is read as one.
    """
    known = _nearest_used(base, tokenizer, texts)
    tokens = sorted(known.keys() - _placeholders(tokenizer))
    near = {token: rank for rank, token in enumerate(sorted(tokens, key=lambda token: -known[token][1]))}
    frequent = {token: rank for rank, token in enumerate(tokens)}
    return tuple(sorted(tokens, key=lambda token: near[token] + frequent[token]))


def _placeholders(tokenizer: str) -> set[int]:
    vocabulary = json.loads(tokenizer)["model"]["vocab"]
    numbered = vocabulary.items() if isinstance(vocabulary, dict) else ((v[0], i) for i, v in enumerate(vocabulary))
    return {token for name, token in numbered if _PLACEHOLDER.fullmatch(name)}


@lru_cache(maxsize=4)
def _nearest_used(base: Path, tokenizer: str, texts: Texts) -> dict[int, tuple[int, float]]:
    special = named_ids(tokenizer)
    used = {token for row in token_ids(tokenizer, texts.texts) for token in row} - special
    return nearest(token_table(base), sorted(used), special)


def nearest(table: np.ndarray, used: list[int], special: set[int]) -> dict[int, tuple[int, float]]:
    """Return the nearest used row of every other row of a table, and the cosine between the two.

    table: float32 [rows, width]; `special` rows are near to none.
    """
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    unit = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
    others = np.array(sorted(set(range(len(table))) - set(used) - special), dtype=np.int64)
    neighbour: dict[int, tuple[int, float]] = {}
    for start in range(0, len(others) if used else 0, _ROWS_AT_ONCE):
        rows = others[start : start + _ROWS_AT_ONCE]
        cosines = unit[rows] @ unit[used].T
        best = cosines.argmax(1)
        neighbour |= {
            int(row): (used[place], float(cosines[i, place]))
            for i, (row, place) in enumerate(zip(rows, best, strict=True))
        }
    return neighbour
