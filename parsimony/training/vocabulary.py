"""Take the tokens out of a tokenizer that the training texts never use.

The rule: every token that occurs in training stays, and so does every single-character piece, every piece that
these cannot spell and every special token, so that a text that could be spelled before can still be spelled.
On the training texts the trimmed tokenizer gives the same tokens as the full one; this is checked, not assumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

_BATCH = 4_096


class CannotTrimError(ValueError):
    """This tokenizer cannot be trimmed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A smaller tokenizer and, in the order of its ids, the id that each token had before.

    `used` lists, by their old ids, the tokens that occur in the texts: they keep a row of their own, in this order.
    `rows` holds the row that each token reads: its own, a neighbour's, or the one behind the last of `used`, which is
    shared by all tokens that occur in no text. It ends with the shared row, which every later token reads too.
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
    return compact(result.to_str())


def compact(tokenizer: str) -> str:
    """Return the same tokenizer.json without white space or escapes."""
    return json.dumps(json.loads(tokenizer), ensure_ascii=False, separators=(",", ":"))


def token_ids(tokenizer: str, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, special tokens included."""
    loaded = Tokenizer.from_str(tokenizer)
    loaded.no_padding()
    ids: list[list[int]] = []
    for start in range(0, len(texts), _BATCH):
        ids.extend(encoding.ids for encoding in loaded.encode_batch(list(texts[start : start + _BATCH])))
    return ids


def trim(tokenizer: str, texts: Sequence[str], near: Mapping[int, int] | None = None) -> Trimmed:
    """Trim a WordPiece, Unigram or BPE tokenizer to what these texts use.

    near: further tokens to keep, each with the token whose row it reads; one whose neighbour is not used is left out.

    Raises CannotTrimError for another kind of tokenizer, or when the trimmed one would read a text differently.
    """
    document = json.loads(tokenizer)
    model = document["model"]
    if (kind := model.get("type")) not in _TRIMMERS:
        raise CannotTrimError(f"its tokenizer is a {kind}, not WordPiece, Unigram or BPE")
    before = token_ids(tokenizer, texts)
    occurring = {token for ids in before for token in ids}
    needed = occurring | _named_ids(document)
    readable = {token: other for token, other in (near or {}).items() if other in occurring and token not in needed}
    keep = _TRIMMERS[kind](model, needed, set(readable))
    new_id = {old: new for new, old in enumerate(keep)}
    _renumber(document, new_id)
    trimmed = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    if token_ids(trimmed, texts) != [[new_id[token] for token in ids] for ids in before]:
        raise CannotTrimError("the trimmed tokenizer reads some training texts differently")
    used = tuple(token for token in keep if token in occurring)
    return Trimmed(tokenizer=trimmed, kept=keep, used=used, rows=_rows(keep, used, readable))


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


def _trim_wordpiece(model: dict[str, Any], needed: set[int], near: set[int]) -> tuple[int, ...]:
    vocabulary: dict[str, int] = model["vocab"]
    stays = _indispensable(vocabulary, model.get("continuing_subword_prefix", "##")) | {model["unk_token"]}
    kept = {token: i for token, i in vocabulary.items() if i in needed or i in near or token in stays}
    keep = _ordered(needed | {vocabulary[model["unk_token"]]}, near, set(kept.values()))
    order = {old: new for new, old in enumerate(keep)}
    model["vocab"] = {token: order[i] for token, i in sorted(kept.items(), key=lambda item: item[1])}
    return keep


def _trim_unigram(model: dict[str, Any], needed: set[int], near: set[int]) -> tuple[int, ...]:
    pieces: list[list[Any]] = model["vocab"]
    unknown = model.get("unk_id")
    names = [piece for piece, _ in pieces]
    stays = _indispensable(names) | {name for name in names if len(name.removeprefix("▁")) == 1}
    wanted = needed if unknown is None else needed | {unknown}
    keep_in_model = [i for i, name in enumerate(names) if i in wanted or i in near or name in stays]
    keep = _ordered(wanted, near, set(keep_in_model))
    model["vocab"] = [pieces[i] for i in keep[: len(keep_in_model)]]
    if unknown is not None:
        model["unk_id"] = keep.index(unknown)
    return keep


def _trim_bpe(model: dict[str, Any], needed: set[int], near: set[int]) -> tuple[int, ...]:
    """Keep, with each token, all the parts that any merge makes it from: then training texts merge as before."""
    vocabulary: dict[str, int] = model["vocab"]
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    made = {merge: merge[0] + merge[1].removeprefix(prefix) for merge in merges}
    parts: dict[str, set[str]] = {}
    for merge, token in made.items():
        parts.setdefault(token, set()).update(merge)
    stays = _indispensable(vocabulary, prefix, suffix) | {model.get("unk_token")}
    wanted = [token for token, i in vocabulary.items() if i in needed or i in near or token in stays]
    kept: set[str] = set()
    while wanted:
        token = wanted.pop()
        if token in kept or token not in vocabulary:
            continue
        kept.add(token)
        wanted.extend(parts.get(token, ()))
    keep = _ordered(needed, near, {vocabulary[token] for token in kept})
    order = {old: new for new, old in enumerate(keep)}
    model["vocab"] = {t: order[i] for t, i in sorted(vocabulary.items(), key=lambda item: item[1]) if t in kept}
    model["merges"] = [list(merge) for merge in merges if {*merge, made[merge]} <= kept]
    return keep


_TRIMMERS = {"WordPiece": _trim_wordpiece, "Unigram": _trim_unigram, "BPE": _trim_bpe}


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
