"""Write down what was decided: receipt, page, MLflow runs, Prefect artifact; then promote, last of all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from parsimony import report
from parsimony.receipt import dumps, receipt
from parsimony.records import Decision
from tasks.promotion import champion, promote
from tasks.registry import register
from tasks.tracking import Registry, record
from tasks.validate import QUARANTINE

RECEIPT, PAGE, TEXT = "receipt.json", "report.html", "report.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A decision that has been written down, its receipt, and the folder of its report."""

    decision: Decision
    receipt: dict[str, object]
    folder: Path


@task(name="publish and promote", cache_policy=NO_CACHE)
def publish(decision: Decision, registry: Registry, folder: Path) -> Published:
    """Record the decision in MLflow, register and promote its winner, and return it with its receipt.

    The order matters: everything that a version needs exists before the journal names it.
    """
    tags = {"prefect.flow_run_id": str(flow_run.get_id() or "")}
    runs = record(registry, decision, files={}, tags=tags)
    version = _promoted(decision, registry, runs.of(decision.winner)) if decision.winner else None
    paper = receipt(decision, version=version)
    record(registry, decision, files=write_files(decision, paper, folder), tags=tags)
    create_markdown_artifact(
        markdown=report.markdown(decision), key=_artifact_key(decision.model), description=report.sentence(decision)
    )
    return Published(decision=decision, receipt=paper, folder=folder)


def _promoted(decision: Decision, registry: Registry, run_id: str) -> str:
    kept = champion(registry, decision.model) if decision.outcome == "kept" else None
    if kept is not None:
        promote(registry, decision, kept.version)
        return kept.version
    version = register(registry, decision, version_card=report.version_card(decision), run_id_of_winner=run_id)
    promote(registry, decision, version)
    return version


def write_files(decision: Decision, paper: dict[str, object], folder: Path) -> dict[str, Path]:
    """Write receipt, page and text into the run's folder; return the files by the name that they have in MLflow."""
    (folder / RECEIPT).write_text(dumps(paper) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(report.html(decision, paper), encoding="utf-8")
    (folder / TEXT).write_text(report.markdown(decision), encoding="utf-8")
    names = (RECEIPT, PAGE, TEXT, QUARANTINE, "predictions")
    return {name: folder / name for name in names if (folder / name).exists()}


def _artifact_key(model: str) -> str:
    """Return the artifact's key: Prefect takes lower case letters, digits and dashes."""
    return "decision-" + "".join(c if c.isalnum() else "-" for c in model)
