"""Versions in the model registry: written once for each bundle, and verified by downloading them again."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.candidates import BuiltBundle
from parsimony.data.row_digests import TRAINING_ROWS
from parsimony.decision.records import Decision, Judged
from parsimony.errors import InfrastructureError
from parsimony.files import digest_file
from parsimony.files.shipped import shipped
from parsimony.tasks.registry.entries import JOURNAL_SUFFIX
from parsimony.tasks.registry.metrics import change_tags, numbers_of
from parsimony.tasks.registry.refusals import failures
from parsimony.tasks.registry.stored_bundles import TRAINING_ROWS_TAG, Verified, fetch, verify_version
from parsimony.tasks.registry.tracking import Registry, as_metrics, connected, experiment_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


_REQUIREMENTS = ("onnxruntime", "tokenizers", "numpy")
_MODEL_URI = "models:/"
_MODEL = (
    "The smallest models for {0} that provably kept the quality; the alias champion names the one in production. Put there by Parsimony: the "
    "alias follows the journal {0}.promotions, and one that is moved by hand is moved back."
)
_RECORD = (
    "A record, not a model: who put which version of {0} into production, when and why. Nothing here is to be used, changed or deleted; the "
    "model is {0}."
)
CARD_CHARS = 5000  # the length of MLflow's column for a version's description
_ADDRESS_VARIABLE = "MLFLOW_TRACKING_URI"
_RETRIES_VARIABLE = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_WAITS_S = (0.5, 2.0)  # between requests that make a version
_process_lock = threading.Lock()


def register(
    registry: Registry,
    decision: Decision,
    *,
    version_card: str,
    run_id_of_winner: str,
    training_rows: Path | None = None,
) -> Verified:
    """Make the winner a version of the registered model and return its number; the version that exists if one does.

    What MLflow stores is downloaded once and compared with the winner's bundle before the version is made.
    `version_card` is Markdown; MLflow's list shows the first 32 characters of it. `training_rows` is the file with the digests of the
    rows that it was trained on, which is kept with it. Raises ValueError for a decision
    without a winner, InfrastructureError when what comes back from MLflow is not the winner's bundle.
    """
    winner, built = winner_of(decision)
    with connected(registry) as client:
        version = _version_of(client, decision.model, built.digest)
        if version is not None:
            return verify_version(client, registry, decision.model, str(version.version), built.digest)
        kept = training_rows if training_rows is not None and training_rows.is_file() else None
        model_id = _log_model(client, registry, decision, built, run_id_of_winner, kept)
        tags = _version_tags(decision, winner, built) | ({} if kept is None else {TRAINING_ROWS_TAG: digest_file(kept)})
        draft = Draft(name=decision.model, source=_MODEL_URI + model_id, tags=tags, description=version_card)
        _make_version(client, registry, draft)
        client.log_batch(run_id_of_winner, metrics=as_metrics(numbers_of(winner), model_id=model_id))
        # Of two workers who register the same bundle at once, both use the lower number.
        version = _version_of(client, decision.model, built.digest)
        if version is None:
            raise InfrastructureError(f"MLflow lost the new version of {decision.model}; run again")
        return Verified(version=str(version.version), digest=built.digest)


def _make_version(client: MlflowClient, registry: Registry, draft: Draft) -> None:
    """Append the version, after the model's journal was made: a model with versions and without a journal has lost it.

    A call that fails may have done its work all the same, so the version is looked up.
    """
    if not versions_of(client, draft.name):
        _make_model(client, draft.name + JOURNAL_SUFFIX)
    try:
        create_version(client, registry, draft)
    except failures():
        if _version_of(client, draft.name, draft.tags["digest"]) is None:
            raise


def winner_of(decision: Decision) -> tuple[Judged, BuiltBundle]:
    """Return the winner and its bundle; ValueError when the decision has none."""
    if decision.winner is None:
        raise ValueError(f"the decision on {decision.model} has no winner ({decision.reason}); nothing to register")
    winner = decision.of(decision.winner)
    if winner.bundle is None:
        raise ValueError(f"winner {winner.candidate} has no bundle; build it before it is registered")
    return winner, winner.bundle


def _version_of(client: MlflowClient, model: str, digest: str) -> ModelVersion | None:
    same = [version for version in versions_of(client, model) if version.tags.get("digest") == digest]
    return min(same, key=lambda version: int(version.version), default=None)


def versions_of(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return every version of a registered model in no particular order; none when there is no such model."""
    versions: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name='{name}'", max_results=1000, page_token=token)
        versions.extend(page)
        if not (token := page.token):
            return versions


