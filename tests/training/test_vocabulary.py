"""Trimmed tokenizers, each kind trained on the spot: training texts read as before, other texts still spelled."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache, lru_cache

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from parsimony.training.vocabulary import CannotTrimError, compact, serving_tokenizer, token_ids, trim

BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwz", "aeiouy"


def word(rng: random.Random) -> str:
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(rng.randint(1, 4)))


@lru_cache(maxsize=1)
def corpus() -> tuple[str, ...]:
    """Return 600 texts of made-up words, frequent ones and rare ones, with digits, marks and accents."""
    rng = random.Random(3)
    words = [word(rng) for _ in range(400)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    ends = ["", "!", "?", ".", " 12", " 2026", " café", " straße", "…", " £5"]
    return tuple(
        " ".join(rng.choices(words, weights, k=rng.randint(3, 12))).capitalize() + rng.choice(ends) for _ in range(600)
    )


TEXTS = corpus()[:25]


@lru_cache(maxsize=1)
def others() -> tuple[str, ...]:
    """Return the other texts, random strings, and scripts that no tokenizer here was trained on."""
    rng = random.Random(4)
    letters = sorted({c for text in corpus() for c in text})
    strings = ["".join(rng.choices(letters, k=rng.randint(1, 40))) for _ in range(300)]
    pairs = [a + b for a in letters for b in letters]
    odd = [
        "",
        " ",
        "   two  spaces ",
        "日本語のテキスト",
        "Привет",
        "🙂🙃",
        "ﬁ ligature",
        "▁",
        "##",
        "##a a## </w>",
        "\n\t",
        "<0x41>",
    ]
    return (*corpus()[25:], *strings, *pairs, *odd)


def wordpiece() -> Tokenizer:
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=BERT_SPECIAL, show_progress=False)
    made.train_from_iterator(corpus(), trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def wordpiece_with_a_template() -> Tokenizer:
    """Return one whose special tokens lie behind the pieces, where trimming moves them."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(
        corpus(), trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[UNK]"], show_progress=False)
    )
    made.add_special_tokens(["[CLS]", "[SEP]", "[PAD]", "[NEVER]"])
    ends = [(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return made


def byte_pairs() -> Tokenizer:
    """Return RoBERTa's kind: bytes as letters, no unknown token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=ROBERTA_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(corpus(), trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return made


def byte_pairs_with_word_ends() -> Tokenizer:
    """Return the first GPT's kind: the last piece of a word says that it is the last."""
    made = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    made.train_from_iterator(corpus(), trainer)
    return made


def byte_pairs_with_a_prefix() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=["<unk>"], continuing_subword_prefix="##", show_progress=False
    )
    made.train_from_iterator(corpus(), trainer)
    return made


def unigram() -> Tokenizer:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(corpus(), trainer)
    made.add_special_tokens(["<mask>"])
    made.post_processor = processors.Sequence(
        [processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])]
    )
    return made


KINDS: dict[str, Callable[[], Tokenizer]] = {
    made.__name__: made
    for made in (
        wordpiece,
        wordpiece_with_a_template,
        byte_pairs,
        byte_pairs_with_word_ends,
        byte_pairs_with_a_prefix,
        unigram,
    )
}


QUICK = ("wordpiece", "byte_pairs", "unigram")
every_kind = pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)


@cache
def full(kind: str) -> str:
    """Return tokenizer.json as a bundle carries it, cut at 24 tokens."""
    return serving_tokenizer(KINDS[kind]().to_str(), max_tokens=24)


@cache
def trimmed(kind: str) -> tuple[str, tuple[int, ...]]:
    smaller = trim(full(kind), TEXTS)
    return smaller.tokenizer, smaller.kept


def names(tokenizer: str) -> dict[int, str]:
    return {i: token for token, i in Tokenizer.from_str(tokenizer).get_vocab(with_added_tokens=True).items()}


def unknowns(tokenizer: str, texts: tuple[str, ...]) -> list[int]:
    """Count the unknown tokens of each text, without any cut."""
    loaded = Tokenizer.from_str(tokenizer)
    loaded.no_truncation()
    return [sum(token in ("[UNK]", "<unk>") for token in e.tokens) for e in loaded.encode_batch(list(texts))]


# --- the trimmed tokenizer ------------------------------------------------------------------------


@every_kind
def test_training_texts_give_the_same_tokens_as_before(kind: str) -> None:
    smaller, kept = trimmed(kind)
    assert [[kept[i] for i in ids] for ids in token_ids(smaller, TEXTS)] == token_ids(full(kind), TEXTS)
    before, after = Tokenizer.from_str(full(kind)), Tokenizer.from_str(smaller)
    assert [after.encode(text).tokens for text in TEXTS] == [before.encode(text).tokens for text in TEXTS]


