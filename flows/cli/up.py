"""`parsimony up`: Prefect's server, MLflow's server, a worker and a watcher on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.flows import settings
from parsimony.flows.cli.deploy import deployed
from parsimony.flows.cli.shared import Verbs, say, takes_optional_plan, verb

if TYPE_CHECKING:
    from parsimony.flows.servers.up import Addresses

_PREFECT_PORT, _MLFLOW_PORT = 4200, 5000
_NAMED = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verb(verbs, up, "up", "start Prefect, MLflow and a worker on this machine, and deploy", "up plan.toml")
    takes_optional_plan(parser)
    parser.add_argument("--prefect-port", type=_port, default=_PREFECT_PORT, help=f"of Prefect ({_PREFECT_PORT})")
    parser.add_argument("--mlflow-port", type=_port, default=_MLFLOW_PORT, help=f"of MLflow ({_MLFLOW_PORT})")
    parser.add_argument(
        "--postgres", metavar="URL", help="keep both databases on this PostgreSQL server, postgresql://user@host:port"
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 0 (any free one) to 65535")
    return int(text)


def up(chosen: argparse.Namespace) -> int:
    """Start everything, print the two addresses, and stay until Ctrl-C; where it runs already, only say so."""
    ignored = [name for name in _NAMED if os.environ.pop(name, None)]
    # What is set for a temporary server of Prefect, which says nothing, is not for this one.
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{chosen.prefect_port}/api"
    home = settings.prepare().home
    from parsimony.flows.plan_file import load
    from parsimony.flows.servers import postgres
    from parsimony.flows.servers.up import Ports, claimed, of_worker, started, write_down

    plan = load(Path(chosen.plan), chosen.set) if chosen.plan else None
    with claimed(home) as running:
        if running is not None:
            _print(running, f"runs already (process {running.process}); Ctrl-C there ends it")
            return 0
        say(f"{name} is set, and not used here: these servers are started" for name in ignored)
        databases = postgres.on_server(chosen.postgres) if chosen.postgres else postgres.of_home(home)
        ports = Ports(prefect=chosen.prefect_port, mlflow=chosen.mlflow_port)
        with started(home, ports, databases) as (children, addresses):
            os.environ.update(addresses.environment)
            deployed(Path.cwd(), plan)
            write_down(children, addresses)
            _print(addresses, "is up; Ctrl-C ends it")
            children.watch(of_worker(children, addresses, home), lambda line: say([line]))
    return 0


def _print(addresses: Addresses, how: str) -> None:
    """Print where the servers are, and what to type in another terminal so that commands use them."""
    print(f"parsimony {how}\nPrefect  {addresses.prefect}\nMLflow   {addresses.mlflow}")
    for name, value in addresses.environment.items():
        print(f"         export {name}={value}")
    sys.stdout.flush()
