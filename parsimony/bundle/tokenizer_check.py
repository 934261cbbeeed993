"""What a tokenizer may hold, before the tokenizers library sees it: known components with bounded parameters. Needs no library.

The library pads to any length, replaces without end, compiles any expression, and ends the process or raises what is no Exception on
what it did not expect. mlflow/bundle_model.py repeats this module word for word; a test holds both equal.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from parsimony.bundle.expression_check import check_expression

MOST_TOKENIZER_BYTES = 128 * 2**20
MOST_TOKENS, MOST_ADDED, MOST_MERGES = 1_500_000, 20_000, 3_000_000
MOST_TOKEN_CHARS, MOST_LENGTH, MOST_COMPONENTS, MOST_NESTED_COMPONENTS = 1024, 32_768, 64, 4
MOST_GROWTH = 64  # how many times as long as the text all replacements together may make it
MOST_WORD_CHARS = 1000  # WordPiece tries every piece of a word
_MOST_PATTERN, _MOST_CHARS_MAP, _MOST_PIECE = 1024, 8 * 2**20, 256
_PARTS = {
    "version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model",
}  # fmt: skip
_KNOWN = {
    "normalizer": "BertNormalizer ByteLevel Lowercase NFC NFD NFKC NFKD Nmt Precompiled Prepend Replace Sequence Strip StripAccents",
    "pre_tokenizer": "BertPreTokenizer ByteLevel CharDelimiterSplit Digits Metaspace Punctuation Sequence Split UnicodeScripts "
    "Whitespace WhitespaceSplit",
    "post_processor": "BertProcessing ByteLevel RobertaProcessing Sequence TemplateProcessing",
    "decoder": "BPEDecoder ByteFallback ByteLevel CTC Fuse Metaspace Replace Sequence Strip WordPiece",
    "model": "BPE Unigram WordLevel WordPiece",
}
_LISTS = ("normalizers", "pretokenizers", "processors", "decoders")


def check_tokenizer(content: bytes) -> str:
    """Return a tokenizer.json as text; ValueError for what a bundle's tokenizer never holds."""
    if len(content) > MOST_TOKENIZER_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, expected at most {MOST_TOKENIZER_BYTES:,}")
    text = str(content, "utf-8")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    _expect(isinstance(document, dict), "it is no JSON object")
    _expect(document.keys() <= _PARTS, f"it holds {sorted(document.keys() - _PARTS)[:3]}, which is not known here")
    _check_model(document.get("model"))
    _check_added(document.get("added_tokens"))
    _check_truncation(document.get("truncation"))
    _check_padding(document.get("padding"))
    for place in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        _check_chain(place, document.get(place))
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError when a name comes twice, which the two readers of it could understand differently."""
    values = dict(pairs)
    _expect(len(values) == len(pairs), "it names something twice")
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"it holds {name}, expected numbers")


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _whole(value: object, least: int, most: int, name: str) -> int:
    """Return a whole number within its limits; ValueError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is {str(value)[:40]!a}, expected a whole number from {least:,} to {most:,}")
    return value


def _word(value: object, least: int, most: int, name: str) -> str:
    """Return a text of a bounded length; ValueError for anything else."""
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise ValueError(f"{name} is {str(value)[:40]!a}, expected a text of {least} to {most:,} characters")
    return value


# --- vocabulary -----------------------------------------------------------------------------------


