"""One server as a process of its own, which ends with the process that started it: `python -m parsimony.flows.servers.process KIND PARENT PORT`."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from parsimony.measurement.parent import end_with_parent

HOST = "127.0.0.1"
BESIDE = ("worker", "watcher")  # what works for the servers, and is started again when it ends
# What `up` tells its children, who read nothing else of it.
POOL_VARIABLE, MLFLOW_VARIABLE, ARTIFACTS_VARIABLE = "PARSIMONY_POOL", "PARSIMONY_MLFLOW", "PARSIMONY_ARTIFACTS"


def listening(port: int) -> socket.socket:
    """Return a socket that is bound to a port of this machine alone; OSError when another program has it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


def _prefect(listener: socket.socket) -> None:
    """Serve Prefect, only for those that call it by a name of this machine: no page of another name reaches it."""
    port = listener.getsockname()[1]
    origins = f"http://{HOST}:{port},http://localhost:{port}"
    os.environ["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"] = origins
    os.environ["PREFECT_SERVER_UI_API_URL"] = os.environ["PREFECT_API_URL"] = f"http://{HOST}:{port}/api"
    os.environ["PREFECT_SERVER_API_HOST"], os.environ["PREFECT_SERVER_API_PORT"] = HOST, str(port)
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = TrustedHostMiddleware(create_app(), allowed_hosts=[HOST, "localhost"])
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


def _mlflow(listener: socket.socket) -> None:
    from parsimony.tasks.registry import server

    server.serve(listener, os.environ[MLFLOW_VARIABLE], Path(os.environ[ARTIFACTS_VARIABLE]))


def _worker() -> None:
    """Work for the pool until the process ends."""
    from prefect.utilities.processutils import setup_signal_handlers_worker
    from prefect.workers.process import ProcessWorker

    setup_signal_handlers_worker(os.getpid(), "the worker", print)
    worker = ProcessWorker(work_pool_name=os.environ[POOL_VARIABLE], name=f"{socket.gethostname()}-{os.getpid()}")
    asyncio.run(worker.start())


def _watcher() -> None:
    """Watch the registry until the process ends."""
    from parsimony.flows.watch import keep_watching

    keep_watching()


def main(kind: str, parent: int, port: int) -> None:
    """Be one of them; the port of a server is the first line of standard output once it is bound."""
    end_with_parent(parent)
    if kind in BESIDE:
        {"worker": _worker, "watcher": _watcher}[kind]()
        return
    with listening(port) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        {"prefect": _prefect, "mlflow": _mlflow}[kind](listener)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
