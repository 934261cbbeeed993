"""Bundles of candidates that MLflow keeps beside their runs: which of them no champion needs, and their removal.

A run stays with its numbers; versions of the registered model keep bundles of their own, which nothing here touches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parsimony.tasks.registry import database
from parsimony.tasks.registry.refusals import failures, is_absent
from parsimony.tasks.registry.tracking import BUNDLE, CANDIDATE_TAG, Registry, artifact_uri, connected

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 1000
_DONE = ("FINISHED", "FAILED", "KILLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBundle:
    """The bundle of a candidate's run: the run, the address of its artifacts, the bundle's bytes, and when the run ended (seconds since 1970)."""

    run_id: str
    artifacts: str
    size_bytes: int
    ended_at: float

    @property
    def address(self) -> str:
        """The bundle's address as MLflow writes it."""
        return f"runs:/{self.run_id}/{BUNDLE}"


def rejected(registry: Registry, kept_digests: Collection[str]) -> tuple[RunBundle, ...]:
    """Return the bundles beside the runs of candidates that are not among these digests; a database that is not there is not made."""
    file = database.path_of(registry.tracking_uri)
    if file is not None and not file.exists():
        return ()
    with connected(registry) as client:
        return tuple(_rejected(client, registry, kept_digests))


def remove(registry: Registry, bundle: RunBundle) -> None:
    """Remove a bundle from MLflow's artifact store; one that is gone already is no failure."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with connected(registry):
        try:
            get_artifact_repository(bundle.artifacts, tracking_uri=registry.tracking_uri).delete_artifacts(BUNDLE)
        except failures() as error:
            if not is_absent(error) and not isinstance(error, FileNotFoundError):
                raise


def _rejected(client: MlflowClient, registry: Registry, kept_digests: Collection[str]) -> Iterator[RunBundle]:
    names = {each.experiment_id: each.name for each in client.search_experiments(max_results=_PAGE)}
    for run in _candidates(client, list(names)):
        if run.info.status not in _DONE or run.data.tags.get("digest", "") in kept_digests:
            continue
        if size_bytes := _bytes_of(client, run.info.run_id, BUNDLE):
            yield RunBundle(
                run_id=run.info.run_id,
                artifacts=artifact_uri(client, registry, names[run.info.experiment_id], run.info.artifact_uri),
                size_bytes=size_bytes,
                ended_at=(run.info.end_time or run.info.start_time) / 1000,
            )


def _candidates(client: MlflowClient, experiment_ids: list[str]) -> Iterator[Run]:
    token: str | None = None
    while experiment_ids:
        asked = f"tags.`{CANDIDATE_TAG}` LIKE '%' AND tags.digest LIKE '%'"
        page = client.search_runs(experiment_ids, asked, max_results=_PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _bytes_of(client: MlflowClient, run_id: str, path: str) -> int:
    """Count the bytes of an artifact folder; 0 when there is none."""
    return sum(
        _bytes_of(client, run_id, file.path) if file.is_dir else file.file_size or 0
        for file in client.list_artifacts(run_id, path)
    )
