"""Neurons taken out of the feed-forward blocks: the least important go, and the rest is fitted to replace them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tinymodels import Architecture, base_of, first_quick, tables

from parsimony.training.classifier import (
    Classifier,
    cut_positions,
    features,
    layers_of,
    load,
    load_base,
    position_limit,
    save,
)
from parsimony.training.pruning import ffn_width, kept_heads, prunable_heads, prunable_width, prune_ffn, prune_heads
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TRAIN, VALIDATION, _ = tables()
PLAIN: tuple[Architecture, ...] = ("bert", "distilbert", "roberta")


def fresh(architecture: Architecture = "bert") -> Classifier:
    return load_base(base_of(architecture), classes=4, max_tokens=32)


def states(classifier: Classifier) -> np.ndarray:
    return features(classifier, token_ids(classifier.tokenizer, VALIDATION.texts))


def pruned(architecture: Architecture, width: int) -> Classifier:
    classifier = fresh(architecture)
    prune_ffn(classifier, width, token_ids(classifier.tokenizer, TRAIN.texts))
    return classifier


@first_quick(PLAIN)
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


@first_quick(PLAIN)
def test_with_all_neurons_kept_the_states_stay(architecture: Architecture) -> None:
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


def test_the_rest_replaces_neurons_that_repeat_others() -> None:
    """Every neuron stands there twice: half of them, fitted again, reproduce the output of all."""
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


def test_a_block_without_one_matrix_into_and_one_out_of_its_neurons_is_refused() -> None:
    classifier = fresh()
    layers_of(classifier.encoder)[1][1].intermediate.gate = torch.nn.Linear(48, 96)
    assert prunable_width(classifier.encoder) is None
    assert prunable_width(fresh().encoder) == 96
    with pytest.raises(ValueError, match="feed-forward blocks of a bert are no plain pair of matrices"):
        prune_ffn(classifier, 8, token_ids(classifier.tokenizer, TRAIN.texts))


@pytest.mark.slow
def test_a_gated_block_is_refused() -> None:
    classifier = fresh("modernbert")
    assert prunable_width(classifier.encoder) is None
    assert prunable_width(fresh("roberta").encoder) == 96
    with pytest.raises(ValueError, match="feed-forward blocks of a modernbert are no plain pair of matrices"):
        prune_ffn(classifier, 8, token_ids(classifier.tokenizer, TRAIN.texts))


@pytest.mark.parametrize(
    ("architecture", "rows"),
    [("bert", 32), *(pytest.param(*other, marks=pytest.mark.slow) for other in (("distilbert", 32), ("roberta", 34)))],
)
def test_positions_behind_the_cut_are_dropped_and_no_state_changes(
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


def test_positions_that_are_in_no_table_are_left_as_they_are() -> None:
    encoder = fresh().encoder
    encoder.embeddings.position_embeddings = torch.nn.Identity()
    before = encoder.config.max_position_embeddings
    cut_positions(replace(fresh(), encoder=encoder))
    assert encoder.config.max_position_embeddings == before > 32


@pytest.mark.slow
def test_an_encoder_without_a_table_of_positions_keeps_what_it_has() -> None:
    classifier, before = fresh("modernbert"), fresh("modernbert")
    cut_positions(classifier)
    torch.testing.assert_close(torch.tensor(states(classifier)), torch.tensor(states(before)))


# --- heads ----------------------------------------------------------------------------------------


def with_heads(architecture: Architecture, keep: int) -> Classifier:
    classifier = fresh(architecture)
    prune_heads(classifier, keep, token_ids(classifier.tokenizer, TRAIN.texts))
    return classifier


@first_quick(PLAIN)
@pytest.mark.parametrize("keep", [1, 3])
def test_every_layer_has_as_many_heads_as_asked_and_so_it_stays_when_it_is_read_again(
    architecture: Architecture, keep: int, tmp_path: Path
) -> None:
    classifier = with_heads(architecture, keep)
    save(classifier, tmp_path)
    again = load(tmp_path)
    assert kept_heads(classifier.encoder) == kept_heads(again.encoder) == keep
    linear = [m for m in layers_of(again.encoder)[1].modules() if isinstance(m, torch.nn.Linear)]
    assert sum(m.out_features == 12 * keep and m.in_features == 48 for m in linear) == 3 * 3
    assert sum(m.in_features == 12 * keep and m.out_features == 48 for m in linear) == 3
    np.testing.assert_allclose(states(again), states(classifier), atol=1e-6)


@first_quick(PLAIN)
def test_with_all_heads_kept_the_states_stay(architecture: Architecture) -> None:
    kept = states(with_heads(architecture, prunable_heads(fresh(architecture).encoder) or 0))
    np.testing.assert_allclose(kept, states(fresh(architecture)), rtol=1e-3, atol=1e-3)


def test_heads_that_give_nothing_are_the_first_to_go_and_nothing_is_lost_with_them() -> None:
    classifier, before = fresh(), fresh()
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            layer.attention.output.dense.weight.data[:, 12:36] = 0.0
    prune_heads(classifier, 2, token_ids(classifier.tokenizer, TRAIN.texts))
    assert classifier.encoder.config.pruned_heads == {0: [1, 2], 1: [1, 2], 2: [1, 2]}
    np.testing.assert_allclose(states(classifier), states(before), rtol=1e-3, atol=1e-3)


def test_a_head_that_repeats_another_goes_and_the_other_replaces_it() -> None:
    """Heads 0 and 3 give the same, so one of them is superfluous although both are used."""
    classifier, before = fresh(), fresh()
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            for part in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value):
                part.weight.data[36:], part.bias.data[36:] = part.weight.data[:12], part.bias.data[:12]
    prune_heads(classifier, 3, token_ids(classifier.tokenizer, TRAIN.texts))
    assert all(gone in ([0], [3]) for gone in classifier.encoder.config.pruned_heads.values())
    np.testing.assert_allclose(states(classifier), states(before), atol=0.02)


def test_of_an_architecture_that_is_not_known_no_head_is_taken_out() -> None:
    classifier = fresh()
    classifier.encoder.config.model_type = "another"
    assert prunable_heads(classifier.encoder) is None
    assert prunable_heads(fresh().encoder) == kept_heads(classifier.encoder) == 4
    with pytest.raises(ValueError, match="no heads can be taken out of a another"):
        prune_heads(classifier, 2, token_ids(classifier.tokenizer, TRAIN.texts))


@pytest.mark.slow
def test_of_other_attention_no_head_is_taken_out() -> None:
    assert prunable_heads(fresh("modernbert").encoder) is None
    assert kept_heads(fresh("modernbert").encoder) == 4
    with pytest.raises(ValueError, match="no heads can be taken out of a modernbert"):
        with_heads("modernbert", 2)
