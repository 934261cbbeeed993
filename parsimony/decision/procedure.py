"""The decision procedure, once: the flow, the audit and the simulation call it.

Candidates are compared with the reference on the validation split, the shortlist is chosen from that alone, what fails a
target's limits is taken out, the test split is asked in the fixed order, and the smallest candidate that passes every gate
is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parsimony.data.slicing import rows_of
from parsimony.data.splits import Splits
from parsimony.data.table import Dataset
from parsimony.decision import certification, verdicts, winner
from parsimony.decision.certification import Tests
from parsimony.decision.records import (
    NOTHING_SAID,
    Cost,
    Decision,
    GateSettings,
    Judged,
    Outcome,
    Standing,
    TestSet,
)
from parsimony.decision.shortlist import Comparison, Shortlist, shortlist
from parsimony.decision.verdicts import Entry
from parsimony.measurement.records import TargetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a decision is about: the reference's id, the promises, the targets, how many test rows decide, and what a person
    has said about promotions before."""

    reference: str
    gates: GateSettings
    targets: tuple[TargetSettings, ...]
    test_rows: int
    standing: Standing = NOTHING_SAID


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Every candidate's final word, and what follows from them."""

    judged: tuple[Judged, ...]
    outcome: Outcome
    winner: str | None
    reason: str
    smallest_certifiable_margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run says of itself beside its ruling."""

    model: str
    run_id: str
    started_at: str
    seed: int
    test_reuse: int
    cost: Cost


def test_set(splits: Splits) -> TestSet:
    """Return what the test split knows: truth, classes (one more than labels, for what is none of them), the rows of every slice."""
    return TestSet(
        truth=splits.truth("test"), classes=len(splits.dataset.labels) + 1, slices=rows_of(splits.tables["test"])
    )


def compare(case: Case, entries: Sequence[Entry], truth: np.ndarray) -> tuple[Comparison, ...]:
    """Compare every candidate that has predictions with the reference; truth: class numbers of the validation rows."""
    reference = next(entry for entry in entries if entry.id == case.reference)
    return tuple(verdicts.compare(e, reference, truth, case.gates) for e in entries if e.predictions is not None)


def choose(case: Case, comparisons: Sequence[Comparison]) -> Shortlist:
    """Choose, on the validation split alone, what the test split will be asked about, and in which order."""
    return shortlist(comparisons, case.test_rows, case.gates)


def fitting(case: Case, entries: Sequence[Entry], chosen: Shortlist) -> Shortlist:
    """Take out of the order what fails a target's limits: it cannot win, so no test is spent on it."""
    return verdicts.fitting(entries, chosen, case.targets)


def certify(entries: Sequence[Entry], chosen: Shortlist, tests: Tests) -> list[Entry]:
    """Ask the test split in the fixed order, and no further than the first candidate that does not pass."""
    return certification.certify(entries, chosen.order, tests)


def conclude(case: Case, entries: Sequence[Entry], chosen: Shortlist, comparisons: Sequence[Comparison]) -> Ruling:
    """Give every candidate its final word and name the winner."""
    left_out = dict(chosen.left_out)
    judged = tuple(verdicts.verdict(e, case.targets, case.gates, left_out, case.reference) for e in entries)
    outcome, name, reason = winner.decide(judged, case.standing)
    if outcome == "promoted" and case.gates.approval != "none":
        outcome = "waiting"
    return Ruling(
        judged=judged,
        outcome=outcome,
        winner=name,
        reason=reason,
        smallest_certifiable_margin=verdicts.certifiable_margin(comparisons, case.test_rows, case.gates),
    )


def decide(case: Case, entries: Sequence[Entry], comparisons: Sequence[Comparison], tests: Tests) -> Ruling:
    """Go the whole way from measured candidates to the winner."""
    chosen = fitting(case, entries, choose(case, comparisons))
    return conclude(case, certify(entries, chosen, tests), chosen, comparisons)


def decision_of(case: Case, ruling: Ruling, dataset: Dataset, facts: RunFacts) -> Decision:
    """Put a ruling, what it was about and what the run says of itself together."""
    return Decision(
        outcome=ruling.outcome,
        reason=ruling.reason,
        model=facts.model,
        winner=ruling.winner,
        reference=case.reference,
        judged=ruling.judged,
        gates=case.gates,
        targets=case.targets,
        dataset=dataset,
        smallest_certifiable_margin=ruling.smallest_certifiable_margin,
        cost=facts.cost,
        test_reuse=facts.test_reuse,
        seed=facts.seed,
        started_at=facts.started_at,
        run_id=facts.run_id,
        standing=case.standing,
    )