@pytest.mark.slow
@every_kind
def test_other_texts_gain_no_unknown_token(kind: str) -> None:
    before, after = unknowns(full(kind), others()), unknowns(trimmed(kind)[0], others())
    assert [text for text, b, a in zip(others(), before, after, strict=True) if a > b] == []


def test_byte_pairs_of_other_texts_still_spell_the_text() -> None:
    loaded = Tokenizer.from_str(trimmed("byte_pairs")[0])
    loaded.no_truncation()
    assert [loaded.decode(loaded.encode(text).ids) for text in others()] == list(others())


@every_kind
def test_the_new_ids_are_dense_and_every_token_keeps_its_name(kind: str) -> None:
    smaller, kept = trimmed(kind)
    before, after = names(full(kind)), names(smaller)
    assert sorted(after) == list(range(len(kept)))
    assert len(kept) < 0.8 * len(before)
    assert len(set(kept)) == len(kept)
    assert [after[new] for new in range(len(kept))] == [before[old] for old in kept]


@every_kind
def test_what_texts_use_comes_before_what_only_spells(kind: str) -> None:
    smaller = trim(full(kind), TEXTS)
    used = {i for ids in token_ids(smaller.tokenizer, TEXTS) for i in ids}
    assert {smaller.kept[i] for i in used} == {*smaller.used}
    assert smaller.shares
    read = [smaller.rows[min(i, len(smaller.rows) - 1)] for i in range(len(smaller.kept))]
    assert [read[smaller.kept.index(old)] for old in smaller.used] == list(range(len(used)))
    assert {read[i] for i in range(len(smaller.kept)) if i not in used} == {len(used)}


@every_kind
def test_a_near_token_is_kept_whole_and_reads_its_neighbour(kind: str) -> None:
    plain = trim(full(kind), TEXTS)
    known = names(full(kind))
    inside = json.loads(full(kind))["model"]["vocab"]
    gone = [i for i in range(len(inside)) if i not in plain.kept and len(known[i]) > 3][:5]
    near = dict.fromkeys(gone[1:], plain.used[-1]) | {gone[0]: gone[1]}
    smaller = trim(full(kind), TEXTS, near)
    shared = len(plain.used)
    read = dict(zip(smaller.kept, smaller.rows, strict=False))
    assert read.get(gone[0], shared) == shared  # its neighbour is not used
    assert smaller.used == plain.used
    for token in gone[1:]:
        assert read[token] == shared - 1
    readings = ([[t.kept[i] for i in ids] for ids in token_ids(t.tokenizer, TEXTS)] for t in (smaller, plain))
    assert next(readings) == next(readings)
    assert set(range(len(smaller.kept))) >= {i for ids in token_ids(smaller.tokenizer, others()) for i in ids}


@every_kind
def test_special_tokens_stay_special_under_their_new_ids(kind: str) -> None:
    smaller, kept = trimmed(kind)
    before, after = (Tokenizer.from_str(t).get_added_tokens_decoder() for t in (full(kind), smaller))
    assert {kept[new]: (token.content, token.special) for new, token in after.items()} == {
        old: (token.content, token.special) for old, token in before.items()
    }
    assert {t["id"]: t["content"] for t in json.loads(smaller)["added_tokens"]} == {
        i: t.content for i, t in after.items()
    }


@every_kind
def test_the_post_processor_puts_the_new_ids_around_one_text_and_around_two(kind: str) -> None:
    smaller, kept = trimmed(kind)
    before, after = Tokenizer.from_str(full(kind)), Tokenizer.from_str(smaller)
    for given in ((TEXTS[0],), (TEXTS[0], TEXTS[1])):
        old, new = before.encode(*given), after.encode(*given)
        assert (new.tokens, new.type_ids, [kept[i] for i in new.ids]) == (old.tokens, old.type_ids, old.ids)


@every_kind
def test_a_trimmed_tokenizer_can_be_trimmed_again_and_loses_nothing(kind: str) -> None:
    smaller, kept = trimmed(kind)
    again = trim(smaller, TEXTS)
    assert again.kept == tuple(range(len(kept)))
    assert json.loads(again.tokenizer) == json.loads(smaller)


@every_kind
def test_the_cut_stays_inside(kind: str) -> None:
    loaded = Tokenizer.from_str(trimmed(kind)[0])
    assert len(loaded.encode(" ".join(TEXTS)).ids) == 24
    assert loaded.padding is None


@pytest.mark.slow
@every_kind
def test_without_texts_only_what_spells_and_what_is_special_is_left(kind: str) -> None:
    smaller = trim(full(kind), ())
    assert len(smaller.kept) < len(trimmed(kind)[1])
    texts = (*TEXTS, *others())
    pairs = zip(texts, unknowns(full(kind), texts), unknowns(smaller.tokenizer, texts), strict=True)
    assert [text for text, before, after in pairs if after > before] == []


# --- what is easily lost --------------------------------------------------------------------------


def bare_wordpiece(*pieces: str) -> str:
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(("[UNK]", *pieces))}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return str(made.to_str())


