"""Which row a token borrows that occurs in no text, against a comparison of all pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tinymodels import ARCHITECTURES, Architecture, base_of, first_quick, tables

from parsimony.compression import nearest_tokens
from parsimony.data.table import Texts
from parsimony.training.classifier import token_table
from parsimony.training.vocabulary import named_ids, serving_tokenizer, token_ids

pytestmark = pytest.mark.slow

TABLE = np.array([[1, 0], [0, 1], [0.9, 0.1], [-1, 0.2], [0, 0], [1, 1], [3, 0.01]], dtype=np.float32)


def near(table: np.ndarray, used: list[int], special: set[int]) -> dict[int, int]:
    """Return the neighbours within reach."""
    known = nearest_tokens.nearest(table, used, special).items()
    return {row: other for row, (other, cosine) in known if cosine >= nearest_tokens.NEAR}


def test_every_other_row_has_a_nearest_one_with_its_cosine() -> None:
    nearest = nearest_tokens.nearest(TABLE, [0, 1], {2})
    assert {row: other for row, (other, _) in nearest.items()} == {3: 1, 4: 0, 5: 0, 6: 0}
    assert nearest[5][1] == pytest.approx(0.5**0.5)
    assert nearest[3][1] == pytest.approx(0.2 / 1.04**0.5)


def test_a_row_borrows_from_the_nearest_used_one_within_reach() -> None:
    assert near(TABLE, [0, 1], set()) == {2: 0, 5: 0, 6: 0}


def test_length_does_not_count_and_a_row_of_zeros_is_near_to_none() -> None:
    assert near(TABLE, [6, 4], set()) == {0: 6, 2: 6, 5: 6}


def test_special_tokens_borrow_nothing_and_where_nothing_is_used_nothing_is_borrowed() -> None:
    assert near(TABLE, [0, 1], {2, 6}) == {5: 0}
    assert near(TABLE, [], set()) == {}


def test_many_rows_are_compared_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    whole = near(table, [3, 7, 9], set())
    monkeypatch.setattr(nearest_tokens, "_ROWS_AT_ONCE", 7)
    assert near(table, [3, 7, 9], set()) == whole
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


def test_tokens_that_no_text_holds_are_ordered_by_nearness_and_frequency_together() -> None:
    base, texts = base_of("bert"), Texts.of(tables()[0].texts[:20])
    tokenizer = serving_tokenizer((base / "tokenizer.json").read_text(encoding="utf-8"), max_tokens=64)
    used = {token for ids in token_ids(tokenizer, texts.texts) for token in ids} - named_ids(tokenizer)
    table = token_table(base)
    others = sorted(set(range(len(table))) - used - named_ids(tokenizer))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = (unit[others] @ unit[sorted(used)].T).max(1)
    ranks = np.argsort(np.argsort(-cosines, kind="stable")) + np.arange(len(others))
    expected = [others[place] for place in np.argsort(ranks, kind="stable")]
    assert list(nearest_tokens.likeliest(base, tokenizer, texts)) == expected


def test_placeholders_that_no_text_is_read_as_are_never_the_likeliest() -> None:
    base, texts = base_of("bert"), Texts.of(tables()[0].texts[:20])
    tokenizer = (base / "tokenizer.json").read_text(encoding="utf-8")
    first = nearest_tokens.likeliest(base, tokenizer, texts)[0]
    document = json.loads(tokenizer)
    [name] = [name for name, token in document["model"]["vocab"].items() if token == first]
    document["model"]["vocab"] = {
        "[unused7]" if known == name else known: token for known, token in document["model"]["vocab"].items()
    }
    assert first not in nearest_tokens.likeliest(base, json.dumps(document), texts)
