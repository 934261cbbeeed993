"""What can be refused within seconds: asked before the engine starts, and again by the flow on a worker."""

from __future__ import annotations

import logging

from parsimony.data.reader import read_table, read_texts
from parsimony.errors import PlanError
from parsimony.flows import settings
from parsimony.flows.plan import Data, Plan
from parsimony.measurement import machine
from parsimony.measurement.energy import require_country
from parsimony.measurement.records import TargetSettings
from parsimony.tasks.notices import notice
from parsimony.tasks.validation.quarantine import QUARANTINE, refusals_kept
from parsimony.training.base_checks import check


def preflight(plan: Plan) -> tuple[TargetSettings, ...]:
    """Return the plan's targets; raise PlanError, DataError or InfrastructureError for what cannot work here."""
    require_country(plan.run.country)
    targets = tuple(target.settings() for target in plan.targets)
    for target in targets:
        (_threads if target.pool is None else _server)(target)
    _bases(plan)
    data = plan.data
    with refusals_kept(settings.prepare().home / QUARANTINE):
        if not data.train.startswith("hf:"):
            read_table(data.train, text=data.text, label=data.label, part="train", slices=data.train_slices)
        if data.test is not None and not data.test.startswith("hf:"):
            read_table(data.test, text=data.text, label=data.label, part="test", slices=data.slices)
        if data.unlabelled is not None and not data.unlabelled.startswith("hf:"):
            read_texts(data.unlabelled, data.text)
    return targets


def _bases(plan: Plan) -> None:
    """Refuse bases that cannot be used, before any data is read, and say what is not used of the others."""
    longest = plan.data.max_tokens
    asked = longest != Data.model_fields["max_tokens"].default
    for name in plan.bases.names:
        for note in check(name, max_tokens=longest, asked=asked):
            notice("bases", note, logging.INFO)


def _server(target: TargetSettings) -> None:
    """Refuse a target elsewhere where no server is named by which its worker could be asked."""
    if settings.prepare().prefect_home is not None and not target.optional:
        raise PlanError(
            f"target {target.name!r} is measured by a worker of the pool {target.pool!r}, and PREFECT_API_URL names no server that "
            "could ask it; set PREFECT_API_URL, or leave out the pool to measure on this machine"
        )


def _threads(target: TargetSettings) -> None:
    available = machine.usable_threads()
    if target.threads > available:
        raise PlanError(
            f"target {target.name!r} asks for {target.threads} threads, this machine runs {available} at once; "
            f"set threads to at most {available} or run where the target is"
        )
    if different := target.machine.mismatch(machine.environment(target.threads)):
        raise PlanError(
            f"this machine is not of the class of target {target.name!r}: {different}; run where the target is, or name the work pool "
            "whose worker is there: pool"
        )
