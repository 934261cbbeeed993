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
    load,
    load_base,
    position_limit,
    save,
)
from parsimony.training.layer_parts import (
    attention_of,
    feed_forward_of,
    ffn_width,
    inputs_of,
    kept_heads,
    layers_of,
    prunable_heads,
    prunable_width,
    take_heads,
)
from parsimony.training.pruning import prune_ffn, prune_heads
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TRAIN, VALIDATION, _ = tables()
EVERY: tuple[Architecture, ...] = (
    "bert", "distilbert", "roberta", "xlm-roberta", "electra", "mpnet", "deberta-v2", "modernbert",
)  # fmt: skip


def fresh(architecture: Architecture = "bert") -> Classifier:
    return load_base(base_of(architecture), classes=4, max_tokens=32)


def states(classifier: Classifier) -> np.ndarray:
    return features(classifier, token_ids(classifier.tokenizer, VALIDATION.texts))


def pruned(architecture: Architecture, width: int) -> Classifier:
    classifier = fresh(architecture)
    prune_ffn(classifier, width, token_ids(classifier.tokenizer, TRAIN.texts))
    return classifier


@first_quick(EVERY)
def test_every_block_is_as_narrow_as_asked_and_stays_so_when_it_is_read_again(
    architecture: Architecture, tmp_path: Path
) -> None:
    classifier = pruned(architecture, 24)
    assert ffn_width(classifier.encoder) == 24
    save(classifier, tmp_path)
    again = load(tmp_path)
    assert ffn_width(again.encoder) == 24
    into = {(48, 48)} if architecture == "modernbert" else {(24, 48), (24,)}
    assert {p.shape for p in layers_of(again.encoder)[1].parameters()} >= into | {(48, 24)}
    assert not [p for p in layers_of(again.encoder)[1].parameters() if 96 in p.shape]
    np.testing.assert_allclose(states(again), states(classifier), atol=1e-6)


@first_quick(EVERY)
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


def test_of_a_gated_block_a_neuron_goes_with_its_gate() -> None:
    """Rows i and i + width of the first matrix belong to neuron i: without neurons that give nothing, nothing changes."""
    classifier, before = fresh("modernbert"), fresh("modernbert")
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            layer.mlp.Wo.weight.data[:, 1::2] = 0.0
    whole = before.encoder.layers[0].mlp.Wi.weight.data
    prune_ffn(classifier, 48, token_ids(classifier.tokenizer, TRAIN.texts))
    assert torch.equal(classifier.encoder.layers[0].mlp.Wi.weight.data, whole[::2])
    np.testing.assert_allclose(states(classifier), states(before), rtol=1e-3, atol=1e-3)


