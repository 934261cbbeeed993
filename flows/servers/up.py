"""Everything on one machine: Prefect's server, MLflow's server, a worker and a watcher, as children that end with the process that started them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.files import write_json
from parsimony.files.locks import held
from parsimony.flows.servers.automations import HEARTBEAT_S
from parsimony.flows.servers.deployments import POOL
from parsimony.flows.servers.postgres import Databases
from parsimony.flows.servers.process import ARTIFACTS_VARIABLE, BESIDE, HOST, MLFLOW_VARIABLE, POOL_VARIABLE, listening
from parsimony.flows.settings import LOCK_VARIABLE
from parsimony.tasks.registry.secrets import without_secrets

_PROCESS = "parsimony.flows.servers.process"
_FOLDER, _STATE, _LOCK = "servers", "addresses.json", "lock"
_START_S, _LOOK_S = 300.0, 0.2
_WORKS_S = 10.0
_BUSY_S = 90.0  # another `up` starts, or the runs of one that was killed end
_HEALTH = {"prefect": "/api/health", "mlflow": "/health"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of the two servers; 0 takes any that is free."""

    prefect: int = 4200
    mlflow: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the two servers are, and the process that started them."""

    prefect: str
    mlflow: str
    process: int

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use these servers."""
        return {"PREFECT_API_URL": f"{self.prefect}/api", "MLFLOW_TRACKING_URI": self.mlflow}


@dataclass(slots=True, kw_only=True)
class Children:
    """The processes that were started, by name, and the folder of their logs."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    def start(self, kind: str, port: int, environment: Mapping[str, str]) -> None:
        """Start one; its log is `KIND.log`."""
        with (self.folder / f"{kind}.log").open("ab") as log:
            self.processes[kind] = subprocess.Popen(
                [sys.executable, "-P", "-m", _PROCESS, kind, str(os.getpid()), str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log if kind in BESIDE else subprocess.PIPE,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def address(self, kind: str) -> str:
        """Return a server's address once it has bound its port."""
        stream = self.processes[kind].stdout
        port = b"" if stream is None else stream.readline().strip()
        if not port:
            raise self.ended(kind)
        return f"http://{HOST}:{port.decode()}"

    def wait(self, kind: str, address: str) -> None:
        """Wait until a server answers; InfrastructureError when it ends before."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self.processes[kind].poll() is None:
            with contextlib.suppress(OSError), direct.open(address + _HEALTH[kind], timeout=5):
                return
            time.sleep(_LOOK_S)
        raise self.ended(kind)

    def ended(self, kind: str) -> InfrastructureError:
        """Return the refusal of a child that ended or does not answer, with the last line of its log."""
        log = self.folder / f"{kind}.log"
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        return InfrastructureError(
            f"the {kind} process ended or does not answer: {without_secrets(said[-1].strip())[:200]}; the details are in {log}"
        )

    def watch(self, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        """Start worker and watcher, and wait until a server ends, which is an InfrastructureError; those two are started again, unless
        they end at once.
        """
        begun: dict[str, float] = {}
        while True:
            for kind in BESIDE:
                if kind in begun:
                    if self.processes[kind].poll() is None:
                        continue
                    if time.monotonic() - begun[kind] < _WORKS_S:
                        raise self.ended(kind)
                    tell(f"the {kind} ended and is started again; its log is {self.folder / f'{kind}.log'}")
                self.start(kind, 0, environment)
                begun[kind] = time.monotonic()
            if ended := [kind for kind in _HEALTH if self.processes[kind].poll() is not None]:
                raise self.ended(ended[0])
            time.sleep(_LOOK_S)

    def end(self) -> None:
        """End them and everything that they started: the worker first, whose runs are told and then killed."""
        import psutil

        for kind in reversed(self.processes):
            family: list[psutil.Process] = []
            with contextlib.suppress(psutil.Error):
                whole = psutil.Process(self.processes[kind].pid)
                family = [whole, *whole.children(recursive=True)]
            for signal in ("terminate", "kill"):
                for process in family:
                    with contextlib.suppress(psutil.Error):
                        getattr(process, signal)()
                psutil.wait_procs(family, timeout=1.0)
            self.processes[kind].wait()


@contextlib.contextmanager
def claimed(home: Path) -> Iterator[Addresses | None]:
    """Hold the right to start the servers of a home in this block; give the addresses of those that run already instead."""
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LOCK).touch()
    end = time.monotonic() + _BUSY_S
    while True:
        with held(folder / _LOCK) as hold:
            if hold != "theirs":
                try:
                    yield None
                finally:
                    (folder / _STATE).unlink(missing_ok=True)
                return
            running = _running(folder)
        if running is not None or time.monotonic() > end:
            break
        time.sleep(_LOOK_S)
    if running is None:
        raise InfrastructureError(f"another process starts or ends the servers of {home}; look again in a moment")
    yield running


def _running(folder: Path) -> Addresses | None:
    """Return the addresses that the process in charge has written down, None while it starts."""
    import psutil

    with contextlib.suppress(OSError, ValueError, TypeError):
        running = Addresses(**json.loads((folder / _STATE).read_text(encoding="utf-8")))
        return running if psutil.pid_exists(running.process) else None
    return None


@contextlib.contextmanager
def started(home: Path, ports: Ports, databases: Databases) -> Iterator[tuple[Children, Addresses]]:
    """Start both servers and give their addresses once they answer; all children end with the block."""
    for name, port in (("prefect", ports.prefect), ("mlflow", ports.mlflow)):
        _require_free(name, port)
    folder = home / _FOLDER
    children = Children(folder=folder, processes={})
    try:
        children.start("prefect", ports.prefect, _of_prefect(folder, databases))
        mlflow = {MLFLOW_VARIABLE: databases.mlflow, ARTIFACTS_VARIABLE: str(home / "mlflow" / "artifacts")}
        children.start("mlflow", ports.mlflow, mlflow)
        bound = {kind: children.address(kind) for kind in ("prefect", "mlflow")}
        for kind, address in bound.items():
            children.wait(kind, address)
        yield children, Addresses(**bound, process=os.getpid())
    finally:
        children.end()


def write_down(children: Children, addresses: Addresses) -> None:
    """Keep the addresses where a second `up` of the same home finds them."""
    write_json(children.folder / _STATE, asdict(addresses))


def of_worker(children: Children, addresses: Addresses, home: Path) -> dict[str, str]:
    """Return what worker and watcher need beside the environment of this process."""
    return {
        **addresses.environment,
        LOCK_VARIABLE: str(children.folder / _LOCK),
        POOL_VARIABLE: POOL,
        "PARSIMONY_HOME": str(home),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "PREFECT_HOME": str(children.folder / "prefect"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "parsimony",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
        "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "3"),
    }


def _of_prefect(folder: Path, databases: Databases) -> dict[str, str]:
    own = {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_UI_STATIC_DIRECTORY": str(folder / "prefect" / "ui"),
    }
    return own | ({"PREFECT_API_DATABASE_CONNECTION_URL": databases.prefect} if databases.prefect else {})


def _require_free(name: str, port: int) -> None:
    try:
        listening(port).close()
    except OSError as error:
        raise InfrastructureError(
            f"port {port} cannot be used for {name} ({error.strerror}): another program has it; end that one, or choose "
            f"another port with --{name}-port"
        ) from error
