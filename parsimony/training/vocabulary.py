"""Take the tokens out of a tokenizer that the training texts never use.

The rule: every token that occurs in training stays, and so does every single-character piece, every piece that
these cannot spell and every special token, so that a text that could be spelled before can still be spelled.
On the training texts the trimmed tokenizer gives the same tokens as the full one, wherever they are cut: what decides how
a word is read stays, even where the model sees only the word's beginning. This is proven for each kind, and checked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from parsimony.training.occurrence import Reading, encodings, read, tried_for_unknown_words


class CannotTrimError(ValueError):
    """This tokenizer cannot be trimmed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A smaller tokenizer and, in the order of its ids, the id that each token had before.

    `used` lists, by their old ids, the tokens that keep a row of their own, in this order: those that occur in the texts, and others
    where that was asked. `rows` holds the row that each token reads: its own, a neighbour's, or the one behind the last of `used`,
    which is shared by all others. It ends with the shared row, which every later token reads too.
    """

    tokenizer: str
    kept: tuple[int, ...]
    used: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def shares(self) -> bool:
        """Say whether some tokens have no row of their own."""
        return len(self.used) < len(self.kept)


def serving_tokenizer(tokenizer: str, *, max_tokens: int) -> str:
    """Return tokenizer.json as a bundle carries it: truncation inside, no padding, compact."""
    result = Tokenizer.from_str(tokenizer)
    result.no_padding()
    result.enable_truncation(max_length=max_tokens)
    document = json.loads(result.to_str())
    if document["model"].get("dropout"):
        document["model"]["dropout"] = None  # it leaves merges out at random, and would make predictions random
    return _dumps(document)


def compact(tokenizer: str) -> str:
    """Return the same tokenizer.json without white space or escapes."""
    return _dumps(json.loads(tokenizer))


def _dumps(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def token_ids(tokenizer: str, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, special tokens included."""
    return [encoding.ids for encoding in encodings(tokenizer, texts)]


def trim(
    tokenizer: str, texts: Sequence[str], near: Mapping[int, int] | None = None, own: Collection[int] = ()
) -> Trimmed:
    """Trim a WordPiece, Unigram or BPE tokenizer to what these texts use.

    near: further tokens to keep, each with the token whose row it reads; one whose neighbour is not used is left out. own: tokens
    that occur in no text and keep a row of their own.

    Raises CannotTrimError for another kind of tokenizer, or when the trimmed one would read a text differently.
    """
    document = json.loads(tokenizer)
    model = document["model"]
    if (kind := model.get("type")) not in _KEPT:
        raise CannotTrimError(f"its tokenizer is a {kind}, not WordPiece, Unigram or BPE")
    before = read(tokenizer, texts)
    occurring = {token for ids in before.ids for token in ids}
    rowed = occurring | {*own}
    needed = _named_ids(document) | _unknown_id(model) | rowed
    readable = {token: other for token, other in (near or {}).items() if other in occurring and token not in needed}
    deciding = before.behind_the_cut | _deciding(kind, tokenizer, texts, before)
    keep = _ordered(needed, set(readable), _KEPT[kind](model, needed | deciding | set(readable)))
    new_id = {old: new for new, old in enumerate(keep)}
    _narrow(model, new_id)
    _renumber(document, new_id)
    trimmed = _dumps(document)
    if token_ids(trimmed, texts) != [[new_id[token] for token in ids] for ids in before.ids]:
        raise CannotTrimError("the trimmed tokenizer reads some training texts differently")
    used = tuple(token for token in keep if token in rowed)
    return Trimmed(tokenizer=trimmed, kept=keep, used=used, rows=_rows(keep, used, readable))


def _deciding(kind: str, tokenizer: str, texts: Sequence[str], before: Reading) -> set[int]:
    """Return the pieces that no text holds, without which WordPiece would spell a word that is unknown."""
    if kind != "WordPiece":
        return set()
    unknown = _unknown_id(json.loads(tokenizer)["model"])
    return tried_for_unknown_words(
        tokenizer, [text for text, ids in zip(texts, before.ids, strict=True) if unknown & set(ids)]
    )


def _unknown_id(model: Mapping[str, Any]) -> set[int]:
    """Return the id of WordPiece's and Unigram's token for what they do not know, where there is one."""
    unknown = model["vocab"].get(model["unk_token"]) if model["type"] == "WordPiece" else model.get("unk_id")
    return set() if unknown is None else {unknown}


def _rows(keep: Sequence[int], used: Sequence[int], near: Mapping[int, int]) -> tuple[int, ...]:
    """Return the row that each token reads, up to the last that does not read the shared one, and the shared one."""
    own = {token: row for row, token in enumerate(used)}
    rows = [own.get(near.get(token, token), len(used)) for token in keep]
    last = max((place for place, row in enumerate(rows) if row < len(used)), default=-1)
    return tuple(rows[: last + 2])


def _ordered(needed: set[int], near: set[int], in_model: set[int]) -> tuple[int, ...]:
    """Return the tokens that the model keeps: the needed ones first, then the near ones, each in their old order.

    Added tokens outside the model come last.
    """
    first, second = in_model & needed, in_model & near
    return (*sorted(first), *sorted(second), *sorted(in_model - first - second), *sorted(needed - in_model))


def named_ids(tokenizer: str) -> set[int]:
    """Return the ids that tokenizer.json names outside its model: special tokens, above all."""
    return _named_ids(json.loads(tokenizer))