def test_a_gate_is_not_taken_for_attention_of_the_same_shape(tmp_path: Path) -> None:
    """In the smallest ModernBERTs queries, keys and values together are as wide as neurons with their gates."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(base_of("modernbert"))
    config.intermediate_size = 72
    encoder = AutoModel.from_config(config)
    assert encoder.layers[0].mlp.Wi.weight.shape == encoder.layers[0].attn.Wqkv.weight.shape == (144, 48)
    assert [(block.entering, block.leaving) for block in feed_forward_of(encoder)] == [("mlp.Wi", "mlp.Wo")] * 3


@pytest.mark.parametrize(
    ("architecture", "rows"),
    [("bert", 32), ("distilbert", 32), ("roberta", 34)],
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


def test_an_encoder_without_a_table_of_positions_keeps_what_it_has() -> None:
    classifier, before = fresh("modernbert"), fresh("modernbert")
    cut_positions(classifier)
    torch.testing.assert_close(torch.tensor(states(classifier)), torch.tensor(states(before)))


# --- heads ----------------------------------------------------------------------------------------


def with_heads(architecture: Architecture, keep: int) -> Classifier:
    classifier = fresh(architecture)
    prune_heads(classifier, keep, token_ids(classifier.tokenizer, TRAIN.texts))
    return classifier


@first_quick(EVERY)
@pytest.mark.parametrize("keep", [1, 3])
def test_every_layer_has_as_many_heads_as_asked_and_so_it_stays_when_it_is_read_again(
    architecture: Architecture, keep: int, tmp_path: Path
) -> None:
    classifier = with_heads(architecture, keep)
    save(classifier, tmp_path)
    again = load(tmp_path)
    assert kept_heads(classifier.encoder) == kept_heads(again.encoder) == keep
    attention = attention_of(again.encoder)
    for layer in layers_of(again.encoder)[1]:
        assert layer.get_submodule(attention.leaving).weight.shape == (48, 12 * keep)
        parts = [m for n, m in layer.get_submodule(attention.module).named_modules() if n in attention.entering]
        assert {m.weight.shape for m in parts} == {(12 * keep * attention.stacked, 48)}
        assert len(parts) * attention.stacked == 3
    np.testing.assert_allclose(states(again), states(classifier), atol=1e-6)


@first_quick(EVERY)
def test_with_all_heads_kept_the_states_stay(architecture: Architecture) -> None:
    kept = states(with_heads(architecture, prunable_heads(fresh(architecture).encoder) or 0))
    np.testing.assert_allclose(kept, states(fresh(architecture)), rtol=1e-3, atol=1e-3)


def test_heads_that_give_nothing_are_the_first_to_go_and_nothing_is_lost_with_them() -> None:
    classifier, before = fresh(), fresh()
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            layer.attention.output.dense.weight.data[:, 12:36] = 0.0
    prune_heads(classifier, 2, token_ids(classifier.tokenizer, TRAIN.texts))
    left = [layer.attention.self.value.weight for layer in layers_of(classifier.encoder)[1]]
    whole = [layer.attention.self.value.weight for layer in layers_of(before.encoder)[1]]
    assert all(torch.equal(one, other[[*range(12), *range(36, 48)]]) for one, other in zip(left, whole, strict=True))
    np.testing.assert_allclose(states(classifier), states(before), rtol=1e-3, atol=1e-3)


def test_a_head_that_repeats_another_goes_and_the_other_replaces_it() -> None:
    """Heads 0 and 3 give the same, so one of them is superfluous although both are used."""
    classifier, before = fresh(), fresh()
    for of in (classifier, before):
        for layer in layers_of(of.encoder)[1]:
            for part in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value):
                part.weight.data[36:], part.bias.data[36:] = part.weight.data[:12], part.bias.data[:12]
    prune_heads(classifier, 3, token_ids(classifier.tokenizer, TRAIN.texts))
    left = [layer.attention.self.value.weight[12:24] for layer in layers_of(classifier.encoder)[1]]
    whole = [layer.attention.self.value.weight for layer in layers_of(before.encoder)[1]]
    both = [
        torch.equal(one, other[12:24]) or torch.equal(one, other[24:36]) for one, other in zip(left, whole, strict=True)
    ]
    assert both == [True] * 3  # heads 1 and 2 stay, in place 1 at least one of them
    np.testing.assert_allclose(states(classifier), states(before), atol=0.02)


def test_of_an_architecture_that_is_not_known_no_head_is_taken_out() -> None:
    classifier = fresh()
    classifier.encoder.config.model_type = "another"
    assert prunable_heads(classifier.encoder) is None
    assert prunable_heads(fresh().encoder) == kept_heads(classifier.encoder) == 4
    with pytest.raises(ValueError, match="no heads can be taken out of a another"):
        prune_heads(classifier, 2, token_ids(classifier.tokenizer, TRAIN.texts))


@first_quick(EVERY)
def test_without_a_head_the_states_are_those_of_one_that_gives_nothing(architecture: Architecture) -> None:
    """Whatever an architecture calls its matrices and however it stacks them, the right rows and columns go."""
    cut, silent = fresh(architecture), fresh(architecture)
    attention = attention_of(cut.encoder)
    chosen = [[0, 2]] * 3 if attention.shared else [[0, 2], [3, 1], [1, 2]]
    for layer, kept in zip(layers_of(silent.encoder)[1], chosen, strict=True):
        gone = inputs_of([head for head in range(4) if head not in kept], 4, 48)
        layer.get_submodule(attention.leaving).weight.data[:, gone] = 0.0
    before = states(cut)
    take_heads(cut.encoder, chosen)
    np.testing.assert_allclose(states(cut), states(silent), atol=1e-5)
    assert np.abs(states(cut) - before).max() > 1e-2


@first_quick(EVERY)
def test_what_is_kept_is_a_plain_model_of_transformers_with_zeros_for_the_heads_that_are_gone(
    architecture: Architecture, tmp_path: Path
) -> None:
    from transformers import AutoModel

    classifier = with_heads(architecture, 2)
    save(classifier, tmp_path)
    plain = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    np.testing.assert_allclose(states(replace(classifier, encoder=plain)), states(classifier), atol=1e-5)


def test_where_layers_share_a_table_of_the_heads_all_keep_the_same_ones() -> None:
    classifier, before = fresh("mpnet"), fresh("mpnet")
    prune_heads(classifier, 1, token_ids(classifier.tokenizer, TRAIN.texts))
    left, whole = (of.encoder.encoder.relative_attention_bias.weight.T for of in (classifier, before))
    [head] = [head for head in range(4) if torch.equal(whole[head], left[0])]
    for after, layer in zip(layers_of(classifier.encoder)[1], layers_of(before.encoder)[1], strict=True):
        assert torch.equal(after.attention.attn.v.weight, layer.attention.attn.v.weight[12 * head : 12 * head + 12])
