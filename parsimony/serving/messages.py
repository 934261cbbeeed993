"""What goes in and out: a request, a reply, a refusal, and what a convention makes of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import orjson

from parsimony.serving.served import Served
from parsimony.serving.settings import Limits

JSON = b"application/json"
# text-embeddings-inference's words for what went wrong; the status says the same.
Kind = Literal["Validation", "Tokenizer", "Backend", "Overloaded", "Empty", "Unhealthy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose body was read whole."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A response; `labels` counts what was predicted."""

    status: int = 200
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    labels: tuple[str, ...] = ()


class RefusedError(Exception):
    """A request that is not answered: status 4xx and one line that says what was found, expected, and to be done."""

    def __init__(
        self, status: int, message: str, kind: Kind = "Validation", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.headers = status, message, kind, headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a request asks: the texts, and what its convention makes of the bundle and the logits of each text."""

    texts: tuple[str, ...]
    render: Callable[[Served, Sequence[np.ndarray]], object]
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


Reader = Callable[[Request, Served, Limits], Question]
Complaint = Callable[[RefusedError], dict[str, object]]


def json_reply(value: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """Return a reply that holds a value as JSON, on one line."""
    return Reply(status=status, body=orjson.dumps(value), headers=headers)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object that a body holds; RefusedError for anything else."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RefusedError(400, f"the body is {_kind(value)}, expected an object")
    return value


def texts_of(value: object, where: str, limits: Limits) -> tuple[str, ...]:
    """Return a list of texts; RefusedError for anything else, and for more or longer ones than are taken."""
    if not isinstance(value, list):
        raise RefusedError(422, f"{where} is {_kind(value)}, expected a list of texts")
    if not value:
        raise RefusedError(422, f"{where} is empty, expected at least one text", "Empty")
    if len(value) > limits.texts:
        raise RefusedError(
            413, f"{where} holds {len(value):,} texts, expected at most {limits.texts:,}; send them in several requests"
        )
    for position, text in enumerate(value):
        if not isinstance(text, str):
            raise RefusedError(422, f"{where}[{position}] is {_kind(text)}, expected a text")
        if len(text) > limits.chars:
            raise RefusedError(
                413, f"{where}[{position}] has {len(text):,} characters, expected at most {limits.chars:,}; shorten it"
            )
    return tuple(value)


def _kind(value: object) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")
