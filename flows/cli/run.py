"""`parsimony run`: validate, train, shrink, judge, promote."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, cast

from parsimony.flows import settings
from parsimony.flows.cli.shared import Verbs, takes_json, takes_plan, verb

if TYPE_CHECKING:
    from parsimony.decision.records import Decision
    from parsimony.flows.stages.review import Reviewed
    from parsimony.tasks.publish import Published


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "run a plan: validate, train, shrink, judge, promote"
    parser = verb(verbs, run, "run", purpose, "run plan.toml --set gates.margin=0.02")
    takes_plan(parser)
    parser.add_argument("--all", action="store_true", help="print the whole ladder, not only its most telling rows")
    takes_json(parser, "print the receipt as one line of JSON")


def run(chosen: argparse.Namespace) -> int:
    """Run a plan and print what was decided; 1 when nothing passed."""
    where = settings.prepare()
    from parsimony.flows.display import following
    from parsimony.flows.engine import serving
    from parsimony.flows.plan_file import load
    from parsimony.flows.preflight import preflight

    plan = load(Path(chosen.plan), chosen.set)
    preflight(plan)
    with following(), serving(where):
        from parsimony.flows.promote_smallest import promote_smallest
        from parsimony.tasks.publish import Published

        published = cast("Published | Reviewed", promote_smallest(plan))  # Prefect gives the result of the state
        if not isinstance(published, Published):  # a run that a deployment started, and a person let go on
            print(published.told)
            return 0
    if chosen.json:
        from parsimony.reporting.receipt import dumps

        print(dumps(published.receipt))
    else:
        _print_table(published, chosen)
        _print_decision(published, chosen)
    return 1 if published.decision.outcome == "none" else 0


def _print_table(published: Published, chosen: argparse.Namespace) -> None:
    """Print the most telling rows of the ladder, or all of them, and what was left out."""
    from parsimony import reporting
    from parsimony.flows.display import print_table

    decision = published.decision
    print_table(reporting.ladder_table(decision) if chosen.all else reporting.table(decision))
    if not chosen.all and (line := reporting.left_out(decision)):
        print(line)
    if line := reporting.unsteady(decision):
        print(line)


def _print_decision(published: Published, chosen: argparse.Namespace) -> None:
    """Print the decision in words, where the report lies, and what to type next."""
    from parsimony import reporting

    decision, folder = published.decision, published.folder
    print(f"\n{reporting.sentence(decision)}\n")
    print(f"report   {folder / 'report.html'}\nreceipt  {folder / 'receipt.json'}")
    model = decision.model
    if decision.outcome == "none":
        _print_remedies(decision, chosen)
        return
    if decision.outcome == "waiting":
        print(f"next     parsimony review {model}")
        return
    print(f'next     parsimony predict {model} "a text of your own"')
    print(f"         parsimony champion {model} --download ./{model}")
    print(f"         parsimony history {model}")


def _print_remedies(decision: Decision, chosen: argparse.Namespace) -> None:
    """Print what to type for each thing that stopped the candidate that came nearest."""
    from parsimony import reporting

    again = shlex.join(("parsimony", "run", chosen.plan))
    lines = [
        f"{again}{f' --set {remedy.key}=...' if remedy.key else ''}   ({remedy.words})"
        for remedy in reporting.remedies(decision)
    ]
    print("next     " + "\n         ".join(lines or [f"{again}   (the report says why each candidate was not built)"]))
