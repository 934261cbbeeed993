"""Start and end a server: one socket, one process or several, the thread that follows production, and the process that looks it up."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.errors import InfrastructureError
from parsimony.serving import following, logs
from parsimony.serving.application import Application, Receive, Scope, Send
from parsimony.serving.held import Held
from parsimony.serving.served import Served, load
from parsimony.serving.settings import Settings

if TYPE_CHECKING:
    import uvicorn

_BACKLOG, _KEEP_ALIVE_S, _GRACE_S = 2_048, 75, 30
_WRITE_EVERY_S, _START_AGAIN_S = 0.5, 5.0


class Lifespan:
    """An application with its beginning and its end, as ASGI has it: loads before the first request, writes after the last."""

    def __init__(self, settings: Settings, bundle: Served | None = None) -> None:
        self.settings, self.bundle = settings, bundle
        self.application: Application | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or begin and end."""
        if self.application is not None and scope["type"] == "http":
            return await self.application(scope, receive, send)
        await receive()
        self.application = prepared(self.settings, self.bundle)
        self.bundle = None  # or what was replaced would stay in memory
        with _followed(self.application.held):
            writing = asyncio.create_task(_write_now_and_then(self.application.held))
            await send({"type": "lifespan.startup.complete"})
            await receive()
            writing.cancel()
        _write(self.application.held)
        await send({"type": "lifespan.shutdown.complete"})
        return None


def prepared(settings: Settings, bundle: Served | None = None) -> Application:
    """Return the application of one process with its bundle, loaded where it is not yet."""
    sample = None if settings.sample is None else logs.sampled(settings.sample)
    bundle = load(settings) if bundle is None else bundle
    held = Held(settings=settings, served=bundle, sample=sample)
    held.lines.add(event="serving", name=bundle.name, version=bundle.version, digest=bundle.digest)
    return Application(held=held)


@contextlib.contextmanager
def _followed(held: Held) -> Iterator[None]:
    """Follow production in this block, where a file names it; a folder stays as it is."""
    if held.settings.source.is_dir():
        yield
        return
    watch = following.Watch(held=held, call=asyncio.get_running_loop().call_soon_threadsafe)
    threading.Thread(target=watch.run, daemon=True).start()
    try:
        yield
    finally:
        watch.end.set()


async def _write_now_and_then(held: Held) -> None:
    while True:
        await asyncio.sleep(_WRITE_EVERY_S)
        _write(held)


def _write(held: Held) -> None:
    held.lines.write()
    if held.sample is not None:
        held.sample.write()
    if held.settings.scratch is not None:
        held.counts.publish(held.settings.scratch)


# --- processes ------------------------------------------------------------------------------------


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that are in hand are finished. Raises InfrastructureError where it cannot."""
    bundle = load(settings)  # what cannot be served is said before anything listens
    with _listening(settings) as listener, _shared(settings) as shared, _looked_up(settings):
        address = "{}:{}".format(*listener.getsockname()[:2])
        lines = logs.Lines()
        lines.add(
            event="listening", address=f"http://{address}", processes=settings.processes, token=bool(settings.token)
        )
        lines.write()
        _serve(_config(shared, bundle if settings.processes == 1 else None), listener)


def _serve(config: uvicorn.Config, listener: socket.socket) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    if config.workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        Multiprocess(config, sockets=[listener]).run()


def _config(settings: Settings, bundle: Served | None) -> uvicorn.Config:
    import uvicorn

    return uvicorn.Config(
        functools.partial(Lifespan, settings, bundle),
        factory=True,
        workers=settings.processes,
        loop="auto",
        http="auto",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)  # so that who comes before the first process is ready waits, and is not refused
    except OSError as error:
        listener.close()
        raise InfrastructureError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}); choose another with --port or --host"
        ) from error
    with listener:
        yield listener


@contextlib.contextmanager
def _shared(settings: Settings) -> Iterator[Settings]:
    """Give several processes a folder in which they tell each other what they have counted."""
    if settings.processes == 1:
        yield settings
        return
    folder = Path(tempfile.mkdtemp(prefix="parsimony-serving-"))
    try:
        yield replace(settings, scratch=folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _looked_up(settings: Settings) -> Iterator[None]:
    """Keep the process running that looks production up, and start it again when it ends."""
    if not settings.follow:
        yield
        return
    end = threading.Event()
    keeper = threading.Thread(target=_keep, args=(settings.follow, end), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        end.set()
        keeper.join()


def _keep(command: tuple[str, ...], end: threading.Event) -> None:
    while not end.is_set():
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        while process.poll() is None and not end.wait(0.2):
            pass
        process.terminate()
        process.wait()
        end.wait(_START_AGAIN_S)
