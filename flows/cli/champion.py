"""`parsimony champion`: the model in production, and its bundle."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from parsimony.errors import PlanError
from parsimony.flows.champions import registry
from parsimony.flows.cli.shared import Verbs, say, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "show the model in production"
    parser = verb(verbs, champion, "champion", purpose, "champion support-tickets --download ./model")
    parser.add_argument("name", help="the registered model")
    parser.add_argument("--download", metavar="DIR", help="write its bundle into this folder, verified")
    takes_json(parser, "print it as JSON")


def champion(chosen: argparse.Namespace) -> int:
    """Print the champion, and download its bundle where that is asked for."""
    from parsimony.tasks.registry import promotion

    place = registry()
    present = promotion.champion(place, chosen.name)
    if present is None:
        raise PlanError(f"{chosen.name} has no champion; run a plan with model = {chosen.name!r} first")
    if chosen.download:
        present = promotion.fetch(place, chosen.name, Path(chosen.download))[0]
    say(present.notes)
    if chosen.json:
        print(json.dumps(asdict(present)))
        return 0
    from parsimony.reporting.formatting import size

    what = f"{present.candidate}, {size(present.size_bytes)}, since {present.at}"
    print(f"{present.model} version {present.version}: {what}")
    print(f"digest {present.digest}\n{present.reason}")
    if chosen.download:
        print(f"bundle in {chosen.download}")
    return 0
