"""Weights are rounded in training exactly as they are stored, in the steps that are asked for, and whole ones learn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from parsimony.graphs.int4 import block_of, pack, packed_bytes
from parsimony.training import qat

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(48, 192)).astype(np.float32)


@pytest.mark.parametrize("width", [192, 384, 48, 77, 1])
def test_training_rounds_as_packing_does(width: int) -> None:
    weights = RNG.normal(size=(20, width)).astype(np.float32)
    weights[3] = 0.0
    np.testing.assert_array_equal(qat.rounded(torch.from_numpy(weights)).numpy(), pack(weights).weights)


def test_what_is_rounded_once_stays_as_it_is() -> None:
    once = pack(WEIGHTS).weights
    np.testing.assert_array_equal(pack(once).weights, once)


def test_a_weight_is_off_by_no_more_than_half_a_step() -> None:
    packed = pack(WEIGHTS)
    off = np.abs(packed.weights - WEIGHTS).reshape(packed.numbers.shape) / np.abs(packed.scales.astype(np.float32))
    assert 0.4 < off[packed.numbers < 7].max() < 0.51
    assert off[packed.numbers == 7].max() < 1.01  # the end that has one number less
    assert packed.numbers.min() == -8
    assert set(packed.numbers.min(-1).ravel()) == {-8}


@pytest.mark.parametrize(("width", "block"), [(384, 64), (192, 64), (312, 52), (48, 48), (77, 77), (1, 1), (130, 26)])
def test_a_block_divides_its_row(width: int, block: int) -> None:
    assert block_of(width) == block
    assert packed_bytes(10, width) == 10 * (width / 2 + 2 * width / block)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    parts = {
        "words": torch.nn.Embedding(5, 16),
        "token_type_embeddings": torch.nn.Embedding(2, 16),
        "norm": torch.nn.LayerNorm(16),
        "dense": torch.nn.Linear(16, 4),
    }
    return torch.nn.ModuleDict(parts)


def test_matrices_and_tables_are_rounded_and_nothing_else() -> None:
    before, after = network(), network()
    qat.round_weights(qat.stored_in_few_bits(after))
    changed = [n for (n, a), b in zip(before.named_parameters(), after.parameters(), strict=True) if not a.equal(b)]
    assert changed == ["words.weight", "dense.weight"]
    assert after["dense"].weight.equal(qat.rounded(before["dense"].weight))


def test_the_last_steps_see_rounded_weights_and_move_whole_ones() -> None:
    net = network()
    whole = net["dense"].weight.detach().clone()
    callback = qat.in_the_last_steps(net, 0.25)
    unchanged = []
    for step in range(8):
        state = SimpleNamespace(global_step=step, max_steps=8)
        callback.on_step_begin(None, state, None)
        unchanged.append(net["dense"].weight.equal(whole))
        callback.on_pre_optimizer_step(None, state, None)
        assert net["dense"].weight.equal(whole)
    assert unchanged == [True] * 6 + [False] * 2
