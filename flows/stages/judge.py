"""The judgement: champion, shortlist, measurement, certification, decision, publication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from parsimony.data.splits import Splits
from parsimony.decision import procedure
from parsimony.decision.procedure import RunFacts
from parsimony.decision.records import Cost, Decision
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry
from parsimony.files import digest_of
from parsimony.flows.session import Session
from parsimony.flows.stages import elsewhere
from parsimony.flows.stages.elsewhere import Question
from parsimony.tasks.build import evaluate
from parsimony.tasks.certify import Place
from parsimony.tasks.certify import certify as certify_task
from parsimony.tasks.champion import Place as Origin
from parsimony.tasks.champion import bring_champion, write_training_rows
from parsimony.tasks.lease import lease
from parsimony.tasks.measure import measure as measure_task
from parsimony.tasks.publish import Published
from parsimony.tasks.publish import publish as publish_task
from parsimony.tasks.registry.holds import standing
from parsimony.tasks.registry.ledger import record_question
from parsimony.tasks.registry.review import Terms


def join_champion(run: Session, splits: Splits, entries: list[Entry]) -> list[Entry]:
    """Bring the champion, which is judged on today's data beside the new candidates."""
    with run.stage("champion", run.plan.model):
        write_training_rows(splits, run.folder)
        place = Origin(registry=run.registry, home=run.home, folder=run.folder)
        joined = bring_champion(entries, run.plan.model, splits, place)
        return [
            evaluate(e, splits, run.here, run.home) if e.is_champion and e.predictions is None else e for e in joined
        ]


def shortlist(run: Session, splits: Splits, entries: Sequence[Entry]) -> Shortlist:
    """Choose, on the validation split alone, what the test split will be asked about, and in which order."""
    case = run.case(splits)
    return procedure.choose(case, procedure.compare(case, entries, splits.truth("validation")))


def measure(run: Session, splits: Splits, entries: Sequence[Entry], chosen: Shortlist) -> list[Entry]:
    """Measure the shortlist, the reference and the champion side by side on every target.

    They are compared with the champion, with the reference where there is none.
    """
    reference = run.case(splits).reference
    champions = [e.id for e in entries if e.is_champion and e.bundle is not None]
    names = list(dict.fromkeys((*chosen.order, reference, *champions)))
    baseline = champions[0] if champions else reference
    for target in run.targets:
        with run.stage("measure", f"{len(names)} candidates in turn on {target.name!r}"):
            if target.pool is None:
                entries = measure_task(entries, names, baseline, splits, target)
            else:
                entries = elsewhere.measure(run, splits, entries, Question(names=names, baseline=baseline), target)
    return list(entries)


def fitting(run: Session, splits: Splits, entries: Sequence[Entry], chosen: Shortlist) -> Shortlist:
    """Take out of the order what fails a target's limits."""
    return procedure.fitting(run.case(splits), entries, chosen)


def certify(run: Session, splits: Splits, entries: Sequence[Entry], chosen: Shortlist) -> list[Entry]:
    """Ask the test split in the fixed order, at the shared level; the question is written down before."""
    reference, dataset = run.case(splits).reference, splits.dataset
    digests = {e.id: e.bundle.digest for e in entries if e.bundle}
    asked_for = asdict(replace(run.rules.gates, approval="none")), run.plan.data.slices
    question = digest_of([digests[name] for name in chosen.order], chosen.shares, digests[reference], *asked_for)
    run.test_reuse = record_question(run.registry, dataset.test_digest, question, model=run.plan.model, run_id=run.id)
    place = Place(
        target=run.here,
        folder=run.folder,
        home=run.home,
        predicting=procedure.predicting(run.targets),
        elsewhere={name: result.predictions for name, result in run.results.items()},
    )
    with run.stage("certify", f"up to {len(chosen.order)} candidates share the level"):
        return certify_task(entries, chosen, reference, splits, run.rules, place)


def decide(run: Session, splits: Splits, entries: Sequence[Entry], chosen: Shortlist) -> Decision:
    """Give every candidate its final word and name the winner, unless a person has stopped or withdrawn it."""
    run.standing = standing(run.registry, run.plan.model)
    case = run.case(splits)
    comparisons = procedure.compare(case, entries, splits.truth("validation"))
    ruling = procedure.conclude(case, entries, chosen, comparisons)
    facts = RunFacts(
        model=run.plan.model,
        run_id=run.id,
        started_at=run.started_at,
        seed=run.rules.seed,
        test_reuse=run.test_reuse,
        cost=_cost(run),
    )
    return procedure.decision_of(case, ruling, splits.dataset, facts)


def _cost(run: Session) -> Cost:
    run.energy.read()
    return Cost(
        wall_s=run.elapsed_s,
        stages=tuple(run.stage_s.items()),
        energy_wh=run.energy.energy_wh,
        energy_source=run.energy.energy_source,
        carbon_g=run.energy.carbon_g,
        carbon_source=run.energy.carbon_source,
    )


def publish(run: Session, decision: Decision) -> Published:
    """Write the evidence down and promote the winner, last of all."""
    with run.stage("publish", decision.outcome), lease(run.registry, decision.model):
        gates = run.plan.gates
        terms = Terms(hours=gates.approval_hours, on_timeout=gates.on_timeout)
        return publish_task(decision, run.registry, run.folder, terms)
