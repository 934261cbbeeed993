"""Bundles that come back from MLflow: downloaded, verified, and what is said when one is missing, changed or out of reach."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.bundle.folder import describe
from parsimony.candidates import BuiltBundle
from parsimony.data.row_digests import TRAINING_ROWS, read_row_digests
from parsimony.errors import InfrastructureError
from parsimony.files import digest_file
from parsimony.tasks.notices import notice
from parsimony.tasks.registry.database import local_path
from parsimony.tasks.registry.refusals import (
    ChangedError,
    MissingError,
    UnreachableError,
    failures,
    is_absent,
    one_line,
)
from parsimony.tasks.registry.tracking import Registry, artifact_uri, connected

if TYPE_CHECKING:
    import numpy as np
    from mlflow import MlflowClient

_NOT_FOUND = 404
TRAINING_ROWS_TAG = "training_rows"  # of a version: the digest of its file


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


def training_rows(registry: Registry, model: str, version: str, folder: Path) -> np.ndarray | None:
    """Return the digests of the rows that a version was trained or chosen on, and keep the file in `folder`.

    None where they are not known: of a version that was made before they were kept, or whose file is gone or another one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with connected(registry) as client, tempfile.TemporaryDirectory() as work:
        wanted = client.get_model_version(model, version).tags.get(TRAINING_ROWS_TAG)
        if wanted is None:
            return None
        uri = artifact_uri(client, registry, model, client.get_model_version_download_uri(model, version))
        fetched = _fetched_file(registry, f"{uri}/{TRAINING_ROWS}", work)
        if fetched is None or digest_file(fetched) != wanted:
            line = f"which rows version {version} of {model} was trained on is not known: {TRAINING_ROWS} is not the one that was stored"
            notice("champion", line)
            return None
        return read_row_digests(Path(shutil.copyfile(fetched, folder / TRAINING_ROWS)))


def _fetched_file(registry: Registry, uri: str, work: str) -> Path | None:
    from mlflow.artifacts import download_artifacts

    try:
        return Path(download_artifacts(artifact_uri=uri, dst_path=work, tracking_uri=registry.tracking_uri))
    except failures():
        return None