def _log_model(
    client: MlflowClient,
    registry: Registry,
    decision: Decision,
    built: BuiltBundle,
    run_id: str,
    training_rows: Path | None,
) -> str:
    """Store the bundle with its model code as a logged model, check what was stored, and return the model's id."""
    from mlflow.entities import LoggedModelOutput

    experiment_id = experiment_of(client, registry, decision.model)
    logged = client.create_logged_model(experiment_id, name="model", source_run_id=run_id, model_type="text classifier")
    with tempfile.TemporaryDirectory() as work:
        _save_model(Path(work), built, run_id=run_id, model_id=logged.model_id)
        if training_rows is not None:
            shutil.copyfile(training_rows, Path(work) / "model" / TRAINING_ROWS)
        client.log_model_artifacts(logged.model_id, str(Path(work) / "model"))
    with tempfile.TemporaryDirectory() as work:
        fetch(registry, logged.artifact_location, built.digest, f"logged model {logged.model_id}", Path(work))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _save_model(work: Path, built: BuiltBundle, *, run_id: str, model_id: str) -> None:
    import mlflow.pyfunc
    from mlflow.models import Model, infer_signature

    # MLflow names the stored folder after this one, and readers look for "bundle".
    staged = shutil.copytree(built.folder, work / "bundle")
    example = ["an example text"]
    mlflow.pyfunc.save_model(
        str(work / "model"),
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        python_model=str(model_code()),
        artifacts={"bundle": str(staged)},
        signature=infer_signature(example, ["a label"]),
        input_example=example,
        pip_requirements=[f"{package}=={installed(package)}" for package in _REQUIREMENTS],
    )


def model_code() -> Path:
    """Return the file that MLflow stores as a version's code. Raises InfrastructureError when it is missing."""
    return shipped("mlflow/bundle_model.py")


def _version_tags(decision: Decision, winner: Judged, built: BuiltBundle) -> dict[str, str]:
    return {
        "digest": built.digest,
        "size_bytes": str(built.size_bytes),
        "verdict": winner.verdict,
        "candidate": winner.candidate,
        "family": winner.family,
        "shape": "-".join(winner.shape) or "whole",
        "techniques": "+".join(winner.techniques) or "none",
        "reason": decision.reason,
        "data_digest": decision.dataset.digest,
        "run_id": decision.run_id,
        **change_tags(decision),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A version to append: of which registered model, the logged model it shows (`models:/m-...`), tags, Markdown."""

    name: str
    source: str
    tags: Mapping[str, str]
    description: str


def _make_model(client: MlflowClient, name: str) -> None:
    """Make a registered model unless it is there; its description says what it is."""
    from mlflow.exceptions import MlflowException

    model = name.removesuffix(JOURNAL_SUFFIX)
    try:
        client.create_registered_model(name, description=(_MODEL if model == name else _RECORD).format(model))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def create_version(client: MlflowClient, registry: Registry, draft: Draft) -> None:
    """Append a version with all its tags, in one transaction; one, although the response of a server may be lost.

    MLflow's client would send a lost request again whether or not it was heard; here it is looked up first.
    """
    _make_model(client, draft.name)
    model_id = draft.source.removeprefix(_MODEL_URI)
    run_id = client.get_logged_model(model_id).source_run_id
    description = draft.description[:CARD_CHARS]
    for wait in (*_WAITS_S, None):
        try:
            with _asked_once if registry.is_server else _default_address(registry):
                client.create_model_version(
                    draft.name, draft.source, run_id, dict(draft.tags), description=description, model_id=model_id
                )
            return
        except failures():
            if not registry.is_server or wait is None:
                raise
            if any(draft.tags.items() <= version.tags.items() for version in versions_of(client, draft.name)):
                return
            time.sleep(wait)


@dataclass(slots=True)
class _AskedOnce:
    """A block in which MLflow's client sends a request once: it would repeat one whose response was lost, also one that changes
    something. Several threads may be in it; the environment is put back by the last that leaves."""

    inside: int = 0
    before: str | None = None

    def __enter__(self) -> None:
        with _process_lock:
            if not self.inside:
                self.before = os.environ.get(_RETRIES_VARIABLE)
                os.environ[_RETRIES_VARIABLE] = "0"
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with _process_lock:
            self.inside -= 1
            if not self.inside:
                _put_back(_RETRIES_VARIABLE, self.before)


_asked_once = _AskedOnce()


@contextmanager
def _default_address(registry: Registry) -> Iterator[None]:
    """Make this the process's MLflow: without a server, MLflow looks a logged model up there and nowhere else."""
    import mlflow

    with _process_lock:
        before = os.environ.get(_ADDRESS_VARIABLE)
        mlflow.set_tracking_uri(registry.tracking_uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(None)  # which takes it out of the environment, too
            _put_back(_ADDRESS_VARIABLE, before)


def _put_back(name: str, value: str | None) -> None:
    os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
