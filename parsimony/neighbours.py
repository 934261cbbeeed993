"""Which tokens that no training text holds mean nearly the same as one that some text does.

A base has learned where tokens lie to one another; the nearer two rows of its token table, the more alike their
meaning (cosine). A token within reach of a seen one can be read as that one at the price of its name, where it would
else be spelled in pieces that say little: "refunding" is read as "refund", not as "ref ##und ##ing".
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from parsimony.classifier import token_table
from parsimony.vocabulary import named_ids, token_ids

NEAR = 0.5
_ROWS_AT_ONCE = 2_048


@lru_cache(maxsize=4)
def neighbours(base: Path, tokenizer: str, texts: tuple[str, ...]) -> dict[int, int]:
    """Return, for every token of a base that no text holds but that is near one that some does, that nearest token.

    tokenizer: tokenizer.json as it will be served, with the base's own ids.
    """
    special = named_ids(tokenizer)
    seen = {token for row in token_ids(tokenizer, texts) for token in row} - special
    return nearest(token_table(base), sorted(seen), special)


def nearest(table: np.ndarray, seen: list[int], special: set[int]) -> dict[int, int]:
    """Return the nearest seen row of every other row of a table that has one at a cosine of at least NEAR.

    table: float32 [rows, columns]; `special` rows are near to none.
    """
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    unit = np.divide(table, lengths, out=np.zeros_like(table), where=lengths > 0)
    others = np.array(sorted(set(range(len(table))) - set(seen) - special), dtype=np.int64)
    found: dict[int, int] = {}
    for start in range(0, len(others) if seen else 0, _ROWS_AT_ONCE):
        rows = others[start : start + _ROWS_AT_ONCE]
        cosines = unit[rows] @ unit[seen].T
        best = cosines.argmax(1)
        reached = cosines[np.arange(len(rows)), best] >= NEAR
        found |= {int(row): seen[place] for row, place in zip(rows[reached], best[reached], strict=True)}
    return found
