"""`parsimony report`: where the report of a run lies."""

from __future__ import annotations

import argparse

from parsimony.flows.cli.shared import Verbs, run_folder, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verb(verbs, report, "report", "say where a run's report lies", "report latest")
    parser.add_argument("run", nargs="?", help="the run's id; without it the latest")
    takes_json(parser, "print the receipt instead")


def report(chosen: argparse.Namespace) -> int:
    """Print the path of the page, or the receipt."""
    folder = run_folder(chosen.run)
    print((folder / "receipt.json").read_text("utf-8").strip() if chosen.json else folder / "report.html")
    return 0
