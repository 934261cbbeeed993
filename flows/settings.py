"""Where things are kept and which servers are used. The only place that reads the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from parsimony.errors import InfrastructureError

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
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The folder for everything that is kept, and the address of MLflow."""

    home: Path
    tracking_uri: str

    @property
    def artifact_root(self) -> str | None:
        """Where artifacts go when MLflow is a database; a server decides by itself."""
        return None if self.tracking_uri.startswith("http") else str(self.home / "mlflow" / "artifacts")


def prepare(environment: MutableMapping[str, str] = os.environ) -> Settings:
    """Read the environment, give the libraries their defaults, and make the folder.

    Call it before Prefect or MLflow are imported: both read the environment when they are.
    Raises InfrastructureError when the folder cannot be written.
    """
    home = Path(environment.get("PARSIMONY_HOME") or ".parsimony").expanduser().resolve()
    _make_writable(home)
    for name, value in _DEFAULTS.items():
        environment.setdefault(name, value)
    if not environment.get("PREFECT_API_URL"):
        # Prefect's own temporary server belongs to this folder, and its log to nobody.
        environment.setdefault("PREFECT_HOME", str(home / "prefect"))
        environment.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
        environment.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
        environment.setdefault("PREFECT_LOGGING_SERVER_LEVEL", "CRITICAL")
    else:
        environment.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "parsimony")
    database = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    return Settings(home=home, tracking_uri=environment.get("MLFLOW_TRACKING_URI") or database)


def _make_writable(home: Path) -> None:
    try:
        (home / "mlflow").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise InfrastructureError(
            f"PARSIMONY_HOME {home} cannot be written ({error.strerror}); set PARSIMONY_HOME to a folder that can"
        ) from error
