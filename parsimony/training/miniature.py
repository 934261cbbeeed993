"""A base in little: the same architecture with random weights, few layers, heads, neurons and tokens.

It is made and exported in about a second, before anything is trained, and shows what a graph of this architecture is made
of and which techniques work on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from parsimony.training.base_config import config_of
from parsimony.training.classifier import Classifier, options_of
from parsimony.training.layer_parts import (
    layers_of,
    prunable_heads,
    prunable_width,
    take_heads,
    take_neurons,
)
from parsimony.training.sentence_encoder import described

CLASSES, TOKENS = 4, 64
_HEADS, _NEURONS = 2, 32
_NOISE = 0.02
# The words of its tokenizer, numbered from behind all special tokens.
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_FIRST = 8
TEXTS = tuple(" ".join(_WORDS[start : start + length]) for start, length in ((0, 3), (2, 6), (5, 1)))


def miniature(base: Path, layers: int, kinds: Sequence[str]) -> Classifier:
    """Return a classifier of a base's architecture with so many layers, from its configuration alone; seed 0.

    kinds: those of the layers, in turn, where the architecture has several.
    """
    import torch
    from transformers import AutoModel

    config = config_of(base)
    config.num_hidden_layers, config.vocab_size = layers, TOKENS
    if config.pad_token_id is not None and not 0 <= config.pad_token_id < TOKENS:
        config.pad_token_id = 0
    if kinds:
        config.layer_types = [kinds[place % len(kinds)] for place in range(layers)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = AutoModel.from_config(
            config, dtype=torch.float32, trust_remote_code=False, **options_of(config)
        ).eval()
        if (heads := prunable_heads(encoder)) is not None:
            take_heads(encoder, [range(min(_HEADS, heads))] * layers)
        if (neurons := prunable_width(encoder)) is not None:
            take_neurons(encoder, [torch.arange(min(_NEURONS, neurons))] * layers)
        for parameter in encoder.parameters():  # exporters keep one of several equal constants
            parameter.data += _NOISE * torch.randn_like(parameter)
        head = torch.nn.Linear(encoder.config.hidden_size, CLASSES)
    layers_of(encoder)
    return Classifier(encoder=encoder, head=head.eval(), tokenizer=_tokenizer(), pooling=described(base).pooling)


def _tokenizer() -> str:
    vocabulary = {"[UNK]": _FIRST - 1} | {word: _FIRST + place for place, word in enumerate(_WORDS)}
    return json.dumps(
        {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        }
    )  # fmt: skip
