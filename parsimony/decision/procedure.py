"""The decision procedure, once: the flow, the audit and the simulation call it.

Candidates are compared with the reference on the validation split, the shortlist is chosen from that alone, what fails a
target's limits is taken out, the test split is asked in that order at the shared level, and the smallest candidate that passes every gate
is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from parsimony.data.slicing import rows_of
from parsimony.data.splits import Splits
from parsimony.data.table import Dataset
from parsimony.decision import certification, verdicts, winner
from parsimony.decision.certification import Tests
from parsimony.decision.chances import Comparison, Question, chances
from parsimony.decision.records import (
    NO_SHIFT,
    NOTHING_SAID,
    Cost,
    Decision,
    GateSettings,
    Judged,
    Outcome,
    PlannedTest,
    Shift,
    Standing,
    TestSet,
)
from parsimony.decision.sharing import TENTHS
from parsimony.decision.shortlist import Shortlist, shortlist
from parsimony.decision.verdicts import Entry
from parsimony.measurement.records import TargetSettings

# How a shortlist follows from the validation split.
Choice = Callable[[Sequence[Comparison], Question], Shortlist]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a decision is about: the reference's id, the promises, the targets, how many test rows decide, how its
    texts differ from those of the validation split, and what a person has said about promotions before."""

    reference: str
    gates: GateSettings
    targets: tuple[TargetSettings, ...]
    test_rows: int
    shift: Shift = NO_SHIFT
    standing: Standing = NOTHING_SAID

    @property
    def question(self) -> Question:
        """What the test split will be asked."""
        return Question(rows=self.test_rows, gates=self.gates, shift=self.shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Every candidate's final word, the tests that were planned, and what follows from them."""

    judged: tuple[Judged, ...]
    tests: tuple[PlannedTest, ...]
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


def predicting(targets: Sequence[TargetSettings]) -> tuple[str, ...]:
    """Return where test texts are predicted: "" for the machine that trains, and every target elsewhere that gave a result.

    The machine that trains has no say where every target lies elsewhere, unless none gave a result.
    """
    elsewhere = tuple(target.name for target in targets if target.pool is not None and not target.missing)
    here = any(target.pool is None for target in targets) or not elsewhere
    return ("", *elsewhere) if here else elsewhere


def compare(case: Case, entries: Sequence[Entry], truth: np.ndarray) -> tuple[Comparison, ...]:
    """Compare every candidate that has predictions with the reference; truth: class numbers of the validation rows."""
    reference = next(entry for entry in entries if entry.id == case.reference)
    return tuple(verdicts.compare(e, reference, truth, case.gates) for e in entries if e.predictions is not None)


def choose(case: Case, comparisons: Sequence[Comparison]) -> Shortlist:
    """Choose, on the validation split alone, what the test split will be asked about, and in which order."""
    return shortlist(comparisons, case.question)


def fitting(case: Case, entries: Sequence[Entry], chosen: Shortlist) -> Shortlist:
    """Take out of the order what fails a target's limits: it cannot win, so no test is spent on it."""
    return verdicts.fitting(entries, chosen, case.targets)


def certify(entries: Sequence[Entry], chosen: Shortlist, tests: Tests) -> list[Entry]:
    """Ask the test split in the fixed order, each candidate at its part of the level."""
    return certification.certify(entries, chosen, tests)


def conclude(case: Case, entries: Sequence[Entry], chosen: Shortlist, comparisons: Sequence[Comparison]) -> Ruling:
    """Give every candidate its final word and name the winner."""
    left_out = dict(chosen.left_out)
    judged = tuple(verdicts.verdict(e, case.targets, case.gates, left_out, case.reference) for e in entries)
    outcome, name, reason = winner.decide(judged, case.standing)
    if outcome == "promoted" and case.gates.approval != "none":
        outcome = "waiting"
    return Ruling(
        judged=judged,
        tests=planned(case, chosen, comparisons),
        outcome=outcome,
        winner=name,
        reason=reason,
        smallest_certifiable_margin=verdicts.certifiable_margin(comparisons, case.test_rows, case.gates),
    )


def planned(case: Case, chosen: Shortlist, comparisons: Sequence[Comparison]) -> tuple[PlannedTest, ...]:
    """Return the tests as they were planned: each candidate's share of the level, and its chance at the whole level."""
    known = chances(comparisons, case.question)
    shares = chosen.shares or (0,) * len(chosen.order)
    return tuple(
        PlannedTest(candidate=name, share=share / TENTHS, chance=known[name])
        for name, share in zip(chosen.order, shares, strict=True)
        if name != case.reference and name in known  # what broke on the test split has no comparison any more
    )


def decide(
    case: Case, entries: Sequence[Entry], comparisons: Sequence[Comparison], tests: Tests, choice: Choice = shortlist
) -> Ruling:
    """Go the whole way from measured candidates to the winner; an earlier `choice` serves to audit what it decided."""
    chosen = fitting(case, entries, choice(comparisons, case.question))
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
        tests=ruling.tests,
        shift=case.shift,
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
