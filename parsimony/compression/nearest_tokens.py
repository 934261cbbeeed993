"""Which tokens that no training text holds mean nearly the same as one that some text does.

A base has learned where tokens lie to one another; the nearer two rows of its token table, the more alike their
meaning (cosine). A token within reach of a used one can be read as that one at the price of its name, where it would
else be spelled in pieces that say little: "refunding" is read as "refund", not as "ref ##und ##ing".
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from parsimony.data.table import Texts
from parsimony.training.classifier import token_table
from parsimony.training.vocabulary import named_ids, token_ids

NEAR = 0.5
_ROWS_AT_ONCE = 2_048


@lru_cache(maxsize=4)
def neighbours(base: Path, tokenizer: str, texts: Texts) -> dict[int, int]:
    """Return, for every token of a base that no text holds but that is near one that some does, that nearest token.

    tokenizer: tokenizer.json as it will be served, with the base's own ids.
    """
    special = named_ids(tokenizer)
    used = {token for row in token_ids(tokenizer, texts.texts) for token in row} - special
    return nearest(token_table(base), sorted(used), special)


def nearest(table: np.ndarray, used: list[int], special: set[int]) -> dict[int, int]:
    """Return the nearest used row of every other row of a table that has one at a cosine of at least NEAR.

    table: float32 [rows, width]; `special` rows are near to none.
    """
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    unit = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
    others = np.array(sorted(set(range(len(table))) - set(used) - special), dtype=np.int64)
    neighbour: dict[int, int] = {}
    for start in range(0, len(others) if used else 0, _ROWS_AT_ONCE):
        rows = others[start : start + _ROWS_AT_ONCE]
        cosines = unit[rows] @ unit[used].T
        best = cosines.argmax(1)
        reached = cosines[np.arange(len(rows)), best] >= NEAR
        neighbour |= {int(row): used[place] for row, place in zip(rows[reached], best[reached], strict=True)}
    return neighbour
