"""Neurons taken out of the feed-forward blocks: the least used go, and the rest answer for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tinymodels import Architecture, base_of, tables

from parsimony.classifier import Classifier, cut_positions, features, layers_of, load, load_base, position_limit, save
from parsimony.pruning import ffn_width, prunable_width, prune_ffn
from parsimony.vocabulary import token_ids

TRAIN, SEARCH, _ = tables()
PLAIN: tuple[Architecture, ...] = ("bert", "distilbert", "roberta")


def fresh(architecture: Architecture = "bert") -> Classifier:
    return load_base(base_of(architecture), classes=4, max_tokens=32)


def states(classifier: Classifier) -> np.ndarray:
    return features(classifier, token_ids(classifier.tokenizer, SEARCH.texts))


def pruned(architecture: Architecture, width: int) -> Classifier:
    classifier = fresh(architecture)
    prune_ffn(classifier, width, token_ids(classifier.tokenizer, TRAIN.texts))
    return classifier


@pytest.mark.parametrize("architecture", PLAIN)
def test_every_block_is_as_narrow_as_asked_and_stays_so_when_it_is_read_again(
    architecture: Architecture, tmp_path: Path
) -> None:
    classifier = pruned(architecture, 24)
    assert ffn_width(classifier.encoder) == 24
    save(classifier, tmp_path)
    again = load(tmp_path)
    assert ffn_width(again.encoder) == 24
    assert {p.shape for p in layers_of(again.encoder)[1].parameters() if 24 in p.shape} == {(24, 48), (24,), (48, 24)}
    np.testing.assert_allclose(states(again), states(classifier), atol=1e-6)


@pytest.mark.parametrize("architecture", PLAIN)
def test_without_a_neuron_less_the_answers_stay(architecture: Architecture) -> None:
    before = fresh(architecture)
    np.testing.assert_allclose(
        states(pruned(architecture, ffn_width(before.encoder))), states(before), rtol=1e-3, atol=1e-3
    )


def test_neurons_that_no_text_uses_are_the_first_to_go() -> None:
    classifier, before = fresh(), fresh()
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            layer.output.dense.weight.data[:, ::2] = 0.0
    prune_ffn(classifier, ffn_width(before.encoder) // 2, token_ids(classifier.tokenizer, TRAIN.texts))
    np.testing.assert_allclose(states(classifier), states(before), rtol=1e-3, atol=1e-3)


def test_the_rest_answers_for_neurons_that_say_the_same() -> None:
    """Every neuron stands there twice: half of them, fitted again, give what all of them gave."""
    classifier, before = fresh(), fresh()
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            into, out = layer.intermediate.dense, layer.output.dense
            half = into.out_features // 2
            into.weight.data[half:], into.bias.data[half:] = into.weight.data[:half], into.bias.data[:half]
            out.weight.data[:, half:] = 0.5 * out.weight.data[:, :half]
    prune_ffn(classifier, ffn_width(before.encoder) // 2, token_ids(classifier.tokenizer, TRAIN.texts))
    whole, left = states(before), states(classifier)
    assert np.abs(left - whole).mean() < 0.1 * whole.std()


def test_a_gated_block_is_refused() -> None:
    classifier = fresh("modernbert")
    assert prunable_width(classifier.encoder) is None
    assert prunable_width(fresh("roberta").encoder) == 96
    with pytest.raises(ValueError, match="feed-forward blocks of a modernbert are no plain pair of matrices"):
        prune_ffn(classifier, 8, token_ids(classifier.tokenizer, TRAIN.texts))


@pytest.mark.parametrize(("architecture", "rows"), [("bert", 32), ("distilbert", 32), ("roberta", 34)])
def test_positions_behind_the_cut_are_dropped_and_nothing_is_answered_differently(
    architecture: Architecture, rows: int, tmp_path: Path
) -> None:
    classifier, before = fresh(architecture), fresh(architecture)
    cut_positions(classifier)
    assert position_limit(classifier.encoder) == 32
    assert classifier.encoder.config.max_position_embeddings == rows
    save(classifier, tmp_path)
    again = load(tmp_path)
    np.testing.assert_array_equal(states(again), states(before))
    longest = [[5] * 32]
    np.testing.assert_allclose(features(again, longest), features(before, longest), atol=1e-6)


def test_an_encoder_without_a_table_of_positions_keeps_what_it_has() -> None:
    classifier, before = fresh("modernbert"), fresh("modernbert")
    cut_positions(classifier)
    torch.testing.assert_close(torch.tensor(states(classifier)), torch.tensor(states(before)))
