"""What can start a search, as flows for the deployments: new data, texts that have drifted, quality that has fallen.

Each tells of what it found by an event, which an automation can turn into mail, chat or a run; `search` lets it start one itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from parsimony.errors import DataError
from parsimony.files import digest_of, write_json
from parsimony.flows import monitoring, settings, unchanged
from parsimony.flows.champions import bundle_folder, registry
from parsimony.flows.plan import Plan
from parsimony.flows.states import ending
from parsimony.tasks.alarms import tell
from parsimony.tasks.notices import notice
from parsimony.tasks.registry.promise import certified_accuracy

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

SEARCH = "smallest-model/on-demand"
NEW_DATA, DRIFTED, FALLEN = "parsimony.data.changed", "parsimony.data.drifted", "parsimony.champion.fallen"
# A file that was changed a moment ago may still be written.
SETTLED_S = 60.0

Column = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


@flow(name="new-data", flow_run_name="{plan.model}")
def new_data(plan: Plan, search: bool = True) -> State[Any]:
    """Look whether the content of the plan's data has changed since the last look, and start a search when it has.

    Args:
        plan: what is searched when the data have changed
        search: start a search then
    """

    def body() -> State[Any]:
        _require(plan)
        if not (age_s := _age_s(plan)) > SETTLED_S:
            return Completed(
                name="Not yet",
                message=f"The data were written {age_s:.0f} s ago; the next look sees whether they stay.",
            )
        digest = digest_of([unchanged.content(name) for name in _sources(plan)])
        last_look = settings.prepare().home / "looks" / f"{plan.model}.json"
        before = json.loads(last_look.read_text(encoding="utf-8"))["digest"] if last_look.is_file() else None
        if digest == before:
            return Completed(name="Unchanged", message="The data are those of the last look.")
        started = _started(plan, digest) if search and before is not None else ""
        # Written down last: a look that dies in between is made again, and a search that was started is not started twice.
        write_json(last_look, {"digest": digest})
        if before is None:
            return Completed(name="First look", message="The data are remembered; the next look compares with them.")
        message = f"The data of {plan.model} have changed.{started}"
        tell(NEW_DATA, plan.model, message=message)
        return Completed(name="Changed", message=message)

    return ending(body)


@flow(name="drift", flow_run_name="{model}")
def drift(
    model: str,
    recent: str,
    training: str,
    text: Column = "text",
    limit: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.6,
) -> State[Any]:
    """Look whether recent texts differ from those of the training, and say which words and labels moved.

    Args:
        model: the registered model
        recent: recent texts, in a file or folder of any kind that a plan can name
        training: the texts that the champion was trained on
        text: the column of texts
        limit: how many texts may be distinguished; half is chance
    """

    def body() -> State[Any]:
        with bundle_folder(model, _note) as folder:
            texts = monitoring.Texts(recent=recent, training=training, text=text)
            result = monitoring.drift(folder, texts, monitoring.Limits(distinguished=limit))
        message = " ".join(monitoring.drift_lines(result))
        if result.has_drifted:
            tell(DRIFTED, model, message=message)
        return Completed(name="Drifted" if result.has_drifted else "No drift", message=message)

    return ending(body)


@flow(name="quality", flow_run_name="{model}")
def quality(
    model: str,
    labelled: str,
    text: Column = "text",
    label: Column = "label",
    fall: Share = 0.02,
) -> State[Any]:
    """Look whether the champion is still as often right as when it was promoted; as often as one likes.

    Args:
        model: the registered model
        labelled: recent labelled texts in the order in which they came; append to it
        text: the column of texts
        label: the column of labels
        fall: how much less than certified is no alarm
    """

    def body() -> State[Any]:
        promised = certified_accuracy(registry(), model) - fall
        with bundle_folder(model, _note) as folder:
            result = monitoring.quality(
                folder, monitoring.Labelled(source=labelled, text=text, label=label), promised, 0.95
            )
        message = monitoring.quality_line(result)
        if result.has_fallen:
            tell(FALLEN, model, message=message)
        return Completed(name="Fallen" if result.has_fallen else "No fall", message=message)

    return ending(body)


def _note(lines: Iterable[str]) -> None:
    for line in lines:
        notice("registry", line)


def _sources(plan: Plan) -> list[str]:
    return [name for name in (plan.data.train, plan.data.test) if name is not None]


def _age_s(plan: Plan) -> float:
    """Return how long ago the newest file of the data was written, infinite where none is a file."""
    moments = [path.stat().st_mtime for name in _sources(plan) for path in _files(Path(name))]
    return time.time() - max(moments, default=float("-inf"))


def _require(plan: Plan) -> None:
    for name in _sources(plan):
        if not name.startswith("hf:") and not Path(name).exists():
            raise DataError(f"{name}: no such file or folder; expected the data of the plan")


def _files(path: Path) -> Iterator[Path]:
    yield from (each for each in (path.rglob("*") if path.is_dir() else (path,)) if each.is_file())


def _started(plan: Plan, digest: str) -> str:
    """Start a search and say so; the same data start none twice."""
    from prefect.deployments import run_deployment

    parameters = {"plan": plan.model_dump(mode="json", exclude_unset=True)}
    key = f"{plan.model}-{digest}"
    # Prefect gives a run where no event loop is running.
    run = cast(
        "FlowRun", run_deployment(SEARCH, parameters=parameters, timeout=0, as_subflow=False, idempotency_key=key)
    )
    return f" A search was started: {run.name}."