def test_a_piece_with_a_letter_that_has_no_piece_of_its_own_stays() -> None:
    """Nothing else could spell 東京 or a z inside a word; `ab` can be spelled."""
    smaller = trim(bare_wordpiece("a", "##b", "ab", "##z1", "##1", "東京", "never"), ["a"])
    assert sorted(Tokenizer.from_str(smaller.tokenizer).get_vocab()) == sorted(
        ["[UNK]", "a", "##b", "##z1", "##1", "東京", "never"]
    )
    after = Tokenizer.from_str(smaller.tokenizer)
    assert [after.encode(text).tokens for text in ("東京", "az1", "ab")] == [["東京"], ["a", "##z1"], ["a", "##b"]]


def test_the_mark_of_a_word_start_stays_a_piece_of_unigram_even_when_no_text_needs_it() -> None:
    pieces = [("<unk>", 0.0), ("▁", -5.0), ("x", -4.0), ("▁a", -2.0), ("a", -3.0), ("▁aa", -1.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    smaller = trim(made.to_str(), ["a"])
    assert sorted(names(smaller.tokenizer).values()) == sorted(["<unk>", "▁", "x", "▁a", "a"])
    assert Tokenizer.from_str(smaller.tokenizer).encode("x").tokens == ["▁", "x"]


def test_bytes_that_stand_in_for_unknown_letters_stay() -> None:
    known = {f"<0x{i:02X}>": i for i in range(256)} | {"<unk>": 256, "a": 257, "b": 258, "ab": 259}
    made = Tokenizer(models.BPE(known, [("a", "b")], unk_token="<unk>", byte_fallback=True))
    smaller = trim(made.to_str(), ["b"])
    assert sorted(smaller.kept) == list(range(259))
    assert Tokenizer.from_str(smaller.tokenizer).encode("é").tokens == ["<0xC3>", "<0xA9>"]


def test_a_token_that_several_merges_make_keeps_the_parts_of_all() -> None:
    """`abc` is made as a+bc where that merge comes first, and as ab+c behind a merge that takes the b away."""
    known = {token: i for i, token in enumerate(["a", "b", "c", "ab", "bc", "abc", "cc", "x"])}
    merges = [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")]
    made = Tokenizer(models.BPE(known, merges)).to_str()
    smaller = trim(made, ["abc", "a"])
    assert sorted(names(smaller.tokenizer).values()) == sorted(["a", "b", "c", "ab", "bc", "abc", "x"])
    assert json.loads(smaller.tokenizer)["model"]["merges"] == [list(merge) for merge in merges]
    assert Tokenizer.from_str(smaller.tokenizer).encode("abcbc").tokens == ["abc", "bc"]


def test_ids_that_only_the_padding_or_the_post_processor_names_stay() -> None:
    made = Tokenizer.from_str(
        bare_wordpiece("a", "begin", "end", "b", "##e", "##g", "##i", "##n", "e", "##d", "pad", "p")
    )
    made.post_processor = processors.BertProcessing(("end", 3), ("begin", 2))
    made.enable_padding(pad_id=11, pad_token="pad")
    smaller = trim(made.to_str(), ())
    loaded = Tokenizer.from_str(smaller.tokenizer)
    assert loaded.encode("a").tokens == ["begin", "a", "end"]
    assert loaded.padding is not None
    assert loaded.padding["pad_id"] == loaded.token_to_id("pad")


# --- what cannot be trimmed -----------------------------------------------------------------------


def test_a_word_level_tokenizer_is_refused_with_the_reason() -> None:
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(CannotTrimError, match="its tokenizer is a WordLevel, not WordPiece, Unigram or BPE"):
        trim(made.to_str(), ["a"])


# --- what a bundle carries ------------------------------------------------------------------------


def test_the_serving_tokenizer_cuts_does_not_pad_and_reads_as_before() -> None:
    made = wordpiece()
    made.enable_padding(length=64)
    serving = serving_tokenizer(made.to_str(), max_tokens=16)
    loaded = Tokenizer.from_str(serving)
    assert (loaded.padding, loaded.truncation) == (
        None,
        {"max_length": 16, "stride": 0, "strategy": "longest_first", "direction": "right"},
    )
    made.no_padding()
    made.enable_truncation(16)
    assert token_ids(serving, TEXTS) == [made.encode(text).ids for text in TEXTS]


def test_compact_changes_white_space_and_escapes_alone() -> None:
    loose = json.dumps({"é": [1, "▁a"]}, indent=2)
    assert compact(loose) == '{"é":[1,"▁a"]}'
    assert json.loads(compact(loose)) == json.loads(loose)


def test_texts_are_read_one_by_one_without_padding() -> None:
    ids = token_ids(full("wordpiece"), TEXTS)
    assert ids == [token_ids(full("wordpiece"), [text])[0] for text in TEXTS]
    assert len({len(row) for row in ids}) > 3
    assert token_ids(full("wordpiece"), []) == []
