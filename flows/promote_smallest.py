"""The flow: from labelled texts to the smallest model in production that provably keeps the quality."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from parsimony.flows import names, states
from parsimony.flows.lifecycle import searching
from parsimony.flows.plan import Plan
from parsimony.flows.session import session
from parsimony.flows.stages import data, judge, search, train
from parsimony.tasks.publish import Published


@flow(name="smallest-model", flow_run_name=names.at_start)
def promote_smallest(plan: Plan) -> State[Any]:
    """Find the smallest model that keeps the quality, and put exactly that one into production.

    Ends in a state that names the decision, whose result is what was published; "nothing passed" is a result, and so is what became of
    a winner that waited for a person. The result of a refusal raises PlanError, DataError or InfrastructureError.
    """
    return states.ending(lambda: searching(plan, lambda: smallest(plan)))


def smallest(plan: Plan) -> Published:
    """Validate, train, shrink, judge, promote."""
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
