"""The flow: from labelled texts to the smallest model in production that provably keeps the quality."""

from __future__ import annotations

from prefect import flow

from flows import steps
from flows.plan import Plan
from tasks.publish import Published


@flow(name="promote-smallest", flow_run_name="{plan.model}")
def promote_smallest(plan: Plan) -> Published:
    """Find the smallest model that keeps the quality, and put exactly that one into production.

    Returns the decision with its receipt. Raises PlanError, DataError or InfrastructureError; "nothing passed" is a result.
    """
    with steps.session(plan) as run:
        dataset = steps.read(run)
        probes = steps.probe(run, dataset)
        reference = steps.finetune(run, dataset, probes)
        ladder = steps.ladder(run, dataset, reference.trunk)
        entries = steps.climb(run, dataset, ladder, (*probes, reference))
        entries = steps.join_champion(run, dataset, entries)
        shortlist = steps.shortlist(run, dataset, entries)
        entries = steps.measure(run, dataset, entries, shortlist)
        shortlist = steps.fitting(run, entries, shortlist)
        entries = steps.certify(run, dataset, entries, shortlist)
        decision = steps.decide(run, dataset, entries, shortlist)
        return steps.publish(run, decision)
