"""`parsimony watch`: aliases follow their journals and reviews are acted on, by one process that stays."""

from __future__ import annotations

import argparse
import os

from parsimony.errors import PlanError
from parsimony.flows import settings
from parsimony.flows.cli.shared import Verbs, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    verb(verbs, watch, "watch", "heal aliases and act on reviews within a minute, until Ctrl-C", "watch")


def watch(_chosen: argparse.Namespace) -> int:
    """Watch every model of the registry until the process is ended."""
    if not os.environ.get("PREFECT_API_URL"):
        raise PlanError(
            "PREFECT_API_URL names no server to tell; set it to one (http://host:4200/api); `parsimony up` watches by itself"
        )
    settings.prepare()
    from parsimony.flows.watch import keep_watching

    keep_watching()
    return 0
