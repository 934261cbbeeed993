"""Bundles that come back from MLflow: downloaded, verified, and what is said when one is missing, changed or out of reach."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.bundle.folder import describe
from parsimony.candidates import BuiltBundle
from parsimony.errors import InfrastructureError
from parsimony.tasks.registry.database import local_path
from parsimony.tasks.registry.refusals import (
    ChangedError,
    MissingError,
    UnreachableError,
    failures,
    is_absent,
    one_line,
)
from parsimony.tasks.registry.tracking import Registry, artifact_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A version whose bundle was downloaded and has this digest."""

    version: str
    digest: str


def verify_version(client: MlflowClient, registry: Registry, model: str, version: str, digest: str) -> Verified:
    """Download a version into an empty folder and require its bundle to have this digest.

    Raises InfrastructureError when it is missing, incomplete or another one.
    """
    with tempfile.TemporaryDirectory() as work:
        fetch_version(client, registry, model, Verified(version=version, digest=digest), Path(work))
    return Verified(version=version, digest=digest)


def fetch_version(client: MlflowClient, registry: Registry, model: str, wanted: Verified, work: Path) -> BuiltBundle:
    """Download a version's bundle below `work` and return it verified; nothing of it is executed.

    Raises MissingError, ChangedError or UnreachableError, which say what is the matter with it.
    """
    from mlflow.exceptions import MlflowException

    what = f"version {wanted.version} of {model}"
    try:
        uri = client.get_model_version_download_uri(model, wanted.version)
    except MlflowException as error:
        if not is_absent(error):
            raise
        raise MissingError(f"{what} was deleted in MLflow; restore MLflow's database, or roll back") from error
    return fetch(registry, artifact_uri(client, registry, model, uri), wanted.digest, what, work)


def fetch(registry: Registry, uri: str, digest: str, what: str, work: Path) -> BuiltBundle:
    """Download the bundle that is stored at an address below `work`, and return it verified."""
    from mlflow.artifacts import download_artifacts

    try:
        folder = download_artifacts(
            artifact_uri=f"{uri}/artifacts/bundle", dst_path=str(work), tracking_uri=registry.tracking_uri
        )
    except failures() as error:
        raise _not_fetched(registry, uri, what, error) from error
    remedy = "roll back, or delete that version in MLflow and run again"
    try:
        stored = describe(Path(folder))
    except (ValueError, InfrastructureError) as error:
        broken = f"{what} gives no sound bundle: {one_line(error)}"
        raise ChangedError(f"{broken}; it was changed after it was stored: {remedy}") from error
    if stored.digest != digest:
        changed = f"{what} holds bundle {stored.digest[:12]}…, expected {digest[:12]}…"
        raise ChangedError(f"{changed}: it was changed after it was stored; {remedy}")
    return stored


def _not_fetched(registry: Registry, uri: str, what: str, error: Exception) -> InfrastructureError:
    """Return what a download that failed means: it is moved away, gone, or cannot be read now."""
    path = local_path(uri)
    try:
        if path is not None and not path.exists():
            return MissingError(
                f"{what} is missing: its folder {path} is not there; put it back, or set PARSIMONY_HOME to the folder that holds it"
            )
        if not _is_stored(registry, uri):
            return MissingError(
                f"{what} is missing: its bundle is not in {uri}; put it back from a backup, or roll back"
            )
    except failures() as unreadable:
        error = unreadable
    return UnreachableError(
        f"{what} cannot be read now: {one_line(error)}; nothing is known to be wrong with it: check that the artifact store can be "
        "reached and read, then try again"
    )


def _is_stored(registry: Registry, uri: str) -> bool:
    """Say whether the artifact store lists a bundle at this address; a store that does not respond raises."""
    from mlflow.artifacts import list_artifacts

    try:
        listed = list_artifacts(artifact_uri=f"{uri}/artifacts", tracking_uri=registry.tracking_uri)
    except failures() as error:
        if is_absent(error) or getattr(getattr(error, "response", None), "status_code", None) == _NOT_FOUND:
            return False
        raise
    return any(Path(info.path).name == "bundle" for info in listed)
