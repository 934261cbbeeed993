"""A search in MLflow from its beginning: its run and those of its candidates are there while it works, and say how it ended.

`tracking.record` goes on with these runs when the decision is made. A search that is refused or fails ends as FAILED, one that is
interrupted or whose process is gone as KILLED, each with the reason in the tag `reason`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from parsimony.data.table import Dataset
from parsimony.errors import InfrastructureError
from parsimony.tasks.registry.entries import user
from parsimony.tasks.registry.secrets import without_secrets
from parsimony.tasks.registry.tracking import (
    CANDIDATE_TAG,
    RUN_TAG,
    Registry,
    connected,
    create_run,
    experiment_of,
    log_batch,
    runs_of,
    split_inputs,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

Ending = Literal["FAILED", "KILLED"]
_LONGEST_PARAM, _LONGEST_REASON = 6000, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search that has begun: of which model, its id, the plan with a dot between table and key, and what shows where it runs."""

    model: str
    run_id: str
    plan: Mapping[str, object]
    tags: Mapping[str, str]


def begin(registry: Registry, search: Search) -> None:
    """Make the run of a search, with its whole plan as parameters, and where it runs as tags."""
    params = {key: without_secrets(str(value))[:_LONGEST_PARAM] for key, value in search.plan.items()}
    tags = {
        RUN_TAG: search.run_id,
        "mlflow.user": user(),
        "mlflow.source.name": "parsimony",
        "mlflow.source.type": "LOCAL",
    }
    with connected(registry) as client:
        experiment = experiment_of(client, registry, search.model)
        run_id, _ = create_run(client, experiment, search.run_id, {**tags, **search.tags})
        for keys in _batches(sorted(params)):
            log_batch(client, run_id, metrics={}, params={key: params[key] for key in keys}, tags={})


def _batches(keys: Sequence[str]) -> list[Sequence[str]]:
    return [keys[i : i + 100] for i in range(0, len(keys), 100)]  # MLflow takes so many at once


def describe_data(registry: Registry, search: Search, dataset: Dataset, files: tuple[str, str]) -> None:
    """Show the splits of a search with the files they come from: of train and validation, and of the test split."""
    with connected(registry) as client:
        parent = _parent(client, registry, search.model, search.run_id)
        sources = [json.dumps({"uri": without_secrets(name)}) for name in (files[0], files[0], files[1])]
        if parent is not None:
            client.log_inputs(parent, datasets=split_inputs(search.model, dataset, sources))


def begin_candidates(registry: Registry, search: Search, candidates: Sequence[str]) -> None:
    """Make a run for every candidate below that of the search."""
    with connected(registry) as client:
        experiment = experiment_of(client, registry, search.model)
        known = runs_of(client, experiment, search.run_id)
        if "" not in known:
            return
        of_prefect = {key: value for key, value in search.tags.items() if key.startswith("prefect.")}
        for name in candidates:
            if name not in known:
                tags = {RUN_TAG: search.run_id, "mlflow.parentRunId": known[""][0], CANDIDATE_TAG: name}
                create_run(client, experiment, name, {**tags, **of_prefect})


def end(registry: Registry, model: str, run_id: str, ending: Ending, reason: str) -> None:
    """Let what still runs of a search end, with the reason; with MLflow gone nothing is done, for the search has its own error."""
    with suppress(InfrastructureError), connected(registry) as client:
        experiment = experiment_of(client, registry, model)
        for one, status in runs_of(client, experiment, run_id).values():
            if status in ("RUNNING", "SCHEDULED"):
                client.set_tag(one, "reason", without_secrets(" ".join(reason.split()))[:_LONGEST_REASON])
                client.set_terminated(one, ending)


def _parent(client: MlflowClient, registry: Registry, model: str, run_id: str) -> str | None:
    return runs_of(client, experiment_of(client, registry, model), run_id).get("", (None, ""))[0]
