"""Write down what was decided: MLflow runs, version, receipt, page, Prefect artifact; then promote, last of all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from parsimony import reporting
from parsimony.data.row_digests import TRAINING_ROWS
from parsimony.decision.records import Decision, Outcome
from parsimony.errors import InfrastructureError, ParsimonyError
from parsimony.reporting.evidence import CHAMPION
from parsimony.reporting.receipt import dumps, receipt
from parsimony.tasks.registry.promotion import history, keep, promote
from parsimony.tasks.registry.refusals import UnsettledError
from parsimony.tasks.registry.review import Terms, propose
from parsimony.tasks.registry.secrets import shown_address
from parsimony.tasks.registry.stored_bundles import Verified
from parsimony.tasks.registry.tracking import Recorded, Registry, attach, record
from parsimony.tasks.registry.versions import register, winner_of
from parsimony.tasks.validation.quarantine import QUARANTINE

PENDING, PROMOTED = "promotion-pending", "promoted"
RECEIPT, PAGE, TEXT = "receipt.json", "report.html", "report.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A decision that has been written down, its receipt, and the folder of its report."""

    decision: Decision
    receipt: dict[str, object]
    folder: Path

    @property
    def outcome(self) -> Outcome:
        """What was decided."""
        return self.decision.outcome


@task(name="publish and promote", task_run_name="publish: {decision.outcome}", cache_policy=NO_CACHE)
def publish(decision: Decision, registry: Registry, folder: Path, terms: Terms) -> Published:
    """Record the decision in MLflow, register its winner, write the report, promote; return the decision with its receipt.

    A winner that needs an approval is not promoted but proposed, on these terms. The order matters: everything that a version needs, and
    the evidence for it, exists before the journal names it. A folder with the file `promotion-pending` is of a run of which it is
    not known whether it promoted, one with `promoted` of one that did.
    """
    recorded = record(registry, decision, tags=run_tags())
    verified = _version(decision, registry, recorded, folder)
    paper = receipt(decision, version=None if verified is None else verified.version)
    attach(registry, recorded, write_files(decision, paper, folder))
    create_markdown_artifact(
        markdown=reporting.folded(decision, _links(decision.model, registry, recorded, verified)),
        key=f"decision-{artifact_key(decision.model)}",
        description=reporting.sentence(decision),
    )
    if decision.outcome == "kept":
        keep(registry, decision.model)
    elif verified is not None:
        with _pending(folder):
            if decision.outcome == "waiting":
                propose(registry, decision, verified, replace(terms, flow_run_id=str(flow_run.get_id() or "")))
            else:
                promote(registry, decision, verified)
    return Published(decision=decision, receipt=paper, folder=folder)


def run_tags() -> dict[str, str]:
    """Return what leads from MLflow to the run in Prefect: its id, and its page where a server keeps it."""
    run_id = flow_run.get_id()
    named = {"prefect.flow_run_id": str(run_id or "")}
    page = (
        url_for("flow-run", obj_id=run_id) if run_id else None
    )  # runtime.flow_run.ui_url is where the pages once were
    return named | ({"prefect.flow_run_url": page} if page else {})


def _links(model: str, registry: Registry, recorded: Recorded, verified: Verified | None) -> dict[str, str]:
    """Return the pages in MLflow that belong to a decision, by what they are; none where MLflow is a database."""
    if not registry.is_server:
        return {}
    base = shown_address(registry.tracking_uri)
    links = {"MLflow run": f"{base}/#/experiments/{recorded.experiment_id}/runs/{recorded.run_id}"}
    if verified is not None:
        links[f"version {verified.version}"] = f"{base}/#/models/{quote(model)}/versions/{verified.version}"
    return links


def _version(decision: Decision, registry: Registry, recorded: Recorded, folder: Path) -> Verified | None:
    """Return the winner's version: the champion's where it is kept, else the winner's own, registered and verified."""
    if decision.winner is None:
        return None
    if decision.outcome == "kept":
        _, built = winner_of(decision)
        entries = [e for e in history(registry, decision.model) if e.digest == built.digest]
        if not entries:
            raise InfrastructureError(
                f"{decision.model} has no champion any more, so there is nothing to keep; run again"
            )
        return Verified(version=entries[-1].version, digest=built.digest)
    return register(
        registry,
        decision,
        version_card=reporting.version_card(decision),
        run_id_of_winner=recorded.of(decision.winner),
        training_rows=folder / TRAINING_ROWS,
    )


@contextmanager
def _pending(folder: Path) -> Iterator[None]:
    """Mark a run's folder while it may be promoting, and when it has; a refusal that is certain takes the mark away."""
    (folder / PENDING).touch()
    try:
        yield
    except UnsettledError:
        raise
    except ParsimonyError:
        (folder / PENDING).unlink()
        raise
    (folder / PENDING).rename(folder / PROMOTED)


def may_have_promoted(folder: Path) -> bool:
    """Say whether a run's folder is the evidence of a promotion, or may be: whatever comes after it, the folder stays."""
    return any((folder / mark).exists() for mark in (PENDING, PROMOTED))


def settle(registry: Registry, runs: Path) -> None:
    """Settle the mark of every run below `runs` whose promotion is in the journal: it was killed when it had promoted."""
    for mark in runs.glob(f"*/{PENDING}"):
        if not (mark.parent / RECEIPT).is_file():
            continue
        paper = json.loads((mark.parent / RECEIPT).read_text(encoding="utf-8"))
        counted = history(registry, paper["model"])
        if any(e.digest == paper["winner"]["digest"] and e.reason == paper["reason"] for e in counted):
            with suppress(FileNotFoundError):  # another run was faster
                mark.rename(mark.with_name(PROMOTED))


def write_files(decision: Decision, paper: dict[str, object], folder: Path) -> dict[str, Path]:
    """Write receipt, page and text into the run's folder; return the files by the name that they have in MLflow."""
    (folder / RECEIPT).write_text(dumps(paper) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(reporting.html(decision, paper), encoding="utf-8")
    (folder / TEXT).write_text(reporting.markdown(decision), encoding="utf-8")
    names = (RECEIPT, PAGE, TEXT, QUARANTINE, CHAMPION, "predictions")
    return {name: folder / name for name in names if (folder / name).exists()}


def artifact_key(model: str) -> str:
    """Return a model's name as the end of an artifact's key: Prefect takes lower case letters, digits and dashes."""
    return "".join(c if c.isalnum() else "-" for c in model)
