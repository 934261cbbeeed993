"""`parsimony deploy`: work pool, queues, automations and deployments on a server of Prefect."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.errors import PlanError
from parsimony.flows import settings
from parsimony.flows.cli.shared import Verbs, takes_optional_plan, verb

if TYPE_CHECKING:
    from parsimony.flows.plan import Plan
    from parsimony.flows.servers.deployments import Deployed


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "set up work pool, limits, automations and deployments on the server that PREFECT_API_URL names"
    parser = verb(verbs, deploy, "deploy", purpose, "deploy plan.toml")
    takes_optional_plan(parser)


def deploy(chosen: argparse.Namespace) -> int:
    """Deploy, and print what there is and how a worker is started."""
    if not os.environ.get("PREFECT_API_URL"):
        raise PlanError(
            "PREFECT_API_URL names no server to deploy to; set it to one (http://host:4200/api), or let `parsimony up` start one here"
        )
    settings.prepare()
    from parsimony.flows.plan_file import load
    from parsimony.flows.servers.deployments import POOL

    done = deployed(None, load(Path(chosen.plan), chosen.set) if chosen.plan else None)
    print("\n".join([*done.deployments, *done.automations]))
    print(f"next     prefect worker start --pool {POOL}")
    return 0


def deployed(folder: Path | None, plan: Plan | None) -> Deployed:
    """Set everything up on the server that the environment names by now; Prefect reads it when it is imported."""
    import asyncio

    from parsimony.flows.servers.deployments import deploy as set_up

    return asyncio.run(set_up(folder, plan))
