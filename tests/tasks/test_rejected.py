"""Rejected candidates' bundles leave MLflow, never one that a champion or the last five promotions need; runs keep their numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import write_tiny_bundle
from test_registry import (
    MODEL,
    decision_on,
    judged_pass,
    put_into_production,
    registry,
    template_database,
)

from parsimony.decision.records import Decision
from parsimony.flows.cli.main import main
from parsimony.tasks.registry.promotion import cached, rollback
from parsimony.tasks.registry.rejected import rejected
from parsimony.tasks.registry.tracking import BUNDLE, CANDIDATE_TAG, Registry, connected

__all__ = ["registry", "template_database"]  # fixtures
pytestmark = pytest.mark.slow


def with_a_rejected_one(folder: Path, name: str) -> Decision:
    """Return a decision for `name`, beside which another candidate was built and not chosen."""
    decision = decision_on(folder, name)
    other = replace(judged_pass(f"not-{name}", write_tiny_bundle(folder / f"not-{name}", name=f"not-{name}")))
    return replace(decision, judged=(*decision.judged, replace(other, verdict="not certified")))


def stored(registry: Registry) -> set[str]:
    """Return the candidates beside whose runs MLflow keeps a bundle."""
    with connected(registry) as client:
        [experiment] = [e for e in client.search_experiments() if e.name == MODEL]
        runs = client.search_runs([experiment.experiment_id])
        return {
            run.data.tags[CANDIDATE_TAG]
            for run in runs
            if CANDIDATE_TAG in run.data.tags and client.list_artifacts(run.info.run_id, BUNDLE)
        }


@pytest.fixture
def six(registry: Registry, tmp_path: Path) -> Registry:
    """Six champions, one after the other, with a candidate that was rejected beside the first and the last."""
    for name in "abcdef":
        decision = with_a_rejected_one(tmp_path, name) if name in "af" else decision_on(tmp_path, name)
        put_into_production(registry, decision)
    return registry


def clean(capsys: pytest.CaptureFixture[str], *words: str) -> set[str]:
    assert main(["clean", "--json", *words]) == 0
    return {item["path"] for item in json.loads(capsys.readouterr().out)["items"]}


def test_rejected_bundles_leave_mlflow_and_what_the_last_five_promotions_need_stays(
    six: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", six.tracking_uri)
    everything = {*"abcdef", "not-a", "not-f"}
    assert clean(capsys, "--days", "1", "--keep", "0") == set()  # none of them is a day old
    assert len(clean(capsys, "--days", "0", "--keep", "1", "--dry-run")) == 2
    assert stored(six) == everything
    gone = clean(capsys, "--days", "0", "--keep", "0")
    assert len(gone) == 3
    assert all(path.startswith("runs:/") and path.endswith("/bundle") for path in gone)
    assert stored(six) == set("bcdef")
    assert clean(capsys, "--days", "0", "--keep", "0") == set()

    # Versions have bundles of their own: every champion can still be gone back to.
    rollback(six, MODEL, "still there", to="1")
    assert cached(six, MODEL, tmp_path / "copies")[0].version == "1"
    with connected(six) as client:
        [experiment] = [e for e in client.search_experiments() if e.name == MODEL]
        runs = client.search_runs([experiment.experiment_id], "tags.digest LIKE '%'")
        assert len(runs) == 8 and all("size_bytes" in run.data.metrics for run in runs)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert rejected(Registry(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}"), ()) == ()
    assert not (tmp_path / "mlflow.db").exists()
