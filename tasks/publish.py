"""Write down what was decided: MLflow runs, version, receipt, page, Prefect artifact; then promote, last of all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from parsimony import reporting
from parsimony.decision.records import Decision
from parsimony.errors import InfrastructureError
from parsimony.reporting.receipt import dumps, receipt
from parsimony.tasks.registry.promotion import champion, keep, promote
from parsimony.tasks.registry.tracking import Recorded, Registry, attach, record
from parsimony.tasks.registry.versions import Verified, register
from parsimony.tasks.validation.quarantine import QUARANTINE

RECEIPT, PAGE, TEXT = "receipt.json", "report.html", "report.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A decision that has been written down, its receipt, and the folder of its report."""

    decision: Decision
    receipt: dict[str, object]
    folder: Path


@task(name="publish and promote", cache_policy=NO_CACHE)
def publish(decision: Decision, registry: Registry, folder: Path) -> Published:
    """Record the decision in MLflow, register its winner, write the report, promote; return the decision with its receipt.

    The order matters: everything that a version needs exists before the journal names it.
    """
    recorded = record(registry, decision, tags={"prefect.flow_run_id": str(flow_run.get_id() or "")})
    verified = _version(decision, registry, recorded)
    paper = receipt(decision, version=None if verified is None else verified.version)
    attach(registry, recorded, write_files(decision, paper, folder))
    create_markdown_artifact(
        markdown=reporting.markdown(decision),
        key=_artifact_key(decision.model),
        description=reporting.sentence(decision),
    )
    if decision.outcome == "kept":
        keep(registry, decision.model)
    elif verified is not None:
        promote(registry, decision, verified)
    return Published(decision=decision, receipt=paper, folder=folder)


def _version(decision: Decision, registry: Registry, recorded: Recorded) -> Verified | None:
    """Return the winner's version: the champion's where it is kept, else the winner's own, registered and verified."""
    if decision.winner is None:
        return None
    if decision.outcome == "kept":
        current = champion(registry, decision.model)
        if current is None:
            raise InfrastructureError(
                f"{decision.model} has no champion any more, so there is nothing to keep; run again"
            )
        return Verified(version=current.version, digest=current.digest)
    return register(
        registry,
        decision,
        version_card=reporting.version_card(decision),
        run_id_of_winner=recorded.of(decision.winner),
    )


def write_files(decision: Decision, paper: dict[str, object], folder: Path) -> dict[str, Path]:
    """Write receipt, page and text into the run's folder; return the files by the name that they have in MLflow."""
    (folder / RECEIPT).write_text(dumps(paper) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(reporting.html(decision, paper), encoding="utf-8")
    (folder / TEXT).write_text(reporting.markdown(decision), encoding="utf-8")
    names = (RECEIPT, PAGE, TEXT, QUARANTINE, "predictions")
    return {name: folder / name for name in names if (folder / name).exists()}


def _artifact_key(model: str) -> str:
    """Return the artifact's key: Prefect takes lower case letters, digits and dashes."""
    return "decision-" + "".join(c if c.isalnum() else "-" for c in model)