def _check_model(model: Any) -> None:
    """Check the model: its kind, its vocabulary, and the parameters that decide how long a word takes."""
    _expect(isinstance(model, dict), "it has no model")
    vocabulary = model.get("vocab")
    kind = model.get("type") or ("Unigram" if isinstance(vocabulary, list) else "BPE" if "merges" in model else "")
    if not kind:  # as the first releases of the library wrote it
        kind = "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"
    _expect(kind in _KNOWN["model"].split(), f"its model is {str(kind)[:40]!a}, expected one of {_KNOWN['model']}")
    _expect(isinstance(vocabulary, list if kind == "Unigram" else dict), "its vocabulary has another form")
    _expect(0 < len(vocabulary) <= MOST_TOKENS, f"it has {len(vocabulary):,} tokens, expected 1 to {MOST_TOKENS:,}")
    if kind == "Unigram":
        _check_scores(vocabulary, model.get("unk_id"))
    else:
        numbers = vocabulary.values()
        _expect(set(map(type, numbers)) == {int}, "a token has no number")
        _expect(min(numbers) >= 0 and max(numbers) <= 4 * MOST_TOKENS, "a token's number is out of range")
    longest = max(len(entry[0]) if kind == "Unigram" else len(entry) for entry in vocabulary)
    _expect(longest <= MOST_TOKEN_CHARS, f"a token has {longest:,} characters, expected at most {MOST_TOKEN_CHARS:,}")
    if model.get("max_input_chars_per_word") is not None:
        _whole(model["max_input_chars_per_word"], 1, MOST_WORD_CHARS, "max_input_chars_per_word")
    _expect(not model.get("dropout"), "its model drops merges at random")
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        _word(model.get(name) or "", 0, MOST_TOKEN_CHARS, name)
    merges = model.get("merges") or []
    _expect(isinstance(merges, list) and len(merges) <= MOST_MERGES, "its merges have another form or are too many")


def _check_scores(vocabulary: list[Any], unknown: object) -> None:
    """Check the tokens of a Unigram model, [text, score] each, and the number of the unknown one."""
    whole = all(
        isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], int | float)
        for entry in vocabulary
    )
    _expect(whole, "a token of its Unigram model is not a text with a score")
    if unknown is not None:
        _whole(unknown, 0, len(vocabulary) - 1, "unk_id")


def _check_added(tokens: Any) -> None:
    """Check the tokens that are looked for before everything else."""
    _expect(
        isinstance(tokens or [], list) and len(tokens or []) <= MOST_ADDED, f"more than {MOST_ADDED:,} added tokens"
    )
    for token in tokens or []:
        _expect(isinstance(token, dict), "an added token has another form")
        _word(token.get("content"), 1, MOST_TOKEN_CHARS, "an added token")
        _whole(token.get("id"), 0, 4 * MOST_TOKENS, "the number of an added token")


# --- lengths --------------------------------------------------------------------------------------


