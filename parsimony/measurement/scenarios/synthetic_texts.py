"""Texts of so many tokens, made of the words of other texts: a bundle's own tokenizer counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from parsimony.bundle.folder import TOKENIZER

TEXTS = 8
_TRIES = 200


def counter_of(folder: Path) -> Callable[[str], int] | None:
    """Return what counts the tokens of a text as a bundle reads it, uncut; None for a bundle that reads text.

    The marks that every text gets at its beginning and end are counted too.
    """
    if not (folder / TOKENIZER).is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text).ids)


def limit_of(folder: Path) -> int | None:
    """Return the number of tokens at which a bundle cuts texts, None where it cuts none."""
    if not (folder / TOKENIZER).is_file():
        return None
    from tokenizers import Tokenizer

    truncation = Tokenizer.from_file(str(folder / TOKENIZER)).truncation
    return None if truncation is None else int(truncation["max_length"])


def texts_of(count: Callable[[str], int], tokens: int, texts: Sequence[str]) -> tuple[str, ...]:
    """Return 8 texts of this many tokens, or a few less where no word fits any more.

    Each takes the words of the texts in their order, from another place, and leaves out those that would be too much.
    """
    words = [word for text in texts for word in text.split()]
    if not words:
        raise ValueError("found texts without a word, expected words to make texts of")
    starts = (place * len(words) // TEXTS for place in range(TEXTS))
    return tuple(_filled(count, tokens, islice(_around(words, start), tokens + _TRIES)) for start in starts)


def _around(words: Sequence[str], start: int) -> Iterator[str]:
    while True:
        yield from chain(words[start:], words[:start])


def _filled(count: Callable[[str], int], tokens: int, words: Iterator[str]) -> str:
    text = ""
    for word in words:
        longer = f"{text} {word}".strip()
        if (length := count(longer)) <= tokens:
            text = longer
        if length == tokens:
            break
    return text
