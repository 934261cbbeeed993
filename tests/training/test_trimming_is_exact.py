"""Any text, any cut, any kind of tokenizer: a text of the data reads the same through the trimmed tokenizer."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from parsimony.training.vocabulary import serving_tokenizer, token_ids, trim

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
QUICK, MANY = 60, 400
# Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Han, Hangul; what combines; what joins; what is in pairs.
_SCRIPTS = (
    "abcdefghijklmnop",
    "αβγδεζηθςΣ",
    "абвгдежзий",
    "אבגדהו",
    "ابتثجح",
    "कखगघनम",
    "กขคงจฉ",
    "日本語中文字",
    "한국어말글",
)
_MARKS = ("\u0301", "\u0308", "\u0327", "\u094d", "\u0650", "\u200d", "\u200c", "\ufe0f")
_EMOJI = ("🙂", "👍🏽", "👨‍👩‍👧", "🇮🇹", "❤️", "𝔘", "𐍈")
_ODD = (" ", "  ", "\t", "\n", "\u00a0", "\u3000", ".", "!?", "…", "-", "_", "▁", "##", "</w>", "<0x41>", "[MASK]", "[UNK]",
        "ﬁ", "İ", "ß", "é", "2026", "1,5", "\x00", "\ufffd", "'s")  # fmt: skip


def word(rng: random.Random) -> str:
    letters = rng.choice(_SCRIPTS)
    made = "".join(
        rng.choice(letters) + (rng.choice(_MARKS) if rng.random() < 0.08 else "") for _ in range(rng.randint(1, 9))
    )
    return made.capitalize() if rng.random() < 0.2 else made


@cache
def lexicon() -> tuple[str, ...]:
    rng = random.Random(11)
    return tuple(word(rng) for _ in range(700))


def text(rng: random.Random) -> str:
    """Return a text of known and new words, glued together or not, with whatever people type in between."""
    parts: list[str] = []
    for _ in range(rng.choice((0, 1, 2, 5, 20, 60))):
        kind = rng.random()
        known = rng.choice(lexicon())
        parts.append(
            known if kind < 0.5 else known + rng.choice(lexicon()) if kind < 0.65 else word(rng) if kind < 0.8
            else rng.choice(_EMOJI) if kind < 0.87 else rng.choice(_ODD)
        )  # fmt: skip
        parts.append("" if rng.random() < 0.25 else " ")
    return "".join(parts)


@cache
def corpus() -> tuple[str, ...]:
    rng = random.Random(5)
    return tuple(" ".join(rng.choices(lexicon(), k=rng.randint(2, 15))) for _ in range(400))


def _trained(model: object, trainer: object, pre_tokenizer: object, normalizer: object = None) -> Tokenizer:
    made = Tokenizer(model)
    if normalizer is not None:
        made.normalizer = normalizer
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    made.train_from_iterator(corpus(), trainer)
    made.add_special_tokens(SPECIAL)
    ends = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return made


def wordpiece(pre_tokenizer: object, size: int) -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, limit_alphabet=70, show_progress=False)
    return _trained(
        models.WordPiece(unk_token="[UNK]"), trainer, pre_tokenizer, normalizers.BertNormalizer(lowercase=True)
    )


def byte_pairs(pre_tokenizer: object, size: int, **keywords: object) -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _trained(models.BPE(**keywords), trainer, pre_tokenizer)


def byte_pairs_of_letters(size: int) -> Tokenizer:
    """Return Llama's and Gemma's kind: no words at all, bytes for letters that are unknown."""
    pieces = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*SPECIAL, *pieces], limit_alphabet=60, show_progress=False
    )
    made = _trained(
        models.BPE(unk_token="[UNK]", fuse_unk=True, byte_fallback=True), trainer, pre_tokenizers.Whitespace()
    )
    document = json.loads(made.to_str())
    document["added_tokens"] = [token for token in document["added_tokens"] if token["content"] in SPECIAL]
    document["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    document["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(document))


def unigram(pre_tokenizer: object, size: int, *, byte_fallback: bool = False, normalizer: object = None) -> Tokenizer:
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False)
    made = _trained(models.Unigram(), trainer, pre_tokenizer, normalizer)
    if not byte_fallback:
        return made
    document = json.loads(made.to_str())
    model = document["model"]
    worst = min(score for _, score in model["vocab"])
    model["vocab"] += [[f"<0x{number:02X}>", worst - 1] for number in range(256)]
    model["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(document))


KINDS: dict[str, Callable[[int], Tokenizer]] = {
    "WordPiece": lambda size: wordpiece(pre_tokenizers.BertPreTokenizer(), size),
    "WordPiece of what spaces separate": lambda size: wordpiece(pre_tokenizers.WhitespaceSplit(), size),
    "byte-level BPE": lambda size: byte_pairs(pre_tokenizers.ByteLevel(add_prefix_space=False), size),
    "byte-level BPE that looks words up first": lambda size: byte_pairs(
        pre_tokenizers.ByteLevel(add_prefix_space=True), size, ignore_merges=True
    ),
    "BPE of letters without words": byte_pairs_of_letters,
    "Unigram": lambda size: unigram(pre_tokenizers.Metaspace(), size, normalizer=normalizers.NFKC()),
    "Unigram with bytes": lambda size: unigram(pre_tokenizers.Metaspace(), size, byte_fallback=True),
    "Unigram without words": lambda size: unigram(pre_tokenizers.Metaspace(split=False), size),
    "Unigram of what spaces separate": lambda size: unigram(pre_tokenizers.WhitespaceSplit(), size),
}


@cache
def whole(kind: str, size: int) -> str:
    return str(KINDS[kind](size).to_str())


def cut_at(tokenizer: str, tokens: int, side: str) -> str:
    loaded = Tokenizer.from_str(tokenizer)
    loaded.enable_truncation(max_length=tokens, direction=side)
    return str(loaded.to_str())


def differences(kind: str, cases: int, seed: int) -> list[tuple[str, int, str]]:
    """Return the cases (text, cut, side) of this many whose text reads differently through the trimmed tokenizer.

    Each is a data set of up to four texts, for which the tokenizer is trimmed.
    """
    rng = random.Random(f"{kind} {seed}")
    different = []
    tried = 0
    while tried < cases:
        texts = [text(rng) for _ in range(rng.randint(1, 4))]
        cut, side = rng.randint(3, 40), "left" if rng.random() < 0.15 else "right"
        full = cut_at(whole(kind, rng.choice((350, 600, 900))), cut, side)
        trimmed = trim(full, texts)
        rows = zip(texts, token_ids(full, texts), token_ids(trimmed.tokenizer, texts), strict=True)
        different += [(one, cut, side) for one, old, new in rows if old != [trimmed.kept[i] for i in new]]
        tried += len(texts)
    return different


@pytest.mark.parametrize("kind", ["WordPiece", "byte-level BPE", "Unigram"])
def test_a_text_reads_the_same_wherever_it_is_cut(kind: str) -> None:
    assert differences(kind, QUICK, seed=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_texts_read_the_same_wherever_they_are_cut(kind: str) -> None:
    assert differences(kind, MANY, seed=1) == []


# --- what each kind needs -------------------------------------------------------------------------


def _unigram_of(pieces: list[tuple[str, float]]) -> str:
    made = Tokenizer(models.Unigram([("<unk>", 0.0), *pieces], unk_id=0, byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return str(made.to_str())


def test_the_word_that_the_cut_goes_through_keeps_the_tokens_behind_the_cut_but_no_row_for_them() -> None:
    pieces = [("▁", -9.0), ("▁a", -2.0), ("a", -6.0), ("b", -6.0), ("c", -6.0), ("bc", -2.0), ("▁ab", -3.0)]
    full = serving_tokenizer(_unigram_of([*pieces, ("cc", -3.0)]), max_tokens=1)
    trimmed = trim(full, ["abc cc"])
    assert token_ids(full, ["abc cc"]) == [[2]]
    assert [Tokenizer.from_str(full).id_to_token(i) for i in trimmed.used] == ["▁a"]
    kept = set(Tokenizer.from_str(trimmed.tokenizer).get_vocab())
    assert "bc" in kept
    assert "cc" not in kept  # the word behind the cut


def test_what_an_unknown_letter_costs_is_the_same_among_fewer_pieces() -> None:
    """It costs 10 more than the worst piece: too much for `a?bc`, which would be the best without that piece."""
    pieces = [("<unk>", 0.0), ("axb", -30.0), ("c", -30.0), ("a", -1.0), ("bc", -1.0), ("b", -30.0), ("cc", -200.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    after = Tokenizer.from_str(trim(made.to_str(), ["axbc bc"]).tokenizer)
    assert made.encode("axbc bc").tokens == after.encode("axbc bc").tokens == ["axb", "c", "bc"]


def test_a_word_that_is_unknown_stays_unknown_though_shorter_pieces_would_spell_it() -> None:
    vocabulary = ["[UNK]", "a", "##b", "##c", "abc", "ab", "##cd", "x", *(f"##{c}" for c in "ax")]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["[MASK]"])
    texts = ["abcd", "x[MASK]abcd"]
    trimmed = trim(made.to_str(), texts)
    assert [made.encode(one).tokens for one in texts] == [["[UNK]"], ["x", "[MASK]", "[UNK]"]]
    after = Tokenizer.from_str(trimmed.tokenizer)
    assert [after.encode(one).tokens for one in texts] == [made.encode(one).tokens for one in texts]


def test_merges_are_never_left_out_at_random() -> None:
    made = byte_pairs(pre_tokenizers.ByteLevel(), 400)
    made.model.dropout = 0.5
    assert json.loads(serving_tokenizer(made.to_str(), max_tokens=16))["model"]["dropout"] is None
