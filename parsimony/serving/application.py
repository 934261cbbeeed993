"""The server's application: an ASGI callable that routes, admits, predicts, and swaps bundles between two requests.

Predictions take less than a millisecond, so they are made where requests are read, one after the other, and requests with several
texts give way to others after each text. A request takes its bundle once; a swap replaces one reference.
"""

from __future__ import annotations

import asyncio
import hmac
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parsimony.bundle import predict
from parsimony.errors import InfrastructureError, first_line
from parsimony.serving import routes
from parsimony.serving.held import Held
from parsimony.serving.messages import JSON, Question, RefusedError, Reply, Request, json_reply
from parsimony.serving.served import Served

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CLOSE = ((b"connection", b"close"),)
_AGAIN = ((b"retry-after", b"1"),)
_NO_SNIFF = (b"x-content-type-options", b"nosniff")


class GoneError(Exception):
    """The client went away before its request was whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Answers requests from what the process holds."""

    held: Held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        served = self.held.served
        self.held.open_requests += 1
        try:
            endpoint, reply = await self._reply(scope, receive, served)
        except GoneError:
            return
        finally:
            self.held.open_requests -= 1
        seconds = time.perf_counter() - started
        self._note(scope, (endpoint, reply), seconds, served)
        await _send(send, reply, served, seconds)

    async def _reply(self, scope: Scope, receive: Receive, served: Served) -> tuple[str, Reply]:
        """Return the endpoint's name, and its reply or refusal."""
        route, name = routes.of(scope["path"], served)
        try:
            if route is None:
                raise RefusedError(404, f"there is no {scope['path'][:200]!r} here; /openapi.json lists what there is")
            self._admit(scope, route)
            if route.read is None:
                return name, route.show(self.held, served) if route.show is not None else Reply()
            request = Request(
                method="POST", path=scope["path"], headers=dict(scope["headers"]), body=await self._body(receive)
            )
            question = route.read(request, served, self.held.settings.limits)
            return name, self._answered(question, served, await self._predict(question, served))
        except RefusedError as refused:
            complain = routes.complain if route is None else route.complain
            return name, json_reply(complain(refused), refused.status, refused.headers)
        except InfrastructureError as error:  # this bundle breaks on this text
            return name, json_reply((route or routes.UNKNOWN).complain(RefusedError(424, str(error), "Backend")), 424)
        except GoneError:
            raise
        except Exception as error:
            self.held.lines.add(
                event="error", path=scope["path"], error=first_line(error, 300), details=traceback.format_exc()
            )
            return name, json_reply({"error": "an error of this server; its log says more"}, 500)

    def _admit(self, scope: Scope, route: routes.Route) -> None:
        """Refuse a request of another method, without the token, in another format, or while there are too many."""
        if scope["method"] != route.method:
            raise RefusedError(
                405,
                f"{scope['method']} is not taken here, expected {route.method}",
                headers=((b"allow", route.method.encode()),),
            )
        headers = dict(scope["headers"])
        if (
            self.held.settings.token
            and not route.is_open
            and not _is_token(headers.get(b"authorization", b""), self.held.settings.token)
        ):
            asks = ((b"www-authenticate", b"Bearer"),)
            raise RefusedError(
                401, "the bearer token is missing or wrong; send authorization: Bearer TOKEN", headers=asks
            )
        if route.read is None:
            return
        if self.held.open_requests > self.held.settings.limits.open_requests:
            raise RefusedError(
                429, "too many requests at once; try again in a second", "Overloaded", (*_AGAIN, *_CLOSE)
            )
        kind = headers.get(b"content-type", JSON).partition(b";")[0].strip().lower()
        if kind not in (JSON, b"application/octet-stream"):
            raise RefusedError(
                415, f"the body is {kind.decode('latin-1')[:80]!r}, expected content-type: application/json"
            )
        said = headers.get(b"content-length", b"0")
        if not said.isdigit() or len(said) > 18 or int(said) > self.held.settings.limits.body_bytes:
            raise self._too_large()

    def _too_large(self) -> RefusedError:
        most = self.held.settings.limits.body_bytes
        return RefusedError(413, f"the body has more than {most:,} bytes; send fewer texts", headers=_CLOSE)

    async def _body(self, receive: Receive) -> bytes:
        """Return the whole body, which comes within the time limit or is refused with 408."""
        body, more = b"", True
        try:
            async with asyncio.timeout(self.held.settings.limits.timeout_s):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise GoneError
                    body, more = body + message.get("body", b""), message.get("more_body", False)
                    if len(body) > self.held.settings.limits.body_bytes:
                        raise self._too_large()
        except TimeoutError as error:
            limit_s = self.held.settings.limits.timeout_s
            raise RefusedError(408, f"the body did not come within {limit_s:g} s", headers=_CLOSE) from error
        return body

    async def _predict(self, question: Question, served: Served) -> list[np.ndarray]:
        """Return the logits of each text, once it is this request's turn; 429 when too many wait or it takes too long."""
        limits, count = self.held.settings.limits, len(question.texts)
        if self.held.waiting_texts + count > limits.waiting_texts:
            raise RefusedError(
                429, f"{self.held.waiting_texts} texts wait already; try again in a second", "Overloaded", _AGAIN
            )
        self.held.waiting_texts += count
        end, rows = time.monotonic() + limits.timeout_s, list[np.ndarray]()
        try:
            for text in question.texts:
                await asyncio.sleep(0)  # others are read, counted and served in between
                if time.monotonic() > end:
                    raise RefusedError(
                        429, f"the texts were not predicted within {limits.timeout_s:g} s", "Overloaded", _AGAIN
                    )
                rows.append(predict.logits(served.model, text))
        finally:
            self.held.waiting_texts -= count
        return rows

    def _answered(self, question: Question, served: Served, rows: Sequence[np.ndarray]) -> Reply:
        labels = tuple(served.labels[int(row.argmax())] for row in rows)
        self.held.counts.predictions.update(labels)
        if self.held.sample is not None:
            self.held.sample.add(question.texts, labels, served.version)
        reply = json_reply(question.render(served, rows))
        return Reply(body=reply.body, headers=question.headers, labels=labels)

    def _note(self, scope: Scope, outcome: tuple[str, Reply], seconds: float, served: Served) -> None:
        endpoint, reply = outcome
        self.held.counts.request(endpoint, reply.status, seconds)
        self.held.lines.add(
            event="request", method=scope["method"], endpoint=endpoint, status=reply.status, ms=round(seconds * 1e3, 3),
            texts=len(reply.labels), version=served.version,
        )  # fmt: skip


def _is_token(said: bytes, token: str) -> bool:
    """Compare in a time that does not tell how much of the token was right."""
    scheme, _, given = said.partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), token.encode())


async def _send(send: Send, reply: Reply, served: Served, seconds: float) -> None:
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        (b"server-timing", b"total;dur=%.3f" % (seconds * 1e3)),
        _NO_SNIFF,
        *served.headers,
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
