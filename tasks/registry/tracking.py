"""Runs in MLflow: one for a search as a whole and, below it, one for every candidate with its bundle and numbers.

MLflow is imported in this folder alone, and only when a function is called.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.data.table import Dataset
from parsimony.decision.records import Decision, Judged
from parsimony.errors import InfrastructureError
from parsimony.tasks.registry import database
from parsimony.tasks.registry.metrics import numbers_of, params_of, search_numbers, search_params, search_tags, tags_of
from parsimony.tasks.registry.refusals import SERVERS, explain, failures
from parsimony.tasks.registry.secrets import shown_address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric


RUN_TAG, CANDIDATE_TAG = "parsimony.run_id", "parsimony.candidate"
BUNDLE = "bundle"  # the folder of a candidate's bundle among its run's artifacts
_DATABASES = ("sqlite:///", "sqlite+", "postgresql", "mysql", "mssql")
_DIGEST_CHARS = 36  # MLflow's limit for the digest of a data set
_MAX_RUNS = 10_000
_OF_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # MLflow opens its runs, not a page about traces
_creation_lock = threading.Lock()  # the migrations of MLflow keep their state in module globals


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where MLflow is: a server's address or a database, and the folder for artifacts when there is no server.

    `tracking_uri` is `http(s)://...` or `sqlite:////absolute/mlflow.db` (or another SQL database).
    """

    tracking_uri: str
    artifact_root: str | None = None

    def __post_init__(self) -> None:
        if not self.tracking_uri.startswith(SERVERS + _DATABASES):
            raise ValueError(
                f"MLflow address {shown_address(self.tracking_uri)!r} is neither a server nor a database; "
                "use http://host:5000 or sqlite:////absolute/path/mlflow.db"
            )

    @property
    def is_server(self) -> bool:
        """Say whether MLflow is reached over HTTP."""
        return self.tracking_uri.startswith(SERVERS)

    @property
    def artifacts(self) -> Path | None:
        """The folder of artifacts; None where a server decides."""
        return None if self.artifact_root is None or self.is_server else Path(self.artifact_root).resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The MLflow runs of one search: the parent, and one child for each (candidate, run)."""

    experiment_id: str
    run_id: str
    children: tuple[tuple[str, str], ...]

    def of(self, candidate: str) -> str:
        """Return the MLflow run of one candidate; KeyError when there is none of this id."""
        return dict(self.children)[candidate]


# --- connection -----------------------------------------------------------------------------------


@contextmanager
def connected(registry: Registry) -> Iterator[MlflowClient]:
    """Give a client; whatever MLflow refuses inside the block becomes one InfrastructureError of one line."""
    known = failures()
    import mlflow

    try:
        with _creation_lock:
            database.create(registry.tracking_uri)
        yield mlflow.MlflowClient(tracking_uri=registry.tracking_uri, registry_uri=registry.tracking_uri)
    except known as error:
        raise InfrastructureError(explain(registry.tracking_uri, error)) from error


def experiment_of(client: MlflowClient, registry: Registry, model: str) -> str:
    """Return the id of the model's experiment, created or restored when needed."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(model)
    if experiment is None:
        root = registry.artifacts
        location = None if root is None else (root / model).as_uri()
        try:
            return str(client.create_experiment(model, artifact_location=location, tags=_OF_TRAINING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return experiment_of(client, registry, model)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    root = registry.artifacts
    old = None if root is None else database.moved_from(experiment.artifact_location, root, model)
    if root is not None and old is not None and database.path_of(registry.tracking_uri) is not None:
        database.move(registry.tracking_uri, old, root)
    return str(experiment.experiment_id)


def artifact_uri(client: MlflowClient, registry: Registry, model: str, uri: str) -> str:
    """Return where artifacts of a model lie now: MLflow keeps absolute addresses, which a folder that moves leaves behind."""
    root = registry.artifacts
    experiment = None if root is None else client.get_experiment_by_name(model)
    if root is None or experiment is None:
        return uri
    old = database.moved_from(experiment.artifact_location, root, model)
    return uri if old is None else database.rebased(uri, old, root)


# --- runs -----------------------------------------------------------------------------------------


def record(registry: Registry, decision: Decision, *, tags: Mapping[str, str]) -> Recorded:
    """Write a decision as MLflow runs: parent `decision.run_id`, one child for each candidate.

    `tags` go on every run. The report is not there yet, because it names the registered version: `attach` adds it. Called again after an interruption
    it continues the same runs and repeats no finished child. Raises InfrastructureError when MLflow fails.
    """
    with connected(registry) as client:
        experiment_id = experiment_of(client, registry, decision.model)
        known = runs_of(client, experiment_id, decision.run_id)
        common = {**tags, RUN_TAG: decision.run_id}
        parent = known.get("") or create_run(client, experiment_id, decision.run_id, common)
        with _running(client, parent[0]):
            below = {**common, "mlflow.parentRunId": parent[0]}
            children = []
            for judged in decision.judged:
                own = {**below, CANDIDATE_TAG: judged.candidate}
                child = known.get(judged.candidate) or create_run(client, experiment_id, judged.candidate, own)
                if child[1] != "FINISHED":
                    _record_candidate(client, child[0], decision, judged)
                children.append((judged.candidate, child[0]))
            _record_search(client, parent[0], decision)
    return Recorded(experiment_id=experiment_id, run_id=parent[0], children=tuple(children))


def attach(registry: Registry, recorded: Recorded, files: Mapping[str, Path]) -> None:
    """Store the report beside the parent run; `files` maps the name in MLflow to the file or folder.

    The run ends as failed when that does not work, with an InfrastructureError.
    """
    with connected(registry) as client, _running(client, recorded.run_id):
        _log_files(client, recorded.run_id, files)


def runs_of(client: MlflowClient, experiment_id: str, run_id: str) -> dict[str, tuple[str, str]]:
    """Map each candidate of a search ("" for the parent) to its oldest MLflow run's (id, status)."""
    runs = client.search_runs(
        [experiment_id], f"tags.`{RUN_TAG}` = '{run_id}'", max_results=_MAX_RUNS, order_by=["start_time ASC"]
    )
    oldest: dict[str, tuple[str, str]] = {}
    for run in runs:
        oldest.setdefault(run.data.tags.get(CANDIDATE_TAG, ""), (run.info.run_id, run.info.status))
    return oldest


def create_run(client: MlflowClient, experiment_id: str, name: str, tags: Mapping[str, str]) -> tuple[str, str]:
    """Make a run, which is RUNNING, and return its (id, status)."""
    run = client.create_run(experiment_id, run_name=name, tags=dict(tags))
    return run.info.run_id, run.info.status


@contextmanager
def _running(client: MlflowClient, run_id: str) -> Iterator[None]:
    """End the run as FINISHED, or as FAILED when the block raises."""
    from mlflow.exceptions import MlflowException

    try:
        client.update_run(run_id, status="RUNNING")
        yield
    except BaseException:
        # The first failure is the one to report; with MLflow gone this call fails too.
        with suppress(MlflowException):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _record_candidate(client: MlflowClient, run_id: str, decision: Decision, judged: Judged) -> None:
    with _running(client, run_id):
        log_batch(client, run_id, metrics=numbers_of(judged), params=params_of(judged), tags=tags_of(judged))
        client.log_inputs(run_id, datasets=_inputs(decision.model, decision.dataset))
        if judged.bundle is not None:
            client.log_artifacts(run_id, judged.bundle.folder, BUNDLE)


def _record_search(client: MlflowClient, run_id: str, decision: Decision) -> None:
    metrics, params, tags = search_numbers(decision), search_params(decision), search_tags(decision)
    log_batch(client, run_id, metrics=metrics, params=params, tags=tags)
    client.log_inputs(run_id, datasets=_inputs(decision.model, decision.dataset))


def _log_files(client: MlflowClient, run_id: str, files: Mapping[str, Path]) -> None:
    """Store the files under the names given, in one upload."""
    with tempfile.TemporaryDirectory() as work:
        for name, path in files.items():
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, Path(work) / Path(name).name)
        client.log_artifacts(run_id, work)


def log_batch(
    client: MlflowClient,
    run_id: str,
    *,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """Log metrics, parameters and tags of a run in one call."""
    from mlflow.entities import Param, RunTag

    client.log_batch(
        run_id,
        metrics=as_metrics(metrics, model_id=None),
        params=[Param(key, value) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )


def as_metrics(values: Mapping[str, float], *, model_id: str | None) -> list[Metric]:
    """Return MLflow metrics taken now, of a run or of the logged model `model_id`."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    return [Metric(key, value, now_ms, 0, model_id=model_id) for key, value in values.items()]


def _inputs(model: str, data: Dataset) -> list[DatasetInput]:
    """Return the three splits as they lie in the folder of the run, for a search that was not shown from its beginning."""
    return split_inputs(model, data, [json.dumps({"uri": data.folder})] * 3)


def split_inputs(model: str, data: Dataset, sources: Sequence[str]) -> list[DatasetInput]:
    """Return the splits train, validation and test with their sources; the first source of a digest is the one that MLflow keeps."""
    from mlflow.entities import Dataset as Logged
    from mlflow.entities import DatasetInput, InputTag

    splits = (
        ("train", data.digest, data.train_rows),
        ("validation", data.digest, data.validation_rows),
        ("test", data.test_digest, data.test_rows),
    )
    return [
        DatasetInput(
            Logged(
                name=f"{model}-{context}",
                digest=digest[:_DIGEST_CHARS],
                source_type="local",
                source=source,
                profile=json.dumps({"num_rows": rows, "num_labels": len(data.labels)}),
            ),
            [InputTag("mlflow.data.context", context)],
        )
        for (context, digest, rows), source in zip(splits, sources, strict=True)
    ]
