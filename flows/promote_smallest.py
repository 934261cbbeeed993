"""The flow: from labelled texts to the smallest model in production that provably keeps the quality."""

from __future__ import annotations

from prefect import flow

from parsimony.flows.plan import Plan
from parsimony.flows.session import session
from parsimony.flows.stages import data, judge, review, search, train
from parsimony.flows.stages.review import Reviewed
from parsimony.tasks.publish import Published


@flow(name="promote-smallest", flow_run_name="{plan.model}")
def promote_smallest(plan: Plan) -> Published | Reviewed:
    """Find the smallest model that keeps the quality, and put exactly that one into production.

    Returns the decision with its receipt; of a winner that waited for a person, what became of it. Raises PlanError, DataError or InfrastructureError; "nothing passed" is a result.
    """
    if (answered := review.resumed(plan)) is not None:
        return answered
    with session(plan) as run:
        splits = data.read(run)
        probes = train.probe(run, splits)
        reference = train.finetune(run, splits, probes)
        ladder = search.ladder(run, splits, reference.spec)
        entries = search.climb(run, splits, ladder, (*probes, reference))
        entries = judge.join_champion(run, splits, entries)
        shortlist = judge.shortlist(run, splits, entries)
        entries = judge.measure(run, splits, entries, shortlist)
        shortlist = judge.fitting(run, splits, entries, shortlist)
        entries = judge.certify(run, splits, entries, shortlist)
        decision = judge.decide(run, splits, entries, shortlist)
        published = judge.publish(run, decision)
    return review.ask(plan, published)
