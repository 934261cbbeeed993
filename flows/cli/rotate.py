"""`parsimony rotate`: a new test split, drawn from all labelled rows."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parsimony.flows.cli.shared import Verbs, takes_plan, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "draw a new test split when the old one has answered too many questions"
    parser = verb(verbs, rotate, "rotate", purpose, "rotate plan.toml --out ./data")
    takes_plan(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="write train.csv and test.csv into this folder")
    parser.add_argument("--seed", type=int, help="of the draw (the plan's seed and one more)")


def rotate(chosen: argparse.Namespace) -> int:
    """Write the two files and print the command that uses them."""
    from parsimony.flows import rotation
    from parsimony.flows.plan_file import load

    plan = load(Path(chosen.plan), chosen.set)
    seed = chosen.seed if chosen.seed is not None else plan.run.seed + 1
    train, test = rotation.rotate(plan, Path(chosen.out), seed)
    print(f"parsimony run {chosen.plan} --set data.train={train.resolve()} --set data.test={test.resolve()}")
    print(
        "the champion and its predecessors were trained on some of the rows that are in the test split now: their first "
        "comparison flatters them",
        file=sys.stderr,
    )
    return 0
