"""Prefect's temporary server, as a child of the run: it gets no signal that is meant for the run, ends with it, and obeys it alone.

Prefect starts one by itself where no server is named. That one lies in the run's process group, so that Ctrl-C ends it before the run
has told it how it ended; it outlives a run that is killed; and it shows the plan to every web page that the browser of this machine
has open, and takes orders from it. This one asks for a token that only the run knows, and lets no page of another origin read anything.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.flows.settings import Settings
from parsimony.measurement.parent import end_with_parent
from parsimony.tasks.registry.secrets import without_secrets

SERVER = "parsimony.flows.engine"
_START_S = 300.0
_EPHEMERAL = {
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "http://127.0.0.1:0",  # that of no page
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
}
_ADDRESS, _TOKEN, _TOKEN_ASKED = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"


@contextlib.contextmanager
def serving(where: Settings) -> Iterator[None]:
    """Let Prefect reach a server in this block: the one that is named, else a temporary one.

    Enter it before Prefect is imported, which reads the address then. Raises InfrastructureError when none can be started.
    """
    if where.prefect_home is None:
        yield
        return
    log = where.prefect_home / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    token = f"parsimony:{secrets.token_urlsafe(32)}"
    with (
        log.open("wb") as errors,
        _started(errors.fileno(), token) as process,
        _set({_ADDRESS: _address(process, log), _TOKEN: token}),
    ):
        yield


@contextlib.contextmanager
def _set(values: Mapping[str, str]) -> Iterator[None]:
    """Give variables of the environment these values in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _started(errors: int, token: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", SERVER, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **_EPHEMERAL, _TOKEN_ASKED: token},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()  # it keeps nothing that anybody needs
        process.communicate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the server's address once it responds."""
    port = b"" if process.stdout is None else process.stdout.readline().strip()
    address = f"http://127.0.0.1:{port.decode()}/api"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + _START_S
    while port and process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), direct.open(f"{address}/health", timeout=5):
            return address
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    raise InfrastructureError(
        f"Prefect's temporary server did not start: {without_secrets(said[-1].strip())[:200]}; the details are in {log}; or set {_ADDRESS} to a server"
    )


def serve(parent: int) -> None:
    """Serve on a free port of this machine, whose number is the first line of standard output."""
    end_with_parent(parent)
    import socket

    import uvicorn
    from prefect.server.api.server import create_app

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(int(sys.argv[1]))
