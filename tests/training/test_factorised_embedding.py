"""A factorised table reads almost as the whole one, is kept in two files, and is a narrow table in the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from tinymodels import ARCHITECTURES, Architecture, base_of, first_quick

from parsimony.graphs import rewrite
from parsimony.training import factorised_embedding
from parsimony.training.classifier import all_logits, load, load_base, narrow, save, widen
from parsimony.training.export import check_parity, export
from parsimony.training.fit import set_head
from parsimony.training.vocabulary import token_ids, trim

pytestmark = pytest.mark.slow

TEXTS = ("where is my card", "the card does not work", "send me my money back")


def _rows(encoder: torch.nn.Module) -> torch.Tensor:
    """Return what each token is read as, [vocabulary, hidden]."""
    table: torch.Tensor = encoder.get_input_embeddings()(
        torch.arange(len(factorised_embedding.table_of(encoder).weight))
    ).data
    return table


@first_quick((*ARCHITECTURES, "electra"))
def test_every_architecture_is_saved_read_and_exported_with_a_factorised_table(
    architecture: Architecture, tmp_path: Path
) -> None:
    classifier = load_base(base_of(architecture), classes=3, max_tokens=16)
    hidden = classifier.encoder.config.hidden_size
    set_head(classifier, np.random.default_rng(0).normal(size=(3, hidden)), np.zeros(3))
    ids = token_ids(classifier.tokenizer, TEXTS)
    factorised_embedding.factorise(classifier.encoder, hidden // 4, ids)
    expected = all_logits(classifier, ids)
    save(classifier, tmp_path)
    again = load(tmp_path)
    np.testing.assert_array_equal(all_logits(again, ids), expected)
    graph = export(again)
    check_parity(graph, again, ids)
    (lookup,) = rewrite.lookup_of(graph, "input_ids")
    assert numpy_helper.to_array(rewrite.initializers(graph)[lookup.input[0]]).shape[1] == hidden // 4


def test_what_is_saved_is_a_plain_model_of_transformers_with_the_product_as_its_table(tmp_path: Path) -> None:
    classifier = load_base(base_of("bert"), classes=2, max_tokens=16)
    factorised_embedding.factorise(classifier.encoder, 8, token_ids(classifier.tokenizer, TEXTS))
    wanted = _rows(classifier.encoder)
    save(classifier, tmp_path)
    (tmp_path / factorised_embedding.FACTORS).unlink()
    torch.testing.assert_close(_rows(load(tmp_path).encoder), wanted)


def test_a_whole_table_is_saved_without_factors(tmp_path: Path) -> None:
    save(load_base(base_of("bert"), classes=2, max_tokens=16), tmp_path)
    assert not (tmp_path / factorised_embedding.FACTORS).exists()


def test_what_texts_hold_often_is_kept_best() -> None:
    encoder = load_base(base_of("bert"), classes=2, max_tokens=16).encoder
    before = _rows(encoder)
    factorised_embedding.factorise(encoder, 8, [[5] * 1_000, [6], [7]])
    lost = (_rows(encoder) - before).norm(dim=1) / before.norm(dim=1)
    assert lost[5] < 0.01
    assert lost[6] < 0.1
    assert lost[8:].median() > 0.3


def test_as_many_directions_as_tokens_in_the_texts_lose_nothing_of_them() -> None:
    encoder = load_base(base_of("bert"), classes=2, max_tokens=16).encoder
    before = _rows(encoder)
    factorised_embedding.factorise(encoder, before.shape[1] - 1, [list(range(5, 15))])
    torch.testing.assert_close(_rows(encoder)[5:15], before[5:15], rtol=0, atol=1e-3)


def test_both_factors_are_as_large_as_the_table_was() -> None:
    encoder = load_base(base_of("bert"), classes=2, max_tokens=16).encoder
    deviation = factorised_embedding.table_of(encoder).weight.std()
    factorised_embedding.factorise(encoder, 8, [[5, 6, 7]])
    torch.testing.assert_close(factorised_embedding.table_of(encoder).weight.std(), deviation)


def test_trained_rows_of_a_narrow_table_are_put_back_among_the_others() -> None:
    classifier = load_base(base_of("bert"), classes=2, max_tokens=16)
    factorised_embedding.factorise(classifier.encoder, 8, token_ids(classifier.tokenizer, TEXTS))
    original = factorised_embedding.table_of(classifier.encoder).weight.data.clone()
    projection = factorised_embedding.projection_of(classifier.encoder)
    trimmed = trim(classifier.tokenizer, TEXTS)
    narrow(classifier, trimmed)
    rows = factorised_embedding.table_of(classifier.encoder).weight
    assert rows.shape == (len(trimmed.kept), 8)
    rows.data += 1.0
    widen(classifier, trimmed.kept, original)
    expected = original.clone()
    expected[list(trimmed.kept)] += 1.0
    torch.testing.assert_close(factorised_embedding.table_of(classifier.encoder).weight.data, expected)
    assert factorised_embedding.projection_of(classifier.encoder) is projection
    assert classifier.encoder.config.vocab_size == len(original)


@pytest.mark.parametrize("width", [0, -1, 10_000])
def test_a_table_is_only_made_narrower(width: int) -> None:
    encoder = load_base(base_of("bert"), classes=2, max_tokens=16).encoder
    with pytest.raises(ValueError, match="cannot be made"):
        factorised_embedding.factorise(encoder, width, [[5]])
