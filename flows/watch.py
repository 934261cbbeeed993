"""What every model needs within a minute, done by one process that stays: aliases follow their journals, reviews are acted on.

A flow run for every look would load Prefect and MLflow anew each time. Here a look is a few calls, and only what was done, or what needs
a person, becomes a run in Prefect.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.states import Completed, Failed

from parsimony.errors import ParsimonyError, first_line
from parsimony.flows import settings
from parsimony.flows.review import acted
from parsimony.measurement.host_lock import is_held
from parsimony.measurement.processes import MEASURING
from parsimony.tasks.alarms import mend
from parsimony.tasks.notices import notice
from parsimony.tasks.registry.journal import known
from parsimony.tasks.registry.tracking import Registry, connected

EVERY_S = 15.0
Kind = Literal["done", "needs a person"]


@flow(name="watch", flow_run_name="{model}: {kind}")
def tell(model: str, kind: Kind, lines: list[str]) -> State[Any]:  # noqa: ARG001  # the model names the run
    """Show in Prefect what the watcher did for a model, or what a person must mend."""
    message = "; ".join(lines)
    if kind == "done":
        return Completed(name="Mended", message=message)
    return Failed(name="Needs a person", message=message)


@dataclass(slots=True, kw_only=True)
class Watch:
    """The registry that is watched, and what the last look has said of each model."""

    registry: Registry
    told: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def look(self) -> None:
        """Look at every model once; what the last look has said already is not said again."""
        with connected(self.registry) as client:
            names = known(client)
        for name in names:
            kind, lines = _attended(self.registry, name)
            if new := [line for line in lines if line not in self.told.get(name, ())]:
                tell(name, kind, new, return_state=True)
            self.told[name] = lines  # last: what could not be told is told by the next look


def _attended(registry: Registry, model: str) -> tuple[Kind, tuple[str, ...]]:
    """Do what a model needs, and return it in words; the aliases first, which a review moves too."""
    try:
        return "done", (*mend(registry, model), *acted(registry, model))
    except ParsimonyError as error:  # one model's trouble is not that of the others
        return "needs a person", (first_line(error, 300),)


def keep_watching(every_s: float = EVERY_S) -> None:
    """Look every few seconds until this process ends, but never beside a measurement; what goes wrong is one line, once."""
    watch, said = Watch(registry=settings.prepare().registry), ""
    while True:
        line = ""
        try:
            if not is_held(MEASURING):
                watch.look()
        except (ParsimonyError, OSError, httpx.HTTPError, PrefectException) as error:
            line = first_line(error, 300)
        if line and line != said:
            notice("watch", line)
        said = line
        time.sleep(every_s)
