"""The servers: whether they respond, who may use them, and whether their clocks agree with this one."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from parsimony.errors import InfrastructureError, first_line
from parsimony.flows.engine import serving
from parsimony.flows.settings import LOOPBACK, Settings
from parsimony.flows.upkeep.diagnosis import Diagnosis
from parsimony.tasks.registry.refusals import SERVERS

_TIMEOUT_S = 5.0
_STRANGER = "http://stranger.example"
_CLOCK_S = 60.0
_REFUSED = (401, 403)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server said: its status, and its headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is named: where it says that it is well, and what only its users may ask."""

    name: str
    address: str
    health: str
    guarded: str
    remedy: str

    @property
    def base(self) -> str:
        """Return the address without user and password: what is asked is asked as a stranger would."""
        scheme, _, rest = self.address.rstrip("/").partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    @property
    def host(self) -> str:
        """Return the host's name, "" where the address has none."""
        with contextlib.suppress(ValueError):
            return urlsplit(self.base).hostname or ""
        return ""

    @property
    def shown(self) -> str:
        """Return what may be printed: the name and the host, with its port."""
        return f"{self.name} at {self.base.partition('://')[2].partition('/')[0]}"


def named(where: Settings) -> tuple[Server, ...]:
    """Return the servers that the environment names."""
    servers = []
    if where.prefect_home is None and (address := os.environ.get("PREFECT_API_URL")):
        remedy = "start it with PREFECT_SERVER_API_AUTH_STRING, and set PREFECT_API_AUTH_STRING here"
        servers.append(
            Server(name="Prefect", address=address, health="/health", guarded="/flows/filter", remedy=remedy)
        )
    if where.tracking_uri.startswith(SERVERS):
        path = "/api/2.0/mlflow/experiments/search"
        remedy = "start it with `--app-name basic-auth` and `--allowed-hosts`, or let it listen on 127.0.0.1 alone"
        servers.append(Server(name="MLflow", address=where.tracking_uri, health="/health", guarded=path, remedy=remedy))
    return tuple(servers)


def examined(where: Settings) -> Iterator[Diagnosis]:
    """Yield what is to say of every server; Prefect's temporary one is started for a moment where none is named."""
    if where.prefect_home is not None:
        yield _temporary(where)
    for server in named(where):
        yield from _examined(server)


def _temporary(where: Settings) -> Diagnosis:
    start = time.monotonic()
    try:
        with serving(where):
            took_s = time.monotonic() - start
            reply = ask(f"{os.environ['PREFECT_API_URL']}/flows/filter", b"{}")
    except InfrastructureError as error:
        remedy = "pip install -r requirements.lock, or set PREFECT_API_URL to a server"
        return Diagnosis(subject="Prefect", state="wrong", message=str(error), remedy=remedy)
    if reply.status != 401 or "access-control-allow-origin" in reply.headers:
        message = f"the temporary server obeys other pages and processes than this run (status {reply.status})"
        return Diagnosis(subject="Prefect", state="wrong", message=message, remedy="pip install -U 'prefect>=3.9.1,<4'")
    message = f"the temporary server responds after {took_s:.1f} s, and to this run alone"
    return Diagnosis(subject="Prefect", state="well", message=message)


def _examined(server: Server) -> Iterator[Diagnosis]:
    try:
        health = ask(server.base + server.health)
        guarded = ask(server.base + server.guarded, b'{"max_results": 1}' if server.name == "MLflow" else b"{}")
    except OSError as error:
        message = f"{server.shown} does not respond: {first_line(error, 200)}"
        remedy = "start it, or mend the address in the environment"
        yield Diagnosis(subject=server.name, state="wrong", message=message, remedy=remedy)
        return
    if health.status not in (200, *_REFUSED):
        message = f"{server.shown} says status {health.status} of its health"
        yield Diagnosis(subject=server.name, state="wrong", message=message, remedy="look into its log")
    else:
        yield Diagnosis(subject=server.name, state="well", message=f"{server.shown} responds")
    yield from _open(server, guarded)
    yield from _clock(server, health)


def _open(server: Server, reply: Reply) -> Iterator[Diagnosis]:
    """Say who may use a server that was asked without a name, from a web page of another origin."""
    if reply.status in _REFUSED:
        yield Diagnosis(subject=server.name, state="well", message=f"{server.shown} refuses strangers")
        return
    here = server.host in LOOPBACK
    who = "every process and web page of this machine" if here else "whoever reaches it"
    may = "run commands on its workers" if server.name == "Prefect" else "change what is promoted"
    message = f"{server.shown} asks for no password: {who} can {may}"
    yield Diagnosis(subject=server.name, state="note" if here else "wrong", message=message, remedy=server.remedy)


def _clock(server: Server, reply: Reply) -> Iterator[Diagnosis]:
    with contextlib.suppress(ValueError, KeyError):
        ahead_s = time.time() - parsedate_to_datetime(reply.headers["date"]).timestamp()
        if abs(ahead_s) > _CLOCK_S:
            message = f"this clock is {ahead_s:+.0f} s from that of {server.shown}"
            yield Diagnosis(subject="clock", state="wrong", message=message, remedy="set the clocks by NTP on both")


def ask(address: str, body: bytes | None = None) -> Reply:
    """Ask a server as a web page of another origin would; OSError when it does not respond."""
    headers = {"Origin": _STRANGER, "Content-Type": "application/json"}
    try:
        request = urllib.request.Request(address, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            return Reply(status=reply.status, headers={name.lower(): value for name, value in reply.headers.items()})
    except urllib.error.HTTPError as error:
        return Reply(status=error.code, headers={name.lower(): value for name, value in error.headers.items()})
    except (ValueError, http.client.HTTPException) as error:
        raise OSError(f"it is no server, or this is no address ({type(error).__name__})") from error
