"""A server measured from outside, over HTTP: as fast as it answers (closed loop), and under arrivals at random (open loop).

In the open loop a response is counted from the moment at which its request was to be sent, whether or not a connection was free then, so a
server that stalls is charged for all who would have waited (no coordinated omission). The client is one thread over plain sockets: what it
adds to a response is some hundredths of a millisecond.
"""

from __future__ import annotations

import json
import math
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

from parsimony.errors import InfrastructureError, PlanError, first_line
from parsimony.measurement import quantiles
from parsimony.measurement.interleaving import mixed
from parsimony.measurement.scenarios.load_generator import Kind, Scenario

LOADS = (0.5, 0.7)
CONNECTIONS, OPEN_CONNECTIONS = 8, 64
_SECONDS, _WARM_S, _LONGEST_WAIT_S = 5.0, 1.0, 30.0
_OK = 200
_AT_ONCE = -math.inf  # the moment of a request that is to be sent when a connection is free, and counts from then


def _predict(text: str) -> object:
    return {"inputs": text}


def _invocations(text: str) -> object:
    return {"inputs": [text]}


def _infer(text: str) -> object:
    return {
        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}],
        "outputs": [{"name": "label"}],
    }


OnResponse = Callable[[int, bytes], None]
# What a text becomes, by the last part of the address.
BODIES: dict[str, Callable[[str], object]] = {"predict": _predict, "invocations": _invocations, "infer": _infer}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where requests go, and the header that lets them in."""

    host: str
    port: int
    path: str
    token: str = field(default="", repr=False)

    def request(self, text: str) -> bytes:
        """Return a request that asks for the label of a text."""
        body = json.dumps(BODIES[self.path.rsplit("/", 1)[-1]](text)).encode()
        lines = [f"POST {self.path} HTTP/1.1", f"host: {self.host}:{self.port}", "content-type: application/json"]
        lines += [f"content-length: {len(body)}", *([f"authorization: Bearer {self.token}"] if self.token else [])]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def address_of(url: str, token: str = "") -> Address:
    """Return the address that a URL names; PlanError for one that cannot be measured. Without a path it is /invocations."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") or "/invocations"
    if parts.scheme != "http" or not parts.hostname or path.rsplit("/", 1)[-1] not in BODIES:
        raise PlanError(
            f"{url!r} is no http:// address that ends in {', '.join(f'/{name}' for name in BODIES)} or nothing"
        )
    return Address(host=parts.hostname, port=parts.port or 80, path=path, token=token)


def every(address: Address, texts: Sequence[str], seconds: float = _SECONDS) -> tuple[Scenario, ...]:
    """Measure a server with one connection, with eight, and under random arrivals at shares of what eight get done."""
    asked = [address.request(texts[i]) for i in mixed(texts)]
    with opened(address, 1) as connections:
        closed_loop(connections, asked, _WARM_S)
        one = closed_loop(connections, asked, seconds)
    with opened(address, CONNECTIONS) as connections:
        several = closed_loop(connections, asked, seconds)
    capacity = several.per_second
    scenarios = [
        one.scenario("1 connection", "response", ""),
        several.scenario(f"{CONNECTIONS} connections", "response", ""),
    ]
    for share in LOADS:
        with opened(address, OPEN_CONNECTIONS) as connections:
            responses = open_loop(connections, asked, share * capacity, seconds)
        note = f"{share * capacity:,.0f} arrivals a second at random, {share:.0%} of what {CONNECTIONS} connections get done"
        scenarios.append(responses.scenario(f"open loop {share:.0%}", "response", note))
    return tuple(scenarios)


# --- one load -------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Responses:
    """What came back under a load: the milliseconds of each response with status 200, how many of each status, and the seconds in all."""

    durations_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wall_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Responses with status 200 a second."""
        return self.statuses[_OK] / self.wall_s if self.wall_s else 0.0

    def scenario(self, name: str, kind: Kind, note: str) -> Scenario:
        """Return it as one of a bench's scenarios."""
        durations = np.array(self.durations_ms)
        others = ", ".join(
            f"{number:,} with status {status}" for status, number in self.statuses.items() if status != _OK
        )
        if not len(durations):
            raise InfrastructureError(f"the server gave no prediction: {others or 'no response'}")
        enough = len(durations) >= quantiles.fewest_samples(0.99)
        return Scenario(
            name=name,
            kind=kind,
            samples=len(durations),
            p50=quantiles.quantile(durations, 0.50),
            p99=quantiles.quantile(durations, 0.99) if enough else None,
            throughput_per_s=self.per_second,
            note="; ".join(part for part in (note, others) if part),
        )


