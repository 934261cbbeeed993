"""Which row a token borrows that occurs in no text, against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from tinymodels import ARCHITECTURES, Architecture, base_of, first_quick, tables

from parsimony.compression import nearest_tokens
from parsimony.data.table import Texts
from parsimony.training.classifier import token_table
from parsimony.training.vocabulary import named_ids, serving_tokenizer, token_ids

pytestmark = pytest.mark.slow

TABLE = np.array([[1, 0], [0, 1], [0.9, 0.1], [-1, 0.2], [0, 0], [1, 1], [3, 0.01]], dtype=np.float32)


def test_a_row_borrows_from_the_nearest_used_one_within_reach() -> None:
    assert nearest_tokens.nearest(TABLE, [0, 1], set()) == {2: 0, 5: 0, 6: 0}


def test_length_does_not_count_and_a_row_of_zeros_is_near_to_none() -> None:
    assert nearest_tokens.nearest(TABLE, [6, 4], set()) == {0: 6, 2: 6, 5: 6}


def test_special_tokens_borrow_nothing_and_where_nothing_is_used_nothing_is_borrowed() -> None:
    assert nearest_tokens.nearest(TABLE, [0, 1], {2, 6}) == {5: 0}
    assert nearest_tokens.nearest(TABLE, [], set()) == {}


def test_many_rows_are_compared_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    whole = nearest_tokens.nearest(table, [3, 7, 9], set())
    monkeypatch.setattr(nearest_tokens, "_ROWS_AT_ONCE", 7)
    assert nearest_tokens.nearest(table, [3, 7, 9], set()) == whole
    assert 10 < len(whole) < 47


@first_quick(ARCHITECTURES)
def test_of_a_base_every_neighbour_is_used_and_none_of_those_that_borrow_is(architecture: Architecture) -> None:
    base, texts = base_of(architecture), Texts.of(tables()[0].texts[:20])
    tokenizer = serving_tokenizer((base / "tokenizer.json").read_text(encoding="utf-8"), max_tokens=64)
    used = {token for ids in token_ids(tokenizer, texts.texts) for token in ids} - named_ids(tokenizer)
    borrowed = nearest_tokens.neighbours(base, tokenizer, texts)
    table = token_table(base).astype(np.float64)
    for token, other in borrowed.items():
        cosines = {s: table[token] @ table[s] / np.linalg.norm(table[token]) / np.linalg.norm(table[s]) for s in used}
        assert cosines[other] == pytest.approx(max(cosines.values()), abs=1e-6)
        assert cosines[other] >= nearest_tokens.NEAR - 1e-6
    assert not set(borrowed) & (used | named_ids(tokenizer))
