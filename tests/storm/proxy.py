"""A proxy before a server of MLflow that spoils one request: it never arrives, its response is lost, it gives 500 or 503, hangs, is cut off."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["dropped request", "dropped response", "500", "503", "hang", "reset", "cut body", "gone"]
FAULTS: tuple[Fault, ...] = ("dropped request", "dropped response", "500", "503", "hang", "reset", "cut body", "gone")
HANG_S = 3.0
_HOP = {"connection", "transfer-encoding", "content-length", "host"}


@dataclass(slots=True, kw_only=True)
class Proxy:
    """What the proxy does: which request it spoils and how ("gone": that one and every later one), and which it has had.

    Counted are the requests whose path ends as `path` says.
    """

    upstream: int
    port: int = 0
    at: int = 0
    fault: Fault | None = None
    path: str = ""
    requests: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spoil(self, at: int, fault: Fault | None, path: str = "") -> None:
        """Begin to count anew, and spoil that request."""
        with self.lock:
            self.at, self.fault, self.path, self.requests = at, fault, path, []

    def take(self, request: str) -> Fault | None:
        """Count a request; say how it is spoiled."""
        with self.lock:
            if not request.endswith(self.path):
                return None
            self.requests.append(request)
            number = len(self.requests)
            here = number == self.at or (self.fault == "gone" and number >= self.at)
            return self.fault if self.fault and here else None


@contextmanager
def proxy(upstream: int) -> Iterator[Proxy]:
    """Run a proxy before the server at a port of this machine."""
    state = Proxy(upstream=upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, state))
    server.daemon_threads = True
    state.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, state: Proxy, *arguments: Any) -> None:
        self.state = state
        super().__init__(*arguments)

    def handle_one_request(self) -> None:
        with suppress(OSError):
            super().handle_one_request()

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.state.take(f"{self.command} {self.path.partition('?')[0]}")
        if fault in ("500", "503"):
            self._say(int(fault), [("Content-Type", "text/html")], b"<html>it is on fire</html>")
        elif fault in ("dropped request", "reset", "gone"):
            self._leave(reset=fault == "reset")
        elif fault == "hang":
            threading.Event().wait(HANG_S)
            self._leave(reset=False)
        else:
            answer = _forward(self.state.upstream, self, body)
            if fault == "dropped response":
                self._leave(reset=False)
            else:
                self._say(*answer, cut=fault == "cut body")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

    def _say(self, status: int, headers: list[tuple[str, str]], content: bytes, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + cut))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.wfile.flush()
        if cut:
            self._leave(reset=False)

    def _leave(self, *, reset: bool) -> None:
        """Close the connection, with a reset where that is asked for."""
        self.close_connection = True
        with suppress(OSError):
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        return


def _forward(port: int, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
    try:
        connection.request(request.command, request.path, body, headers)
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()
