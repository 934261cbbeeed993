"""Whether a run has judged a version, and it passed: its receipt says so, and is the one of this bundle."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parsimony.errors import PlanError
from parsimony.tasks.registry.entries import About
from parsimony.tasks.registry.journal import version_of
from parsimony.tasks.registry.refusals import failures
from parsimony.tasks.registry.tracking import Registry, artifact_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_PARENT, _RECEIPT = "mlflow.parentRunId", "receipt.json"


def judged(client: MlflowClient, registry: Registry, model: str, version: str) -> About:
    """Return what a version holds, by the receipt of the run that judged it; PlanError when there is none, or it did not pass."""
    there = version_of(client, model, version)
    if there is None:
        raise PlanError(f"{model} has no version {version}")
    refused = f"version {version} of {model} is not put into production: "
    paper = _receipt(client, registry, model, there)
    if paper is None:
        raise PlanError(f"{refused}no receipt says that a run has judged it; run the plan")
    winner = paper.get("winner")
    if not isinstance(winner, dict) or paper.get("outcome") not in ("promoted", "waiting", "kept"):
        raise PlanError(f"{refused}its run says that nothing passed: {paper.get('reason')}")
    word = next((c["verdict"] for c in paper["candidates"] if c["candidate"] == winner["candidate"]), "unknown")
    if word != "pass" or winner["digest"] != there.tags.get("digest"):
        raise PlanError(f"{refused}its receipt is about another bundle, or does not say pass ({word})")
    return About(version=version, digest=winner["digest"], size_bytes=int(winner["size_bytes"]))


def _receipt(client: MlflowClient, registry: Registry, model: str, version: ModelVersion) -> dict[str, Any] | None:
    from mlflow.artifacts import download_artifacts

    missing: tuple[type[Exception], ...] = (KeyError, ValueError, *failures())
    try:
        parent = client.get_run(str(version.run_id)).data.tags[_PARENT]
        uri = artifact_uri(client, registry, model, str(client.get_run(parent).info.artifact_uri))
        with tempfile.TemporaryDirectory() as work:
            file = download_artifacts(
                artifact_uri=f"{uri}/{_RECEIPT}", dst_path=work, tracking_uri=registry.tracking_uri
            )
            return dict(json.loads(Path(file).read_text(encoding="utf-8")))
    except missing:
        return None
