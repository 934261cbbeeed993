"""`parsimony audit`: a receipt recomputed from the evidence beside it."""

from __future__ import annotations

import argparse
import json

from parsimony.flows import settings
from parsimony.flows.cli.shared import Verbs, run_folder, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "recompute a receipt from the predictions kept beside it"
    parser = verb(verbs, audit, "audit", purpose, "audit latest")
    parser.add_argument("run", nargs="?", help="the run's id or the path of its receipt; without it the latest")
    takes_json(parser, "print the differences as JSON")


def audit(chosen: argparse.Namespace) -> int:
    """Print what does not follow from the evidence; 1 when there is any such thing."""
    from parsimony.audit import receipt

    home = settings.look().home
    folder = run_folder(chosen.run)
    differences = receipt.audit(folder, (home / "bundles", home / "champions"))
    holds = f"{folder.name}: every score, bound, verdict and size follows from the evidence"
    if chosen.json:
        print(json.dumps({"run": folder.name, "differences": list(differences)}))
    else:
        print("\n".join(differences) or holds)
    return 1 if differences else 0
