"""text-embeddings-inference's `/predict` and `/info`: the same shapes, so that its clients need no change.

`inputs` is a text, or a batch of lists of one text each; labels come in the order of their scores, the best first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parsimony.serving.messages import Question, RefusedError, Request, json_object, texts_of
from parsimony.serving.served import Served, shares
from parsimony.serving.settings import Limits


def read(request: Request, served: Served, limits: Limits) -> Question:
    """Read a request to `/predict`."""
    asked = json_object(request.body)
    if "inputs" not in asked:
        raise RefusedError(422, "the key 'inputs' is missing, expected a text or a batch such as [[text], [text]]")
    raw, truncate = _flag(asked, "raw_scores", default=False), _flag(asked, "truncate", default=True)
    direction = asked.get("truncation_direction")
    if direction not in (None, "right", "Right"):
        raise RefusedError(
            422, f"truncation_direction is {direction!r}, expected 'right': the end of a long text is cut"
        )
    texts, is_batch = _inputs(asked["inputs"])
    if truncate:
        texts = [text[: limits.chars] if isinstance(text, str) else text for text in texts]
    checked = texts_of(texts, "inputs", limits)
    if not truncate and any(served.is_cut(text) for text in checked):
        raise RefusedError(413, f'`inputs` must have at most {served.most_tokens} tokens; or send "truncate": true')

    def render(served: Served, rows: Sequence[np.ndarray]) -> object:
        ranked = [_ranked(served, row.tolist() if raw else shares(row)) for row in rows]
        return ranked if is_batch else ranked[0]

    return Question(texts=checked, render=render)


def _flag(asked: dict[str, object], name: str, *, default: bool) -> bool:
    value = asked.get(name)
    if value is not None and not isinstance(value, bool):
        raise RefusedError(422, f"{name} is not a truth value; expected true or false")
    return default if value is None else value


def _inputs(value: object) -> tuple[list[object], bool]:
    """Return the texts, and whether they are a batch: `["a"]` is one text there, and `["a", "b"]` a pair of sentences."""
    if isinstance(value, str):
        return [value], False
    if not isinstance(value, list):
        raise RefusedError(422, "inputs is no text and no list, expected a text or a batch such as [[text], [text]]")
    if value and all(isinstance(each, str) for each in value):
        if len(value) == 1:
            return value, False
        raise RefusedError(
            422,
            "inputs is a list of texts, which means a pair of sentences here; this model takes one: [[text], [text]]",
        )
    for position, each in enumerate(value):
        if not isinstance(each, list) or len(each) != 1:
            raise RefusedError(422, f"inputs[{position}] is no list of one text; a batch is [[text], [text]]")
    return [each[0] for each in value], True


def _ranked(served: Served, scores: Sequence[float]) -> list[dict[str, object]]:
    order = sorted(range(len(scores)), key=scores.__getitem__)
    return [{"score": scores[i], "label": served.labels[i]} for i in reversed(order)]


def complain(refused: RefusedError) -> dict[str, object]:
    """Return a refusal in this convention's words."""
    return {"error": refused.message, "error_type": refused.kind}


def info(served: Served, limits: Limits, version: str) -> dict[str, object]:
    """Return what `/info` says."""
    id2label = {str(i): label for i, label in enumerate(served.labels)}
    label2id = {label: i for i, label in enumerate(served.labels)}
    return {
        "model_id": served.name,
        "model_sha": served.digest,
        "model_dtype": "float32",
        "model_type": {"classifier": {"id2label": id2label, "label2id": label2id}},
        "max_concurrent_requests": limits.waiting_texts,
        "max_input_length": served.most_tokens or limits.chars,
        "max_batch_tokens": (served.most_tokens or limits.chars) * limits.texts,
        "max_batch_requests": None,
        "max_client_batch_size": limits.texts,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "version": version,
        "sha": None,
        "docker_label": None,
        "model_version": served.version,
    }
