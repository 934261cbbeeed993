"""A multilingual base is trimmed to the languages of the data: nine tenths of it are names and rows of other languages."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinymodels import LABELS, Architecture, material, relabelled, tables, write_base_of

from parsimony.bundle import predict
from parsimony.candidates import BuiltBundle, Candidate
from parsimony.compression import build
from parsimony.data.table import Table, Texts
from parsimony.search import ladder, size_prediction
from parsimony.training.checkpoint import write_checkpoint
from parsimony.training.classifier import all_logits, load_base
from parsimony.training.fit import set_head
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow
PIECES, MAX_TOKENS = 250_000, 32
# Where the letters of a script lie in Unicode; the data are in the first two.
SCRIPTS = {
    "latin": (0x61, 0x7A), "cyrillic": (0x430, 0x44F), "greek": (0x3B1, 0x3C9), "arabic": (0x627, 0x648),
    "devanagari": (0x915, 0x939), "thai": (0xE01, 0xE2E), "hangul": (0xAC00, 0xAEFF), "han": (0x4E00, 0x54FF),
}  # fmt: skip
CHAINS: tuple[tuple[str, ...], ...] = ((), ("trim",), ("trim", "fusion", "int4"), ("fusion", "int4"))


def _words(script: str, count: int, rng: random.Random) -> list[str]:
    first, last = SCRIPTS[script]
    return ["".join(chr(rng.randint(first, last)) for _ in range(rng.randint(2, 7))) for _ in range(count)]


def _tokenizer() -> tuple[Any, dict[str, list[str]]]:
    """Return a Unigram tokenizer as XLM-RoBERTa has it, of 250,000 pieces, and some of its words a script."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    rng = random.Random(3)
    words = {script: _words(script, 2 * PIECES // len(SCRIPTS), rng) for script in SCRIPTS}
    special = ("<s>", "<pad>", "</s>", "<unk>")
    letters = (chr(code) for first, last in SCRIPTS.values() for code in range(first, last + 1))
    pieces = [*special, "▁", *letters, *(f"▁{word}" for group in zip(*words.values(), strict=True) for word in group)]
    scored = [(piece, -5.0 - len(piece)) for piece in dict.fromkeys(pieces)][:PIECES]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens([*special, "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer, {script: group[:400] for script, group in words.items()}


def _texts(words: dict[str, list[str]]) -> Table:
    """Return 144 texts, half of them in the first language and half in the second."""
    rng = random.Random(4)
    known = [*words["latin"][:200]], [*words["cyrillic"][:200]]
    texts = tuple(" ".join(rng.choices(known[place % 2], k=6)) for place in range(144))
    return relabelled(replace(tables()[0], texts=texts), LABELS)


@pytest.mark.long
@pytest.mark.parametrize("architecture", ["xlm-roberta", "bert"])
def test_a_base_of_250_000_pieces_is_trimmed_to_the_languages_of_the_data(
    architecture: Architecture, tmp_path: Path
) -> None:
    tokenizer, words = _tokenizer()
    base = write_base_of(tokenizer, tmp_path / "base", architecture=architecture, layers=2, hidden=64)
    train = _texts(words)
    texts = Texts.of(train.texts)
    shape = size_prediction.shape_of(base, texts, MAX_TOKENS)
    assert shape.whole.rows >= PIECES
    assert shape.obstacles == ()
    classifier = load_base(base, classes=len(LABELS), max_tokens=MAX_TOKENS)
    set_head(classifier, np.random.default_rng(0).normal(size=(len(LABELS), 64)), np.zeros(len(LABELS)))
    spec = ladder.reference_spec(str(base))
    given = replace(material(base, spec), train=train, validation=train, max_tokens=MAX_TOKENS)
    (tmp_path / "checkpoint").mkdir()
    write_checkpoint(tmp_path / "checkpoint", classifier, given, {"validation_accuracy": 0.0})
    sources = build.Sources(
        checkpoint=tmp_path / "checkpoint", base=base, texts=texts, labels=LABELS, data_digest="d" * 64
    )
    built: dict[tuple[str, ...], BuiltBundle] = {}
    for chain in CHAINS:
        candidate = Candidate(spec=spec, techniques=chain)
        built[chain] = build.build(candidate, sources, tmp_path / candidate.id)
        assert abs(size_prediction.predict(candidate, shape, LABELS) / built[chain].size_bytes - 1) < 0.02, chain
    whole, trimmed, small, _ = (built[chain] for chain in CHAINS)
    assert trimmed.size_bytes < 0.05 * whole.size_bytes
    assert small.size_bytes < 0.5 * trimmed.size_bytes
    expected = all_logits(classifier, token_ids(classifier.tokenizer, train.texts[:20]))
    for bundle in (whole, trimmed):
        model = predict.load(Path(bundle.folder), threads=1)
        logits = np.stack([predict.logits(model, text) for text in train.texts[:20]])
        np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())
    model = predict.load(Path(small.folder), threads=1)
    unseen = [" ".join(group[200:206]) for group in words.values()]
    assert np.isfinite([predict.logits(model, text) for text in unseen]).all()
    kept = (Path(trimmed.folder) / "tokenizer.json").read_text(encoding="utf-8")
    assert all(f'"▁{word}"' in kept for text in train.texts for word in text.split())
    others = [word for script in ("greek", "arabic", "han") for word in words[script] if len(word) > 2]
    assert np.mean([f'"▁{word}"' in kept for word in others]) < 0.05  # some random rows lie near one that is used
