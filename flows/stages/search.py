"""The search: the ladder, and the students that are trained to climb it. Policy lives in `parsimony.search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from parsimony.candidates import Candidate, ModelSpec
from parsimony.data.splits import Splits
from parsimony.decision import procedure
from parsimony.decision.records import NO_SHIFT, Shift
from parsimony.decision.verdicts import Entry
from parsimony.flows.plan import Plan
from parsimony.flows.session import Session
from parsimony.flows.stages.train import train
from parsimony.search import bisection
from parsimony.search.bisection import Budget, Climb
from parsimony.search.ladder import LadderSettings, SizedCandidate, ladder_of, students_of
from parsimony.tasks import build as tasks
from parsimony.tasks.registry.searches import begin_candidates
from parsimony.training.checkpoint_store import Checkpoint
from parsimony.training.families import FAMILIES

Entries = dict[Candidate, Entry]


def ladder_settings(plan: Plan, splits: Splits) -> LadderSettings:
    """Return what the ladder of a plan follows from on this data."""
    return LadderSettings(
        bases=plan.bases.names,
        families=plan.search.families,
        max_tokens=plan.data.max_tokens,
        texts=splits.read_by_students,
        labelled=splits.texts("train"),
        labels=splits.dataset.labels,
    )


def ladder(run: Session, splits: Splits, reference: ModelSpec) -> tuple[SizedCandidate, ...]:
    """List every candidate with its predicted size, the smallest first."""
    candidates = ladder_of(ladder_settings(run.plan, splits), reference)
    run.forecast.candidates(sum(not bisection.between(one.candidate) for one in candidates))
    begin_candidates(run.registry, run.search, [one.candidate.id for one in candidates])
    return candidates


def climb(
    run: Session, splits: Splits, candidates: Sequence[SizedCandidate], done: Sequence[Checkpoint]
) -> list[Entry]:
    """Build and evaluate every candidate of what is trained; train students, one by one, while that pays.

    Which student comes next follows from the predictions so far (`search.bisection`).
    """
    entries = {one.candidate: Entry(candidate=one.candidate, predicted_bytes=one.predicted_bytes) for one in candidates}
    reference = done[-1]
    for spec in dict.fromkeys(c.spec for c in entries):
        if (bag := FAMILIES[spec.family].bag) is None:
            continue
        with run.stage("train", spec.id):
            done = (*done, train(run, spec, reference if bag.starts_from == "reference" else None, splits))
    _derive(run, splits, entries, reference)
    run.shift = _shift(run, splits, tuple(entries.values()))
    for checkpoint in done:
        if checkpoint != reference:
            _derive(run, splits, entries, checkpoint)
    sizes = {one.candidate: one.predicted_bytes for one in candidates}
    reasons, checkpoints = _students(
        run, splits, entries, Climb(students=students_of(candidates), sizes=sizes), reference
    )
    others = _vocabularies(run, splits, entries, sizes, {c.spec: c for c in (*done, *checkpoints)})
    reasons_by_candidate = {c: reasons[c.spec] for c in entries if c.spec in reasons} | others
    return [
        replace(e, obstacle=reasons_by_candidate[c]) if c in reasons_by_candidate else e for c, e in entries.items()
    ]


def _vocabularies(
    run: Session,
    splits: Splits,
    entries: Entries,
    sizes: Mapping[Candidate, int],
    checkpoints: Mapping[ModelSpec, Checkpoint],
) -> dict[Candidate, str]:
    """Build vocabularies between the trimmed and the whole one while that pays and return why each other one was not."""
    while True:
        chances = _chances(run, splits, entries)
        candidate = bisection.next_between(sizes, chances)
        if candidate is None:
            return bisection.not_between(sizes, chances)
        _try(run, splits, entries, candidate, checkpoints[candidate.spec])
        if entries[candidate].predictions is None:  # it cannot be built, and would be asked for again
            sizes = {c: size for c, size in sizes.items() if c != candidate}


def _students(
    run: Session, splits: Splits, entries: Entries, state: Climb, reference: Checkpoint
) -> tuple[dict[ModelSpec, str], list[Checkpoint]]:
    """Train students until none is in question and return why each other one was not, and those trained; `entries` is filled in."""
    checkpoints: list[Checkpoint] = []
    while True:
        chances = _chances(run, splits, entries)
        if state.trained:
            run.say("search", bisection.progress(state, chances))
        step = bisection.next_step(state, chances, _budget(run, splits))
        run.forecast.students(step.in_question, splits.dataset, run.plan)
        if step.student is None:
            return bisection.reasons(step.climb, chances), checkpoints
        with run.stage("train", step.student.id):
            checkpoint = train(run, step.student, reference, splits)
        checkpoints.append(checkpoint)
        state = replace(step.climb, trained=(*step.climb.trained, step.student))
        _derive(run, splits, entries, checkpoint)


def _budget(run: Session, splits: Splits) -> Budget:
    """Return the time that is left for training, of what the plan allows."""
    minutes = run.plan.search.budget_minutes
    return Budget(
        minutes=minutes,
        left_s=minutes * 60 - run.elapsed_s - run.forecast.end_s(),
        cost_s=lambda student: run.forecast.cost_s(student, splits.dataset, run.plan),
    )


def _derive(run: Session, splits: Splits, entries: Entries, checkpoint: Checkpoint) -> None:
    """Build and evaluate every candidate of a checkpoint; `entries` is filled in."""
    for candidate in [c for c in entries if c.spec == checkpoint.spec and not bisection.between(c)]:
        _try(run, splits, entries, candidate, checkpoint)


def _try(run: Session, splits: Splits, entries: Entries, candidate: Candidate, checkpoint: Checkpoint) -> None:
    """Build and evaluate one candidate; `entries` is filled in."""
    with run.stage("build", candidate.id):
        entry = tasks.build(entries[candidate], checkpoint, splits, run.plan.data.windows, run.home, run.build)
    with run.stage("evaluate", candidate.id):
        entries[candidate] = tasks.evaluate(entry, splits, run.here, run.home)
    run.forecast.built(run.stage_s["evaluate"])


def _shift(run: Session, splits: Splits, entries: Sequence[Entry]) -> Shift:
    """Return how the texts of a given test file differ; rows that were cut from train are like the others."""
    reference = next(entry for entry in entries if entry.id == run.forecast.reference)
    if run.plan.data.test is None or reference.bundle is None:
        return NO_SHIFT
    with run.stage("evaluate", "the test texts, without their labels"):
        return tasks.shift(reference.bundle, splits, run.here)


def _chances(run: Session, splits: Splits, entries: Entries) -> dict[Candidate, float]:
    """Return the chance to be certified of every candidate whose predictions are known."""
    case = run.case(splits)
    comparisons = procedure.compare(case, tuple(entries.values()), splits.truth("validation"))
    return bisection.certification_chances(entries, comparisons, case.question)
