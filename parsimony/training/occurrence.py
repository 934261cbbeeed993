"""Which tokens texts need of a tokenizer: those within the cut, and what decides how the words at the cut are read.

A tokenizer reads a text word by word and is cut only afterwards. The tokens of a word depend on one another, so a word
that the cut goes through, and one that turns out to be unknown, need tokens that no model ever sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from tokenizers import Encoding

_TEXTS, _CHARACTERS = 4_096, 2_000_000
_BYTE = [f"<0x{number:02X}>" for number in range(256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a tokenizer makes of texts: the ids of each, special tokens included, and the ids needed to read them alike."""

    ids: tuple[list[int], ...]
    behind_the_cut: frozenset[int]


def read(tokenizer: str, texts: Sequence[str]) -> Reading:
    """Tokenise texts and note, of words that are cut, the tokens behind the cut."""
    ids: list[list[int]] = []
    behind: set[int] = set()
    for encoding in encodings(tokenizer, texts):
        ids.append(encoding.ids)
        behind |= _rest_of_words(encoding)
    return Reading(ids=tuple(ids), behind_the_cut=frozenset(behind))


def encodings(tokenizer: str, texts: Sequence[str]) -> Iterator[Encoding]:
    """Yield what a tokenizer makes of each text, cut as it says itself, without padding."""
    for batch in _batches(texts):
        yield from _loaded(tokenizer).encode_batch(batch)


@lru_cache(maxsize=2)
def _loaded(tokenizer: str) -> Tokenizer:
    """Return a tokenizer without padding; one of 250,000 pieces takes a second to load."""
    loaded = Tokenizer.from_str(tokenizer)
    loaded.no_padding()
    return loaded


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in batches of bounded length: what is behind the cut is in memory for one batch at a time."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == _TEXTS or characters + len(text) > _CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _rest_of_words(encoding: Encoding) -> set[int]:
    """Return the tokens behind the cut that belong to words of which some tokens lie before it."""
    if not encoding.overflowing:
        return set()
    words = set(encoding.word_ids) - {None}
    parts = ((part.ids, part.word_ids) for part in encoding.overflowing)
    return {token for ids, numbers in parts for token, number in zip(ids, numbers, strict=True) if number in words}


def tried_for_unknown_words(tokenizer: str, texts: Iterable[str]) -> set[int]:
    """Return the pieces that WordPiece takes of words before it meets a letter that it does not know.

    Without them it would try shorter ones, and might get through a word that is unknown.
    """
    document = json.loads(tokenizer)
    model = document["model"]
    vocabulary: dict[str, int] = model["vocab"]
    prefix, longest = model.get("continuing_subword_prefix", "##"), model.get("max_input_chars_per_word", 100)
    words = {word for word in _words(document, list(texts)) if len(word) <= longest}
    return {vocabulary[piece] for word in words for piece in _before_the_gap(word, vocabulary, prefix)}


def _before_the_gap(word: str, vocabulary: dict[str, int], prefix: str) -> list[str]:
    """Return the longest pieces from the left, up to where no piece fits; none of a word that is spelled to its end."""
    pieces: list[str] = []
    start = 0
    while start < len(word):
        marked = prefix if start else ""
        end = next((end for end in range(len(word), start, -1) if marked + word[start:end] in vocabulary), None)
        if end is None:
            return pieces
        pieces.append(marked + word[start:end])
        start = end
    return []


def _words(document: dict[str, Any], texts: list[str]) -> set[str]:
    """Return the words that a tokenizer hands to its model.

    The tokenizer itself reads the texts, with a model that only spells bytes: nothing else knows how it normalises,
    splits and recognises added tokens.
    """
    bytes_only = {
        "type": "BPE",
        "vocab": {name: i for i, name in enumerate(_BYTE)},
        "merges": [],
        "byte_fallback": True,
    }
    parts = {"model": bytes_only, "post_processor": None, "decoder": None, "truncation": None, "padding": None}
    speller = Tokenizer.from_str(json.dumps({**document, **parts}))
    words: set[str] = set()
    for batch in _batches(texts):
        for encoding in speller.encode_batch(batch, add_special_tokens=False):
            spelled: dict[int | None, bytearray] = {}
            for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
                if token < len(_BYTE):
                    spelled.setdefault(word, bytearray()).append(token)
            words |= {bytes(letters).decode("utf-8", "replace") for letters in spelled.values()}
    return words
