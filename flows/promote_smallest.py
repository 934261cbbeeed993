"""The flow: from labelled texts to the smallest model in production that provably keeps the quality."""

from __future__ import annotations

from prefect import flow

from parsimony.flows.plan import Plan
from parsimony.flows.session import session
from parsimony.flows.stages import data, judge, search, train
from parsimony.tasks.publish import Published


@flow(name="promote-smallest", flow_run_name="{plan.model}")
def promote_smallest(plan: Plan) -> Published:
    """Find the smallest model that keeps the quality, and put exactly that one into production.

    Returns the decision with its receipt. Raises PlanError, DataError or InfrastructureError; "nothing passed" is a result.
    """
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
        return judge.publish(run, decision)
