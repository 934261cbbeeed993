"""`parsimony plan`: the ladder of a plan with predicted sizes, before any of it is trained."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.flows import settings
from parsimony.flows.cli.shared import Verbs, takes_json, takes_plan, verb

if TYPE_CHECKING:
    from parsimony.flows.outlook import Outlook


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verb(verbs, plan, "plan", "show the ladder of a plan, before any of it runs", "plan plan.toml")
    takes_plan(parser)
    takes_json(parser, "print it as JSON")


def plan(chosen: argparse.Namespace) -> int:
    """Print every candidate with its predicted size, and about how long training takes here."""
    settings.prepare()
    from parsimony.flows.display import print_table
    from parsimony.flows.outlook import outlook
    from parsimony.flows.plan_file import load

    asked = load(Path(chosen.plan), chosen.set)
    expected = outlook(asked)
    if chosen.json:
        print(json.dumps(_as_json(expected)))
        return 0
    print_table(_table(expected))
    print(f"\n{_summary(expected, asked.search.budget_minutes)}")
    return 0


def _as_json(expected: Outlook) -> dict[str, object]:
    seconds = dict(expected.student_s)
    candidates = [
        {
            "candidate": sized.candidate.id,
            "predicted_bytes": sized.predicted_bytes,
            "train_s": seconds.get(sized.candidate.spec),
        }
        for sized in expected.candidates
    ]
    return {"candidates": candidates, "finetune_s": expected.finetune_s, "reference": expected.reference}


def _table(expected: Outlook) -> list[tuple[str, ...]]:
    """Return the header and one row a candidate, smallest first."""
    from parsimony.reporting import formatting

    seconds = dict(expected.student_s)
    whole = next(s.predicted_bytes for s in expected.candidates if s.candidate.id == expected.reference)
    rows = [
        (
            sized.candidate.id,
            formatting.size(sized.predicted_bytes),
            formatting.times(whole / sized.predicted_bytes),
            formatting.duration(seconds[sized.candidate.spec]) if sized.candidate.spec in seconds else "",
        )
        for sized in expected.candidates
    ]
    return [("candidate", "predicted size", "× smaller", "training"), *rows]


def _summary(expected: Outlook, budget_minutes: float) -> str:
    """Return two lines: how many rows each split has, and about how long training takes."""
    from parsimony.reporting.formatting import duration

    dataset, students = expected.dataset, len(expected.student_s)
    return (
        f"{dataset.train_rows:,} rows to train on, {dataset.validation_rows:,} to choose on, {dataset.test_rows:,} to certify on\n"
        f"fine-tuning the reference takes about {duration(expected.finetune_s)}; of {students} students about "
        f"{max(1, students).bit_length()} are trained, chosen by bisection, while the budget of "
        f"{budget_minutes:g} minutes lasts"
    )
