"""Clients for the tests of serving: requests to the application without a socket, and a real server in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bundles import write_tiny_bundle

from parsimony.bundle import trial
from parsimony.serving import logs, served
from parsimony.serving.application import Application
from parsimony.serving.held import Held
from parsimony.serving.settings import Limits, Settings

START_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response as a client sees it, header names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def application(folder: Path, **changes: Any) -> Application:
    """Return the application that serves a tiny bundle, written into this folder when it is not there."""
    if not folder.exists():
        write_tiny_bundle(folder)
    trial.trust(folder)
    settings = replace(Settings(name="tiny", source=folder), **changes)
    sample = None if settings.sample is None else logs.sampled(settings.sample)
    return Application(held=Held(settings=settings, served=served.load(settings), sample=sample))


def ask(
    app: Application, method: str, path: str, body: bytes | object = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """Send one request to an application."""
    return asyncio.run(asked(app, method, path, body, headers))


async def asked(
    app: Application, method: str, path: str, body: bytes | object = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """Send one request to an application, in pieces as a server passes them on."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    half = len(content) // 2
    pieces = [(content[:half], True), (content[half:], False)]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        part, more = pieces.pop(0)
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": raw}, receive, send)
    start, end = sent
    return Response(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=end["body"],
    )


@dataclass(slots=True)
class Server:
    """A server in a process of its own; `lines` are what it logged, once it has ended."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(
        self, method: str, path: str, body: bytes | object = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send one request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return send(connection, method, path, body, headers)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | object = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send one request on a connection."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, content, {"content-type": "application/json", **(headers or {})})
    response = connection.getresponse()
    named = {name.lower(): value for name, value in response.getheaders()}
    return Response(status=response.status, headers=named, body=response.read())


@contextlib.contextmanager
def started(log: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start `parsimony serve` on a free port, and end it with SIGTERM."""
    command = [sys.executable, "-P", "-m", "parsimony.flows.cli.main", "serve", *arguments, "--port", "0"]
    home = {"PARSIMONY_HOME": str(log.parent)}  # what lies in it is not tried out first, which takes a second process
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env={**os.environ, **home, **(environment or {})}
        )
    server = Server(process, 0, log)
    try:
        server.port = _port(server)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=START_S)


def _port(server: Server) -> int:
    """Wait until the server says where it listens."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        said = [line["address"] for line in server.lines if line["event"] == "listening"]
        if said:
            return int(said[0].rsplit(":", 1)[1])
        if server.process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(server.log.read_text())


__all__ = ["Limits", "Response", "Server", "application", "ask", "asked", "send", "started"]
