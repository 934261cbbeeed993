"""MLflow's server in this process: no jobs, one process, and only for those that call it by a name of this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from parsimony.tasks.registry import database


def serve(listener: socket.socket, address: str, artifacts: Path) -> None:
    """Serve a database on a socket until the process ends; clients of this machine write artifacts below `artifacts` themselves.

    `mlflow server` does the same in processes of its own, which outlive it when it is killed.
    """
    port = listener.getsockname()[1]
    os.environ.update(
        {
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{port},localhost:{port}",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
    )
    import uvicorn
    from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR
    from mlflow.server.handlers import initialize_backend_stores

    database.create(address)
    os.environ.update(
        {
            BACKEND_STORE_URI_ENV_VAR: address,
            REGISTRY_STORE_URI_ENV_VAR: address,
            ARTIFACT_ROOT_ENV_VAR: str(artifacts),
        }
    )
    initialize_backend_stores(address, address, str(artifacts))
    config = uvicorn.Config("mlflow.server.fastapi_app:app", log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])
