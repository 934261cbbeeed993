"""Where things are kept and which servers are used. The only place that reads the environment."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.errors import InfrastructureError
from parsimony.files import home as home_in
from parsimony.tasks.registry import database
from parsimony.tasks.registry.log_masking import mask_logs
from parsimony.tasks.store import VARIABLE as STORE
from parsimony.tasks.store import Store

if TYPE_CHECKING:
    from parsimony.tasks.registry.tracking import Registry

# Defaults for the libraries: no telemetry, no progress bars in logs, nothing executed from a registry, quick to fail.
_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_ALLOW_HTTP_REDIRECTS": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
# What is on this machine is never reached through a proxy. Some libraries read the one variable, some the other.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_PROXY = ("NO_PROXY", "no_proxy")
# The file that `parsimony up` holds as long as it runs; its worker and their runs end with it.
LOCK_VARIABLE = "PARSIMONY_UP_LOCK"
SERVING_TOKEN, SERVING_HOST = "PARSIMONY_SERVE_TOKEN", "PARSIMONY_SERVE_HOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The folder for everything that is kept, whether it can be written, and the address of MLflow.

    `prefect_home` is the folder of Prefect's temporary server; None where a server of Prefect is named. `store_address` is "" where
    the environment names no store.
    """

    home: Path
    tracking_uri: str
    writable: bool = True
    prefect_home: Path | None = None
    store_address: str = ""

    @property
    def artifact_root(self) -> str | None:
        """Where artifacts go when MLflow is a database; a server decides by itself."""
        return None if self.tracking_uri.startswith("http") else str(self.home / "mlflow" / "artifacts")

    @property
    def store(self) -> Store:
        """The store that the environment names; a folder of this home where it names none."""
        return Store(address=self.store_address or str(self.home / "store"), cache=self.home / "fetched")

    @property
    def registry(self) -> Registry:
        """The registry that the environment names."""
        from parsimony.tasks.registry.tracking import Registry

        return Registry(tracking_uri=self.tracking_uri, artifact_root=self.artifact_root)


def prepare(environment: MutableMapping[str, str] = os.environ) -> Settings:
    """Read the environment, give the libraries their defaults, and make the folder.

    Call it before Prefect or MLflow are imported: both read the environment when they are.
    Raises InfrastructureError when the folder cannot be written.
    """
    home = _home(environment)
    _make_writable(home)
    _set_defaults(environment, home)
    return Settings(
        home=home,
        tracking_uri=environment.get("MLFLOW_TRACKING_URI") or database.address_of(_file(home)),
        prefect_home=None if environment.get("PREFECT_API_URL") else home / "prefect",
        store_address=environment.get(STORE, ""),
    )


def look(environment: MutableMapping[str, str] = os.environ) -> Settings:
    """Do what `prepare` does, for one who only reads: a folder that is there and cannot be written is used as it is."""
    home = _home(environment)
    try:
        return prepare(environment)
    except InfrastructureError:
        if not os.access(home, os.R_OK | os.X_OK):
            raise
    _set_defaults(environment, home)
    address = environment.get("MLFLOW_TRACKING_URI")
    if not address and not os.access(_file(home), os.R_OK):
        raise InfrastructureError(
            f"PARSIMONY_HOME {home} holds no {_file(home).name} that can be read, and cannot be written"
        )
    return Settings(home=home, tracking_uri=address or database.read_only_address_of(_file(home)), writable=False)


def up_lock(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that the `parsimony up` which started this process holds; None when none did."""
    path = environment.get(LOCK_VARIABLE)
    return Path(path) if path else None


def serving_token(environment: MutableMapping[str, str] = os.environ) -> str:
    """Return the token that clients of a server must send; "" where none is set."""
    return environment.get(SERVING_TOKEN, "").strip()


def serving_host(environment: MutableMapping[str, str] = os.environ) -> str:
    """Return the address on which a server listens; this machine only where none is set."""
    return environment.get(SERVING_HOST, "").strip() or "127.0.0.1"


def _home(environment: MutableMapping[str, str]) -> Path:
    return home_in(environment)


def _file(home: Path) -> Path:
    return home / "mlflow" / "mlflow.db"


def _set_defaults(environment: MutableMapping[str, str], home: Path) -> None:
    mask_logs()  # before any library logs an address
    for name, value in _DEFAULTS.items():
        environment.setdefault(name, value)
    known = {name: environment[name] for name in _NO_PROXY if name in environment}
    for name in _NO_PROXY:
        # A library that reads one of the two does not look at the other: what only one of them says holds for both.
        environment[name] = _with_loopback(known.get(name, next(iter(known.values()), "")))
    if not environment.get("PREFECT_API_URL"):
        # Prefect's own temporary server belongs to this folder, and its log to nobody.
        environment.setdefault("PREFECT_HOME", str(home / "prefect"))
        if "?" in str(home):
            address = database.address_of(home / "prefect" / "prefect.db").replace("+pysqlite", "+aiosqlite")
            environment.setdefault("PREFECT_API_DATABASE_CONNECTION_URL", address)
        environment.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
        environment.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
        environment.setdefault("PREFECT_LOGGING_SERVER_LEVEL", "CRITICAL")
    else:
        # The server keeps the flow's log, with the traceback of what failed; a terminal shows progress and one line.
        environment.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "parsimony")
        environment.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def _with_loopback(hosts: str) -> str:
    """Return a list of hosts that no proxy is used for, with this machine's own; `*` holds for all, and only alone."""
    listed = [host.strip() for host in hosts.split(",") if host.strip()]
    return "*" if listed == ["*"] else ",".join(dict.fromkeys((*listed, *LOOPBACK)))


def _make_writable(home: Path) -> None:
    try:
        (home / "mlflow").mkdir(parents=True, exist_ok=True)
        for folder in (home, home / "mlflow"):
            with tempfile.TemporaryFile(dir=folder):
                pass
        if _file(home).exists() and not os.access(_file(home), os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InfrastructureError(
            f"PARSIMONY_HOME {home} cannot be written ({error.strerror}); set PARSIMONY_HOME to a folder that can"
        ) from error