def _check_truncation(truncation: Any) -> None:
    """Check where a text is cut: every window must bring at least half a window of new tokens."""
    if truncation is None:
        return
    _expect(isinstance(truncation, dict), "its truncation has another form")
    length = _whole(truncation.get("max_length"), 1, MOST_LENGTH, "truncation.max_length")
    _whole(truncation.get("stride") or 0, 0, length // 2, "truncation.stride")


def _check_padding(padding: Any) -> None:
    """Check how far a text is padded."""
    if padding is None:
        return
    _expect(isinstance(padding, dict), "its padding has another form")
    strategy = padding.get("strategy")
    if strategy != "BatchLongest":
        _expect(isinstance(strategy, dict) and strategy.keys() == {"Fixed"}, "its padding's strategy is not known here")
        _whole(strategy["Fixed"], 0, MOST_LENGTH, "padding.strategy.Fixed")
    _whole(padding.get("pad_to_multiple_of") or 1, 1, MOST_LENGTH, "padding.pad_to_multiple_of")
    _whole(padding.get("pad_id") or 0, 0, 4 * MOST_TOKENS, "padding.pad_id")
    _word(padding.get("pad_token") or "", 0, MOST_TOKEN_CHARS, "padding.pad_token")


# --- components -----------------------------------------------------------------------------------


def _check_chain(place: str, first: Any) -> None:
    """Check a component and those within it, and how much longer all of them together make a text."""
    growth, count, waiting = 1, 0, [] if first is None else [(first, 0)]
    while waiting:
        part, depth = waiting.pop()
        count += 1
        _expect(isinstance(part, dict) and depth <= MOST_NESTED_COMPONENTS, f"its {place} has another form")
        kind = part.get("type")
        known = _KNOWN[place].split()
        _expect(kind in known, f"its {place} is {str(kind)[:40]!a}, expected one of {', '.join(known)}")
        for name in _LISTS:
            _expect(isinstance(part.get(name) or [], list), f"its {place} has another form")
            waiting += [(inner, depth + 1) for inner in part.get(name) or []]
        growth *= _growth_of(kind, part)
        _expect(count + len(waiting) <= MOST_COMPONENTS, f"its {place} has more than {MOST_COMPONENTS} components")
        _expect(growth <= MOST_GROWTH, f"its {place} makes a text more than {MOST_GROWTH} times as long")


def _growth_of(kind: str, part: dict[str, Any]) -> int:
    """Check one component and return how many times as long it can make a text."""
    if kind == "Replace":
        content = _word(part.get("content"), 0, MOST_TOKEN_CHARS, "the content of a Replace")
        least = _check_pattern(part.get("pattern"))
        return -(-len(content) // least) or 1 if least else len(content) + 1
    if kind == "Prepend":
        return 1 + (len(_word(part.get("prepend"), 0, 16, "prepend")) > 1)
    if kind == "Split":
        _check_pattern(part.get("pattern"))
    elif kind == "Precompiled":
        _check_chars_map(_word(part.get("precompiled_charsmap"), 0, _MOST_CHARS_MAP, "precompiled_charsmap"))
    elif kind == "TemplateProcessing":
        _check_template(part)
    elif kind in ("BertProcessing", "RobertaProcessing"):
        for name in ("sep", "cls"):
            pair: Any = part.get(name)
            _expect(isinstance(pair, list) and len(pair) == 2, f"{name} of its {kind} has another form")
            _whole(pair[1], 0, 4 * MOST_TOKENS, f"{name} of its {kind}")
    elif kind == "Strip" and "content" in part:
        _word(part["content"], 1, 1, "the content of a Strip")
    return 1


def _check_template(part: dict[str, Any]) -> None:
    """Check what is put around a text: few pieces, each one known."""
    special = part.get("special_tokens") or {}
    _expect(isinstance(special, dict) and len(special) <= 256, "its special tokens have another form")
    for token in special.values():
        ids = token.get("ids") if isinstance(token, dict) else None
        _expect(isinstance(ids, list) and 0 < len(ids) <= 16, "a special token has another form")
        for number in ids:  # type: ignore[union-attr]
            _whole(number, 0, 4 * MOST_TOKENS, "the number of a special token")
    for name in ("single", "pair"):
        pieces = part.get(name) or []
        _expect(isinstance(pieces, list) and len(pieces) <= 64, f"the template {name} has another form")
        for piece in pieces:
            _expect(
                isinstance(piece, dict) and piece.keys() <= {"Sequence", "SpecialToken"}, f"the template {name} is odd"
            )
            named = (piece.get("SpecialToken") or {}).get("id")
            _expect(
                named is None or named in special,
                f"the template {name} puts {str(named)[:40]!a}, which it does not have",
            )


def _check_chars_map(encoded: str) -> None:
    """Check the tables of a SentencePiece normaliser: a trie of whole words, and short texts behind it."""
    content = base64.b64decode(encoded, validate=True)
    if not content:
        return
    size = int.from_bytes(content[:4], "little")
    _expect(len(content) > 4 and size % 4 == 0 and 0 < size <= len(content) - 4, "its map of characters is broken")
    longest = max(map(len, content[4 + size :].split(b"\0")))
    _expect(longest <= _MOST_PIECE, "its map of characters makes texts too long")


# --- expressions ----------------------------------------------------------------------------------


def _check_pattern(pattern: Any) -> int:
    """Check what is looked for and return how many characters it takes at least, 0 where that is not known."""
    _expect(isinstance(pattern, dict) and len(pattern) == 1, "a pattern has another form")
    [(kind, source)] = pattern.items()
    _expect(kind in ("String", "Regex"), f"a pattern is {str(kind)[:40]!a}, expected String or Regex")
    _word(source, 1, _MOST_PATTERN, "a pattern")
    if kind == "String":
        return len(source)
    check_expression(source)
    return 0
