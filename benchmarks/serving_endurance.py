"""A server that follows production, under an open loop at 70 % of its capacity while champions change; then at three times its capacity.

    PARSIMONY_HOME=home python benchmarks/serving_endurance.py MODEL [--minutes 10] [--every 20]

MODEL has two versions at least that were in production; a rollback goes from one to the other every few seconds. Every response must be the
one that the version which it names has given before. The server runs on the first core, the client and the rollbacks on the second.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from parsimony.errors import InfrastructureError
from parsimony.flows import settings
from parsimony.measurement.scenarios import http_load
from parsimony.measurement.scenarios.bench import SAMPLE_TEXTS
from parsimony.tasks.registry.promotion import history, rollback

SERVER_CORE, CLIENT_CORE = 0, 1
LOAD, OVERLOAD, OVERLOAD_S, OVERLOAD_CONNECTIONS = 0.7, 3.0, 20.0, 1_000
NEAR = 1.5  # the median is back to normal below this many times what it was
_LOOKED_S = 20.0


@dataclass(slots=True, kw_only=True)
class Known:
    """What each version answers to each text, and which responses differed from that."""

    bodies: dict[tuple[str, int], bytes] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    mixed: int = 0

    def learn(self, number: int, response: bytes) -> None:
        """Keep what a version answers."""
        self.bodies[_version(response), number] = _body(response)

    def hold(self, number: int, response: bytes) -> None:
        """Count a response of a version, and whether it is another one's."""
        version = _version(response)
        self.versions[version] += 1
        self.mixed += response[9:12] == b"200" and self.bodies[version, number] != _body(response)


def main() -> None:
    """Print what was seen, as a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=20.0)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    registry = settings.look().registry
    versions = sorted({entry.version for entry in history(registry, chosen.model)}, key=int)[-2:]
    if len(versions) < 2:
        raise SystemExit(f"{chosen.model} has had one champion, expected two")
    with _served(chosen.model) as (process, address):
        asked = [address.request(text) for text in SAMPLE_TEXTS]
        known, capacity = Known(), math.inf
        for version in versions:
            rollback(registry, chosen.model, "endurance", to=version)
            _until(address, asked, version)
            with http_load.opened(address, 1) as connections:
                http_load.open_loop(connections, asked, 200, len(asked) / 100, known.learn)
            capacity = min(capacity, _closed(address, asked, http_load.CONNECTIONS).per_second)
        normal = statistics.median(_closed(address, asked, 1).durations_ms)
        _say("| what | seen |\n|---|---|")
        _say(f"| capacity with the slower version, {http_load.CONNECTIONS} connections | {capacity:,.0f} a second |")
        swaps = _Swaps(chosen.model, versions, chosen.every)
        swaps.start()
        with http_load.opened(address, http_load.OPEN_CONNECTIONS) as connections:
            long = http_load.open_loop(connections, asked, LOAD * capacity, 60 * chosen.minutes, known.hold)
        swaps.stop()
        _say(_load(f"open loop at {LOAD:.0%}, {chosen.minutes:g} minutes, {swaps.done} swaps", long))
        _say(f"| responses of each version; mixed | {dict(known.versions)}; {known.mixed} |")
        before = _resident_mb(process.pid)
        with http_load.opened(address, OVERLOAD_CONNECTIONS) as connections:
            over = http_load.open_loop(connections, asked, OVERLOAD * capacity, OVERLOAD_S)
        _say(_load(f"open loop at {OVERLOAD:g} times the capacity, {OVERLOAD_S:g} s", over))
        _say(f"| resident MB before and after | {before:.0f}; {_resident_mb(process.pid):.0f} |")
        _say(f"| back to normal after | {_recovered_s(address, asked, normal):.1f} s |")


class _Swaps(threading.Thread):
    """A thread that lets another version be in production every few seconds."""

    def __init__(self, model: str, versions: list[str], every_s: float) -> None:
        super().__init__(daemon=True)
        self.command = [sys.executable, "-c", _ROLLBACKS, model, json.dumps(versions), str(every_s)]
        self.done = 0
        self.process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Count the rollbacks as they are made."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for _ in self.process.stdout:
            self.done += 1

    def stop(self) -> None:
        """End the rollbacks."""
        if self.process is not None:
            self.process.terminate()
            self.join()


_ROLLBACKS = """
import json, os, sys, time
os.nice(19)  # on the client's core, whose time counts as waiting
from parsimony.flows import settings
from parsimony.tasks.registry.promotion import rollback
registry, (model, versions, every) = settings.look().registry, sys.argv[1:]
for number in range(100_000):
    time.sleep(float(every))
    rollback(registry, model, "endurance", to=json.loads(versions)[number % 2])
    print(number, flush=True)
"""


@contextmanager
def _served(model: str) -> Iterator[tuple[subprocess.Popen[bytes], http_load.Address]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-m", "parsimony.flows.cli.main", "serve", model, "--port", str(port)]
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = http_load.address_of(f"http://127.0.0.1:{port}/predict")
    try:
        _until(address, [address.request("a text")], "")
        yield process, address
    finally:
        process.terminate()
        process.wait()


def _until(address: http_load.Address, asked: list[bytes], version: str) -> None:
    """Wait until a version answers; any one when it is not named."""
    heard: list[str] = []
    begun = time.monotonic()
    while not heard or version not in ("", heard[-1]):
        if time.monotonic() - begun > 60:
            raise SystemExit(f"version {version} is not served after a minute")
        time.sleep(0.2)
        try:
            with http_load.opened(address, 1) as connections:
                http_load.open_loop(connections, asked, 10, 0.1, lambda _, response: heard.append(_version(response)))
        except InfrastructureError:
            continue


def _closed(address: http_load.Address, asked: list[bytes], count: int) -> http_load.Responses:
    with http_load.opened(address, count) as connections:
        http_load.closed_loop(connections, asked, 1.0)
        return http_load.closed_loop(connections, asked, 5.0)


def _recovered_s(address: http_load.Address, asked: list[bytes], normal_ms: float) -> float:
    """Return after how many seconds the median of half a second is near what it was."""
    begun = time.perf_counter()
    with http_load.opened(address, 1) as connections:
        while time.perf_counter() - begun < _LOOKED_S:
            looked = time.perf_counter() - begun
            if statistics.median(http_load.closed_loop(connections, asked, 0.5).durations_ms) <= NEAR * normal_ms:
                return looked
    return float("inf")


def _load(name: str, responses: http_load.Responses) -> str:
    p50, p99, p999 = np.quantile(responses.durations_ms, (0.5, 0.99, 0.999))
    return (
        f"| {name} | {dict(responses.statuses)} responses, {responses.per_second:,.0f} a second with status 200; "
        f"p50 {p50:.2f}, p99 {p99:.2f}, p99.9 {p999:.2f} ms |"
    )


def _version(response: bytes) -> str:
    head = response.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    return next(
        (line.split(b":", 1)[1].strip().decode() for line in head if line.startswith(b"x-parsimony-version")), ""
    )


def _body(response: bytes) -> bytes:
    return response.partition(b"\r\n\r\n")[2]


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
