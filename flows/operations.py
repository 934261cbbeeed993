"""Upkeep as flows, for the deployments: what the verbs of the same names do, on a worker."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from parsimony.errors import InfrastructureError
from parsimony.flows import settings
from parsimony.flows.states import ending
from parsimony.measurement.host_lock import is_held
from parsimony.measurement.processes import MEASURING


@flow(name="rollback", flow_run_name="{model}: {reason}")
def rollback(
    model: str,
    reason: Annotated[str, Field(min_length=1)],
    to: str = "",
) -> State[Any]:
    """Put an earlier champion into production again; the present one is withdrawn.

    Args:
        model: the registered model
        reason: why, for whoever reads the journal later
        to: the version to go back to; empty for the champion before
    """

    def body() -> State[Any]:
        from parsimony.tasks.registry import promotion

        entry = promotion.rollback(settings.prepare().registry, model, reason, to or None)
        return Completed(name="Rolled back", message=f"Version {entry.version} of {model} is in production: {reason}")

    return ending(body)


@flow(name="reconcile", flow_run_name="aliases follow their journals")
def reconcile() -> State[Any]:
    """Let the alias of every model follow its journal again, whoever moved it."""

    def body() -> State[Any]:
        if is_held(MEASURING):  # MLflow's client takes seconds to load, which would disturb it
            return Completed(message="A measurement is in progress on this machine; the next minute looks again.")
        from parsimony.tasks.alarms import mend
        from parsimony.tasks.registry.journal import known
        from parsimony.tasks.registry.tracking import connected

        place = settings.prepare().registry
        with connected(place) as client:
            names = known(client)
        lines: list[str] = []
        broken: list[str] = []
        for name in names:
            try:
                lines += mend(place, name)
            except InfrastructureError as error:
                broken.append(str(error))
        if broken:
            raise InfrastructureError("; ".join(broken))
        return Completed(
            name="Mended" if lines else "Completed", message="; ".join(lines) or "Aliases and journals agree."
        )

    return ending(body)


@flow(name="clean", flow_run_name="what is no longer wanted")
def clean(
    days: Annotated[float, Field(ge=0)] = 14.0,
    keep: Annotated[int, Field(ge=0)] = 20,
) -> State[Any]:
    """Remove rejected bundles, old checkpoints and what killed runs left; never a champion.

    Args:
        days: keep what was used in so many days
        keep: keep so many of each kind, the newest
    """

    def body() -> State[Any]:
        from parsimony.flows.upkeep import retention
        from parsimony.reporting.formatting import counted, size
        from parsimony.tasks.registry.rejected import rejected

        where = settings.prepare()
        home, place = where.home, where.registry
        with retention.quiet(home):
            kept = retention.wanted(place)
            items = retention.unwanted(home, kept, retention.Policy(days=days, keep=keep), rejected(place, kept))
            retention.remove(home, place, items)
        freed = size(sum(item.size_bytes for item in items))
        return Completed(message=f"Removed {counted(len(items), 'thing')}, {freed}.")

    return ending(body)