@dataclass(slots=True, kw_only=True)
class Connection:
    """A kept-alive connection, which request it carries, and since when that is in the server's hands."""

    stream: socket.socket
    since: float = 0.0
    number: int = 0
    received: bytes = b""


def closed_loop(connections: Sequence[Connection], asked: Sequence[bytes], seconds: float) -> Responses:
    """Send on every connection as soon as its last response is there."""
    end = time.perf_counter() + seconds
    return _driven(connections, asked, lambda: _AT_ONCE if time.perf_counter() < end else None)


def open_loop(
    connections: Sequence[Connection],
    asked: Sequence[bytes],
    per_second: float,
    seconds: float,
    on_response: OnResponse | None = None,
) -> Responses:
    """Send at random moments (Poisson), whether or not responses are there; `on_response` gets each response with its request's place."""
    gaps = np.random.default_rng(0).exponential(1 / per_second, max(1, int(per_second * seconds)))
    moments = deque((time.perf_counter() + np.cumsum(gaps)).tolist())
    return _driven(connections, asked, lambda: moments.popleft() if moments else None, on_response)


def _driven(
    connections: Sequence[Connection],
    asked: Sequence[bytes],
    next_moment: Callable[[], float | None],
    on_response: OnResponse | None = None,
) -> Responses:
    """Send requests at their moments, until there is none and every response has come."""
    responses, begun, number = Responses(), time.perf_counter(), 0
    idle = deque(connections)
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.stream, selectors.EVENT_READ, connection)
        moment = next_moment()
        while moment is not None or len(idle) < len(connections):
            now = time.perf_counter()
            while idle and moment is not None and moment <= now:
                connection = idle.popleft()
                connection.since = time.perf_counter() if moment == _AT_ONCE else moment
                connection.number = number % len(asked)
                connection.stream.sendall(asked[connection.number])
                number, moment = number + 1, next_moment()
            waits = _LONGEST_WAIT_S if moment is None or not idle else max(0.0, moment - time.perf_counter())
            ready = selector.select(waits)
            if not ready and waits == _LONGEST_WAIT_S:
                raise InfrastructureError(f"the server does not respond within {_LONGEST_WAIT_S:g} s")
            for key, _ in ready:
                if (response := _received(key.data)) is not None:
                    _count(responses, key.data, int(response[9:12]))
                    if on_response is not None:
                        on_response(key.data.number, response)
                    idle.append(key.data)
    responses.wall_s = time.perf_counter() - begun
    return responses


def _count(responses: Responses, connection: Connection, status: int) -> None:
    responses.statuses[status] += 1
    if status == _OK:
        responses.durations_ms.append((time.perf_counter() - connection.since) * 1e3)


def _received(connection: Connection) -> bytes | None:
    """Read what has come; return the response once it is whole."""
    piece = connection.stream.recv(1 << 16)
    if not piece:
        raise InfrastructureError("the server closed a connection before its response was whole")
    connection.received += piece
    head, separator, body = connection.received.partition(b"\r\n\r\n")
    if not separator:
        return None
    lengths = [line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if not lengths:
        raise InfrastructureError("the server's response has no content-length; it cannot be measured")
    if len(body) < int(lengths[0]):
        return None
    whole, connection.received = connection.received, b""
    return whole


@contextmanager
def opened(address: Address, count: int) -> Iterator[list[Connection]]:
    """Open connections that stay; InfrastructureError when the server refuses one or ends it."""
    connections: list[Connection] = []
    try:
        for _ in range(count):
            stream = socket.create_connection((address.host, address.port), timeout=_LONGEST_WAIT_S)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(Connection(stream=stream))
        yield connections
    except OSError as error:
        raise InfrastructureError(
            f"http://{address.host}:{address.port} cannot be measured ({first_line(error)})"
        ) from error
    finally:
        for connection in connections:
            connection.stream.close()
