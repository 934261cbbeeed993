"""`config.json`: what a bundle is in transformers' words, for servers that read a transformers folder with an ONNX graph. Needs no library.

It names no code, no file and no place: whoever reads it can only read values. The predictions of Parsimony never depend on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CONFIG = "config.json"
# A bundle of somebody who says nothing of the model that its graph was made from.
UNNAMED: Mapping[str, object] = {"architectures": ["OnnxForSequenceClassification"], "model_type": "onnx"}
PADDING = ("[PAD]", "<pad>", "<|padding|>")
_PROBLEM = "single_label_classification"
_MOST_BYTES = 64 * 2**20
_NAMES, _NUMBERS = (
    ("architectures", "model_type", "problem_type"),
    (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
        "vocab_size",
        "pad_token_id",
    ),
)


def config_text(about: Mapping[str, object], tokenizer: str, labels: Sequence[str]) -> str:
    """Return a `config.json`: what is said of the model, and what its tokenizer and its labels are.

    about: `architectures`, `model_type` and numbers, in transformers' words.
    """
    document = json.loads(tokenizer)
    tokens = dict(_tokens(document))
    padding = (document.get("padding") or {}).get("pad_id")
    if padding is None:
        padding = next((tokens[name] for name in PADDING if name in tokens), 0)
    reads = {"max_position_embeddings": kept} if (kept := kept_tokens(document)) else {}
    return written({**reads, **about}, max(tokens.values(), default=-1) + 1, padding, labels)


def kept_tokens(document: Mapping[str, Any]) -> int | None:
    """Return how many tokens of a text a tokenizer.json keeps; None where it keeps all."""
    truncation = document.get("truncation")
    return None if truncation is None else int(truncation["max_length"])


def written(about: Mapping[str, object], tokens: int, padding: int, labels: Sequence[str]) -> str:
    """Return the text of a `config.json`: of a model, the number of its tokens, that of the padding token, and the labels."""
    config = {
        **about,
        "vocab_size": tokens,
        "pad_token_id": padding,
        "problem_type": _PROBLEM,
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }
    return json.dumps(config, ensure_ascii=False, separators=(",", ":"))


def check_config(content: bytes, labels: Sequence[str]) -> None:
    """Raise ValueError unless a `config.json` holds known values only, and the same labels in the same order as `labels.json`."""
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, expected at most {_MOST_BYTES:,}")
    try:
        config = json.loads(str(content, "utf-8"), object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(config, dict):
        raise ValueError("it is no JSON object")
    if unknown := sorted(config.keys() - {*_NAMES, *_NUMBERS, "id2label", "label2id"}):
        raise ValueError(f"it names {unknown[0][:60]!r}, which no bundle needs")
    for name in _NUMBERS:
        if type(config.get(name, 0)) is not int or config.get(name, 0) < 0:
            raise ValueError(f"{name} is {str(config[name])[:40]!a}, expected a whole number")
    for name in _NAMES:
        said = config.get(name, "")
        words = said if name == "architectures" and isinstance(said, list) else [said]
        if not all(isinstance(word, str) and word.replace("-", "_").isidentifier() for word in words if word != ""):
            raise ValueError(f"{name} is {str(said)[:40]!a}, expected a name")
    numbers = {label: number for number, label in enumerate(labels)}
    if config.get("label2id") != numbers or config.get("id2label") != {str(n): label for label, n in numbers.items()}:
        raise ValueError("its labels are not those of labels.json")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError when a name comes twice, which two readers of it could understand differently."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("it names something twice")
    return values


def _tokens(document: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield every token of a tokenizer.json with its number."""
    vocabulary = document["model"].get("vocab") or {}
    if isinstance(vocabulary, list):
        yield from ((entry[0], number) for number, entry in enumerate(vocabulary))
    else:
        yield from vocabulary.items()
    yield from ((token["content"], token["id"]) for token in document.get("added_tokens") or ())