def _named_ids(document: dict[str, Any]) -> set[int]:
    """Return the ids that a tokenizer names outside its model: added tokens, padding, post-processor."""
    named = {token["id"] for token in document.get("added_tokens", ())}
    if document.get("padding"):
        named.add(document["padding"]["pad_id"])
    for processor in _processors(document.get("post_processor")):
        named |= {processor[name][1] for name in ("sep", "cls") if name in processor}
        named |= {i for special in (processor.get("special_tokens") or {}).values() for i in special["ids"]}
    return named


def _indispensable(pieces: Iterable[str], prefix: str = "", suffix: str = "") -> set[str]:
    """Return the pieces of one character or byte, and those that pieces of one character cannot spell.

    `prefix` marks pieces that continue a word, `suffix` those that end one.
    """
    known = set(pieces)
    letters = {piece: _letters(piece, prefix, suffix) for piece in known}
    is_byte = {piece for piece in known if piece.startswith("<0x") and piece.endswith(">")}
    return is_byte | {piece for piece, forms in letters.items() if forms == [piece] or not known.issuperset(forms)}


def _letters(piece: str, prefix: str, suffix: str) -> list[str]:
    """Return the pieces of one character that spell a piece, in the form that their place in the word asks for."""
    start = len(prefix) if piece.startswith(prefix) else 0
    end = len(piece) - (len(suffix) if piece.endswith(suffix) else 0)
    if end - start < 2:
        return [piece]
    return [piece[: start + 1], *(prefix + letter for letter in piece[start + 1 : end - 1]), prefix + piece[end - 1 :]]


def _kept_wordpiece(model: Mapping[str, Any], wanted: set[int]) -> set[int]:
    """Return the ids that stay. The longest piece that fits is taken from the left: among fewer pieces it is the same."""
    vocabulary: dict[str, int] = model["vocab"]
    stays = _indispensable(vocabulary, model.get("continuing_subword_prefix", "##"))
    return {i for token, i in vocabulary.items() if i in wanted or token in stays}


def _kept_unigram(model: Mapping[str, Any], wanted: set[int]) -> set[int]:
    """Return the ids that stay: of fewer ways to spell a word the best one is the same while every letter keeps its piece.

    What an unknown letter costs follows from the worst piece, which therefore stays too.
    """
    names = [piece for piece, _ in model["vocab"]]
    scores = [score for _, score in model["vocab"]]
    stays = _indispensable(names) | {name for name in names if len(name.removeprefix("▁")) == 1}
    worst = {scores.index(min(scores))} if scores else set()
    return {i for i, name in enumerate(names) if i in wanted or name in stays} | worst


def _kept_bpe(model: Mapping[str, Any], wanted: set[int]) -> set[int]:
    """Return the ids that stay: with each token all the parts that any merge makes it from, so that texts merge as before."""
    vocabulary: dict[str, int] = model["vocab"]
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    parts: dict[str, set[str]] = {}
    for merge, token in _merges(model):
        parts.setdefault(token, set()).update(merge)
    stays = _indispensable(vocabulary, prefix, suffix) | {model.get("unk_token")}
    queue = [token for token, i in vocabulary.items() if i in wanted or token in stays]
    kept: set[str] = set()
    while queue:
        token = queue.pop()
        if token in kept or token not in vocabulary:
            continue
        kept.add(token)
        queue.extend(parts.get(token, ()))
    return {vocabulary[token] for token in kept}


def _merges(model: Mapping[str, Any]) -> list[tuple[tuple[str, str], str]]:
    """Return the merges in their order, each as its two parts and the token that it makes."""
    prefix = model.get("continuing_subword_prefix") or ""
    pairs = (tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"])
    return [((left, right), left + right.removeprefix(prefix)) for left, right in pairs]


_KEPT = {"WordPiece": _kept_wordpiece, "Unigram": _kept_unigram, "BPE": _kept_bpe}


def _narrow(model: dict[str, Any], new_id: Mapping[int, int]) -> None:
    """Leave a model the tokens that have a new id, in the order of the new ids."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        model["vocab"] = [vocabulary[old] for old in new_id if old < len(vocabulary)]
        model["unk_id"] = None if model.get("unk_id") is None else new_id[model["unk_id"]]
        return
    if "merges" in model:
        kept = {token for token, i in vocabulary.items() if i in new_id}
        model["merges"] = [list(merge) for merge, token in _merges(model) if {*merge, token} <= kept]
    model["vocab"] = {
        token: new_id[i] for token, i in sorted(vocabulary.items(), key=lambda item: item[1]) if i in new_id
    }


def _renumber(document: dict[str, Any], new_id: dict[int, int]) -> None:
    """Give the ids outside the model their new values: added tokens, post-processor, padding."""
    for token in document.get("added_tokens", ()):
        token["id"] = new_id[token["id"]]
    if document.get("padding"):
        document["padding"]["pad_id"] = new_id[document["padding"]["pad_id"]]
    for processor in _processors(document.get("post_processor")):
        for name in ("sep", "cls"):
            if name in processor:
                text, old = processor[name]
                processor[name] = [text, new_id[old]]
        for special in (processor.get("special_tokens") or {}).values():
            special["ids"] = [new_id[old] for old in special["ids"]]


def _processors(processor: dict[str, Any] | None) -> Iterable[dict[str, Any]]:
    if processor is None:
        return
    yield processor
    for inner in processor.get("processors", ()):
        yield from _processors(inner)
