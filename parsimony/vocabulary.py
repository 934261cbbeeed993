"""Take the tokens out of a tokenizer that the training texts never use.

The rule: every token seen in training stays, and so does every single-character piece and every
special token, so that a text that could be spelled before can still be spelled. On the training
texts the trimmed tokenizer gives the same tokens as the full one; this is checked, not assumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

_BATCH = 4_096


class CannotTrimError(ValueError):
    """This tokenizer cannot be trimmed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A smaller tokenizer and, in the order of its ids, the id that each token had before."""

    tokenizer: str
    kept: tuple[int, ...]


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


def trim(tokenizer: str, texts: Sequence[str]) -> Trimmed:
    """Trim a WordPiece, Unigram or BPE tokenizer to what these texts use.

    Raises CannotTrimError for another kind of tokenizer, or when the trimmed one would read a text differently.
    """
    document = json.loads(tokenizer)
    before = token_ids(tokenizer, texts)
    seen = {token for ids in before for token in ids}
    model = document["model"]
    try:
        keep = _TRIMMERS[model["type"]](model, seen | _special_ids(document))
    except KeyError:
        raise CannotTrimError(f"its tokenizer is a {model.get('type')}, not WordPiece, Unigram or BPE") from None
    new_id = {old: new for new, old in enumerate(keep)}
    _renumber(document, new_id)
    trimmed = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    if token_ids(trimmed, texts) != [[new_id[token] for token in ids] for ids in before]:
        raise CannotTrimError("the trimmed tokenizer reads some training texts differently")
    return Trimmed(tokenizer=trimmed, kept=keep)


def _special_ids(document: dict[str, Any]) -> set[int]:
    return {token["id"] for token in document.get("added_tokens", ())}


def _is_piece_of_one(token: str, prefix: str) -> bool:
    return len(token.removeprefix(prefix)) == 1 or (token.startswith("<0x") and token.endswith(">"))


def _trim_wordpiece(model: dict[str, Any], needed: set[int]) -> tuple[int, ...]:
    prefix = model.get("continuing_subword_prefix", "##")
    vocabulary: dict[str, int] = model["vocab"]
    kept = {
        t: i for t, i in vocabulary.items() if i in needed or _is_piece_of_one(t, prefix) or t == model["unk_token"]
    }
    keep = tuple(sorted(set(kept.values()) | needed))
    order = {old: new for new, old in enumerate(keep)}
    model["vocab"] = {token: order[i] for token, i in sorted(kept.items(), key=lambda item: item[1])}
    return keep


def _trim_unigram(model: dict[str, Any], needed: set[int]) -> tuple[int, ...]:
    pieces: list[list[Any]] = model["vocab"]
    unknown = model.get("unk_id")
    keep_in_model = [
        i for i, (piece, _) in enumerate(pieces) if i in needed or i == unknown or _is_piece_of_one(piece, "▁")
    ]
    keep = tuple(sorted(set(keep_in_model) | needed))
    model["vocab"] = [pieces[i] for i in keep_in_model]
    if unknown is not None:
        model["unk_id"] = keep_in_model.index(unknown)
    if keep[: len(keep_in_model)] != tuple(keep_in_model):
        raise CannotTrimError("its added tokens lie between the pieces of its Unigram model")
    return keep


def _trim_bpe(model: dict[str, Any], needed: set[int]) -> tuple[int, ...]:
    vocabulary: dict[str, int] = model["vocab"]
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    made_from: dict[str, tuple[str, ...]] = {}
    for merge in merges:
        made_from.setdefault("".join(merge), merge)
    wanted = [t for t, i in vocabulary.items() if i in needed or _is_piece_of_one(t, "") or t == model.get("unk_token")]
    kept: set[str] = set()
    while wanted:
        token = wanted.pop()
        if token in kept or token not in vocabulary:
            continue
        kept.add(token)
        wanted.extend(made_from.get(token, ()))
    keep = tuple(sorted({vocabulary[token] for token in kept} | needed))
    order = {old: new for new, old in enumerate(keep)}
    model["vocab"] = {t: order[i] for t, i in sorted(vocabulary.items(), key=lambda item: item[1]) if t in kept}
    model["merges"] = [list(merge) for merge in merges if {*merge, "".join(merge)} <= kept]
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
