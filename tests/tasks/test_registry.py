"""Runs, versions, promotions and served models, on a real MLflow with a temporary SQLite database."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest
from bundles import write_tiny_bundle
from decisions import ENVIRONMENT

from parsimony.bundle import predict
from parsimony.bundle.folder import Windows, describe
from parsimony.candidates import BuiltBundle
from parsimony.data.table import Dataset
from parsimony.decision.journal import Champion, fold
from parsimony.decision.records import Certificate, Cost, Decision, GateSettings, Judged, Outcome, Score
from parsimony.errors import InfrastructureError, PlanError
from parsimony.measurement.records import Measurement, Quantile, TargetSettings
from parsimony.tasks.registry import promotion
from parsimony.tasks.registry.entries import JOURNAL_SUFFIX
from parsimony.tasks.registry.journal import ALIAS
from parsimony.tasks.registry.metrics import numbers_of
from parsimony.tasks.registry.promotion import (
    champion,
    download,
    history,
    keep,
    promote,
    rollback,
)
from parsimony.tasks.registry.refusals import without_secrets
from parsimony.tasks.registry.tracking import (
    CANDIDATE_TAG,
    RUN_TAG,
    Recorded,
    Registry,
    attach,
    connected,
    record,
)
from parsimony.tasks.registry.versions import Verified, model_code, register

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow


os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

MODEL = "tiny-banking"
TEXTS = ["hello there", "rain and sun", "send money", "", "hi " * 9000]


# --- material -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def template_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create MLflow's tables once; every test copies the file, since creating them takes seconds."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    with connected(Registry(tracking_uri=f"sqlite:///{path}")):
        return path


@pytest.fixture
def registry(template_database: Path, tmp_path: Path) -> Registry:
    shutil.copyfile(template_database, tmp_path / "mlflow.db")
    return Registry(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", artifact_root=str(tmp_path / "artifacts"))


@pytest.fixture
def mlflow_client(registry: Registry) -> Iterator[MlflowClient]:
    with connected(registry) as client:
        yield client


def measured(target: str, p99_ms: float) -> Measurement:
    return Measurement(
        target=target,
        samples=1000,
        p50=Quantile(value_ms=0.3, low_ms=0.2, high_ms=0.4),
        p90=Quantile(value_ms=0.5, low_ms=0.4, high_ms=0.6),
        p99=Quantile(value_ms=p99_ms, low_ms=p99_ms, high_ms=p99_ms),
        throughput_per_s=1000 / p99_ms,
        peak_rss_bytes=60_000_000,
        startup_s=0.2,
        noise=0.01,
        stable=True,
        environment=replace(ENVIRONMENT, cpu="Example CPU"),
    )


def judged_pass(candidate: str, built: BuiltBundle) -> Judged:
    score = Score(n=100, correct=92, accuracy=0.92, macro_f1=0.91)
    return Judged(
        candidate=candidate,
        family="student",
        base="package:example",
        shape=("L2",),
        techniques=("int8",),
        predicted_bytes=1200,
        bundle=built,
        validation=score,
        certificate=Certificate(
            level=0.05,
            n=100,
            score=score,
            difference=-0.002,
            lower_bound=-0.008,
            only_reference_right=3,
            only_candidate_right=2,
            verdict="pass",
            needed=None,
            position=0,
        ),
        measurements=(measured("here", 0.9),),
        gates=(),
        verdict="pass",
        reason="within 0.01 of the reference",
        cost_s=12.5,
    )


def not_built(candidate: str) -> Judged:
    return Judged(
        candidate=candidate,
        family="linear",
        base="",
        shape=(),
        techniques=(),
        predicted_bytes=90_000,
        bundle=None,
        validation=None,
        certificate=None,
        measurements=(),
        gates=(),
        verdict="not built",
        reason="out of budget",
        cost_s=0.0,
    )


def decide(
    *judged: Judged,
    winner: str | None,
    outcome: Outcome = "promoted",
    run_id: str = "run-1",
    started_at: str = "2999-01-01T00:00:00+00:00",
) -> Decision:
    return Decision(
        outcome=outcome,
        reason="the smallest candidate that passes every gate",
        model=MODEL,
        winner=winner,
        reference="reference",
        judged=judged,
        gates=GateSettings(metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0),
        targets=(TargetSettings(name="here", threads=1, p99_ms=50.0, peak_rss_bytes=None, size_bytes=None),),
        dataset=Dataset(
            folder="/data/tiny",
            digest="d" * 64,
            labels=("greeting", "weather", "transfer"),
            train_rows=800,
            validation_rows=100,
            test_rows=100,
            test_digest="e" * 64,
            quarantined=(),
            notes=(),
        ),
        smallest_certifiable_margin=0.006,
        cost=Cost(
            wall_s=60.0, stages=(("train", 50.0),), energy_wh=None, energy_source="unavailable", carbon_g=None,
            carbon_source="unavailable",
        ),
        test_reuse=1,
        seed=0,
        started_at=started_at,
        run_id=run_id,
    )  # fmt: skip


def decision_on(folder: Path, name: str, outcome: Outcome = "promoted") -> Decision:
    """Return a decision for a new tiny bundle called `name`, in a run of the same name."""
    built = write_tiny_bundle(folder / name, name=name)
    return decide(judged_pass(name, built), winner=name, outcome=outcome, run_id=f"run-{name}")


def put_into_production(registry: Registry, decision: Decision) -> str:
    """Record, register and promote; return the version."""
    verified = registered(registry, decision)
    promote(registry, decision, verified)
    return verified.version


def registered(registry: Registry, decision: Decision, card: str = "# PASS") -> Verified:
    """Record a decision and register its winner."""
    assert decision.winner is not None
    recorded = record(registry, decision, tags={})
    return register(registry, decision, version_card=card, run_id_of_winner=recorded.of(decision.winner))


def rows_of(profile: str | None) -> int:
    return int(json.loads(str(profile))["num_rows"])


def alias_of(client: MlflowClient) -> str:
    return str(client.get_registered_model(MODEL).aliases.get(ALIAS))


def stored_bundle(client: MlflowClient, version: str) -> Path:
    return Path(client.get_model_version_download_uri(MODEL, version).removeprefix("file://")) / "artifacts" / "bundle"


def append_by_hand(client: MlflowClient, *, expect: str, version: str, attempt: str = "by-hand") -> None:
    """Append a journal entry as another process would, with whatever head that process believes in."""
    tags = {
        "attempt": attempt,
        "kind": "promote",
        "expect": expect,
        "version": version,
        "digest": "f" * 64,
        "size_bytes": "1",
        "reason": "by hand",
        "at": "2026-01-05T03:00:00+00:00",
    }
    client.create_model_version(MODEL + JOURNAL_SUFFIX, source="/nowhere", tags=tags)


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "mlruns", "file:///srv/mlruns", "databricks"])
def test_an_address_without_server_or_database_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="neither a server nor a database"):
        Registry(tracking_uri=address)


def test_a_failing_mlflow_is_reported_in_one_line_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to be read as one")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with pytest.raises(InfrastructureError) as caught:
        champion(Registry(tracking_uri=address), MODEL)
    assert address in str(caught.value)
    assert "is writable" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreachable_server_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://user:secret@127.0.0.1:{free_port()}"
    with pytest.raises(
        InfrastructureError, match=r"MLflow at http://127\.0\.0\.1:\d+: .*check that the server runs"
    ) as caught:
        history(Registry(tracking_uri=address), MODEL)
    assert "secret" not in str(caught.value)


def test_passwords_in_addresses_are_not_shown() -> None:
    assert without_secrets("http://user:secret@host:5000/x failed") == "http://host:5000/x failed"


def test_a_database_appears_complete_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    registry = Registry(tracking_uri=f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}")
    assert champion(registry, MODEL) is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mlflow.db"]


# --- runs -----------------------------------------------------------------------------------------


def test_a_decision_becomes_one_parent_run_and_one_child_per_candidate(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    built = write_tiny_bundle(tmp_path / "tiny")
    decision = decide(judged_pass("student+int8", built), not_built("linear"), winner="student+int8")
    (tmp_path / "report.html").write_text("<h1>report</h1>")
    recorded = record(registry, decision, tags={"git_sha": "abc"})
    attach(registry, recorded, {"receipt.html": tmp_path / "report.html"})

    parent = mlflow_client.get_run(recorded.run_id)
    assert (parent.info.run_name, parent.info.status) == ("run-1", "FINISHED")
    assert mlflow_client.get_experiment(recorded.experiment_id).name == MODEL
    assert parent.data.params == {
        "gates.metric": "accuracy", "gates.margin": "0.01", "gates.confidence": "0.95", "gates.floor": "0.0",
        "gates.slice_margin": "0.1", "gates.slice_floor": "0.0", "gates.champion_margin": "0.02", "gates.approval": "none", "gates.underpowered": "False",
    }  # fmt: skip
    assert {key: parent.data.tags[key] for key in ("outcome", "winner", "git_sha", RUN_TAG)} == {
        "outcome": "promoted", "winner": "student+int8", "git_sha": "abc", RUN_TAG: "run-1",
    }  # fmt: skip
    assert parent.data.metrics["smallest_certifiable_margin"] == 0.006
    assert [file.path for file in mlflow_client.list_artifacts(recorded.run_id)] == ["receipt.html"]

    child = mlflow_client.get_run(recorded.of("student+int8"))
    assert (child.info.status, child.data.tags["mlflow.parentRunId"]) == ("FINISHED", recorded.run_id)
    assert child.data.params == {"family": "student", "base": "package:example", "shape": "L2", "techniques": "int8"}
    assert child.data.metrics == {
        "predicted_bytes": 1200.0, "size_bytes": float(built.size_bytes), "cost_s": 12.5,
        "validation_accuracy": 0.92, "validation_macro_f1": 0.91, "test_accuracy": 0.92, "test_macro_f1": 0.91,
        "test_difference": -0.002, "test_lower_bound": -0.008,
        "p50_ms": 0.3, "p99_ms": 0.9, "throughput_per_s": 1000 / 0.9, "peak_rss_bytes": 60_000_000.0,
    }  # fmt: skip
    assert child.data.tags["digest"] == built.digest
    assert json.loads(child.data.tags["environment/here"])["cpu"] == "Example CPU"
    assert sorted(file.path for file in mlflow_client.list_artifacts(recorded.of("student+int8"), "bundle")) == [
        "bundle/config.json", "bundle/labels.json", "bundle/manifest.json", "bundle/model.onnx", "bundle/tokenizer.json",
    ]  # fmt: skip

    other = mlflow_client.get_run(recorded.of("linear"))
    assert (other.data.tags["verdict"], other.data.tags["reason"]) == ("not built", "out of budget")
    assert other.data.metrics == {"predicted_bytes": 90_000.0, "cost_s": 0.0}


def test_the_splits_are_inputs_of_every_run_with_their_digests(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    recorded = record(registry, decision_on(tmp_path, "a"), tags={})
    for run_id in (recorded.run_id, recorded.of("a")):
        inputs = mlflow_client.get_run(run_id).inputs
        assert inputs is not None
        observed = {
            (each.tags[0].value, each.dataset.name, each.dataset.digest, rows_of(each.dataset.profile))
            for each in inputs.dataset_inputs
        }
        assert observed == {
            ("train", f"{MODEL}-train", "d" * 36, 800),
            ("validation", f"{MODEL}-validation", "d" * 36, 100),
            ("test", f"{MODEL}-test", "e" * 36, 100),
        }


def test_recording_again_continues_the_same_runs(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    decision = decision_on(tmp_path, "a")
    first = record(registry, decision, tags={})
    mlflow_client.update_run(first.run_id, status="RUNNING")
    mlflow_client.set_terminated(first.of("a"), "FAILED")
    shutil.rmtree(Path(mlflow_client.get_run(first.of("a")).info.artifact_uri.removeprefix("file://")))

    assert record(registry, decision, tags={}) == first
    assert len(mlflow_client.search_runs([first.experiment_id])) == 2
    assert {run.info.status for run in mlflow_client.search_runs([first.experiment_id])} == {"FINISHED"}
    assert len(mlflow_client.list_artifacts(first.of("a"), "bundle")) == 5


def test_a_run_that_cannot_be_recorded_ends_as_failed(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    recorded = record(registry, decision_on(tmp_path, "a"), tags={})
    with pytest.raises(InfrastructureError, match="absent.md"):
        attach(registry, recorded, {"report.md": tmp_path / "absent.md"})
    experiment = mlflow_client.get_experiment_by_name(MODEL)
    assert experiment is not None
    runs = mlflow_client.search_runs([experiment.experiment_id])
    assert {run.data.tags.get(CANDIDATE_TAG): run.info.status for run in runs} == {None: "FAILED", "a": "FINISHED"}


def test_a_deleted_experiment_is_restored(registry: Registry, mlflow_client: MlflowClient, tmp_path: Path) -> None:
    decision = decision_on(tmp_path, "a")
    first = record(registry, decision, tags={})
    mlflow_client.delete_experiment(first.experiment_id)
    assert record(registry, decision, tags={}).experiment_id == first.experiment_id


def test_artifacts_lie_below_the_artifact_root(registry: Registry, mlflow_client: MlflowClient, tmp_path: Path) -> None:
    recorded = record(registry, decision_on(tmp_path, "a"), tags={})
    location = mlflow_client.get_experiment(recorded.experiment_id).artifact_location
    assert location == (tmp_path / "artifacts" / MODEL).as_uri()


def test_twenty_five_candidates_are_recorded_in_less_than_fifteen_seconds(registry: Registry, tmp_path: Path) -> None:
    judged = [judged_pass(f"c{i}", write_tiny_bundle(tmp_path / f"c{i}", name=f"c{i}")) for i in range(25)]
    start = time.monotonic()
    recorded = record(registry, decide(*judged, winner="c0"), tags={})
    assert len(recorded.children) == 25
    assert time.monotonic() - start < 15


def test_the_run_of_an_unknown_candidate_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Recorded(experiment_id="1", run_id="r", children=(("a", "r1"),)).of("b")


def test_headline_numbers_are_those_of_the_worst_target(tmp_path: Path) -> None:
    judged = replace(
        judged_pass("a", write_tiny_bundle(tmp_path / "a")),
        measurements=(measured("here", 1.0), measured("edge/arm", 4.0)),
    )
    numbers = numbers_of(judged)
    assert (numbers["p99_ms"], numbers["throughput_per_s"]) == (4.0, 250.0)
    assert (numbers["here/p99_ms"], numbers["edge_arm/p99_ms"]) == (1.0, 4.0)


def test_a_p99_of_too_few_samples_is_no_headline(tmp_path: Path) -> None:
    judged = replace(
        judged_pass("a", write_tiny_bundle(tmp_path / "a")),
        measurements=(measured("here", 1.0), replace(measured("edge", 4.0), samples=367)),
    )
    numbers = numbers_of(judged)
    assert "p99_ms" not in numbers and "edge/p99_ms" not in numbers
    assert (numbers["here/p99_ms"], numbers["p50_ms"]) == (1.0, 0.3)


# --- versions -------------------------------------------------------------------------------------


def test_a_winner_becomes_one_version_with_description_and_tags(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    decision = decision_on(tmp_path, "a")
    built = decision.judged[0].bundle
    assert built is not None
    recorded = record(registry, decision, tags={})
    verified = register(registry, decision, version_card="1.2 kB acc .920 PASS", run_id_of_winner=recorded.of("a"))
    version = verified.version
    assert verified == Verified(version="1", digest=built.digest)

    stored = mlflow_client.get_model_version(MODEL, version)
    assert (version, stored.description, stored.run_id) == ("1", "1.2 kB acc .920 PASS", recorded.of("a"))
    assert stored.tags == {
        "digest": built.digest,
        "size_bytes": str(built.size_bytes),
        "verdict": "pass",
        "candidate": "a",
        "family": "student",
        "shape": "L2",
        "techniques": "int8",
        "reason": decision.reason,
        "data_digest": "d" * 64,
        "run_id": "run-a",
    }
    logged = mlflow_client.get_logged_model(str(stored.source).removeprefix("models:/"))
    assert logged.source_run_id == recorded.of("a")
    assert {metric.key: metric.value for metric in logged.metrics or ()} == numbers_of(decision.judged[0])
    assert describe(stored_bundle(mlflow_client, version)).digest == built.digest


def test_a_version_needs_onnxruntime_tokenizers_and_numpy_only(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    version = put_into_production(registry, decision_on(tmp_path, "a"))
    requirements = stored_bundle(mlflow_client, version).parents[1] / "requirements.txt"
    names = {line.partition("==")[0] for line in requirements.read_text().split()}
    assert names == {"mlflow", "onnxruntime", "tokenizers", "numpy"}


def test_registering_the_same_bundle_again_returns_the_same_version(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    decision = decision_on(tmp_path, "a")
    versions = [registered(registry, decision).version for _ in range(2)]
    assert versions == ["1", "1"]
    assert len(mlflow_client.search_model_versions(f"name='{MODEL}'")) == 1


def test_a_decision_without_a_winner_registers_and_promotes_nothing(registry: Registry) -> None:
    decision = decide(not_built("linear"), winner=None, outcome="none")
    with pytest.raises(ValueError, match="has no winner"):
        register(registry, decision, version_card="", run_id_of_winner="run")
    with pytest.raises(ValueError, match="has no winner"):
        promote(registry, decision, Verified(version="1", digest="d" * 64))
    assert champion(registry, MODEL) is None


def test_an_existing_version_that_was_tampered_with_is_not_reused(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    decision = decision_on(tmp_path, "a")
    (stored_bundle(mlflow_client, registered(registry, decision).version) / "labels.json").write_text('["x", "y", "z"]')
    with pytest.raises(InfrastructureError, match="gives no sound bundle"):
        registered(registry, decision)


def test_a_new_version_is_downloaded_once_before_it_is_made(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.artifacts

    fetched: list[str] = []
    download_artifacts = mlflow.artifacts.download_artifacts

    def counted(**keywords: Any) -> str:
        fetched.append(keywords["artifact_uri"])
        return str(download_artifacts(**keywords))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", counted)
    put_into_production(registry, decision_on(tmp_path, "a"))
    assert len(fetched) == 1


def test_registering_leaves_the_process_wide_address_alone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere:5000")
    put_into_production(registry, decision_on(tmp_path, "a"))
    assert mlflow.get_tracking_uri() == "http://elsewhere:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    put_into_production(registry, decision_on(tmp_path, "b"))
    assert "MLFLOW_TRACKING_URI" not in os.environ


# --- promotion ------------------------------------------------------------------------------------


def test_a_promoted_winner_is_the_champion_and_has_the_alias(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    decision = decision_on(tmp_path, "a")
    built = decision.judged[0].bundle
    assert built is not None
    version = put_into_production(registry, decision)
    (entry,) = history(registry, MODEL)
    assert champion(registry, MODEL) == Champion(
        model=MODEL,
        version=version,
        digest=built.digest,
        size_bytes=built.size_bytes,
        candidate="a",
        journal_number=1,
        reason=decision.reason,
        at=entry.at,
    )
    assert (entry.kind, entry.expect, entry.number, entry.version) == ("promote", None, 1, version)
    assert alias_of(mlflow_client) == version


def test_promoting_twice_writes_one_entry(registry: Registry, tmp_path: Path) -> None:
    decision = decision_on(tmp_path, "a")
    put_into_production(registry, decision)
    before = history(registry, MODEL)
    assert promote(registry, decision, registered(registry, decision)) == before[0]
    assert keep(registry, MODEL) == before[0]
    assert history(registry, MODEL) == before


def test_the_next_champion_expects_the_one_before(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    put_into_production(registry, decision_on(tmp_path, "b"))
    assert [(entry.number, entry.expect, entry.version) for entry in history(registry, MODEL)] == [
        (1, None, "1"),
        (2, 1, "2"),
    ]


def test_an_entry_that_lost_its_race_changes_nothing(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    put_into_production(registry, decision_on(tmp_path, "b"))
    before = champion(registry, MODEL)
    append_by_hand(mlflow_client, expect="1", version="1")
    append_by_hand(mlflow_client, expect="none", version="1", attempt="another")
    assert champion(registry, MODEL) == before
    assert len(history(registry, MODEL)) == 2


def test_versions_of_the_journal_that_are_no_entries_are_ignored(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    before = history(registry, MODEL)
    mlflow_client.create_model_version(MODEL + JOURNAL_SUFFIX, source="/nowhere")
    append_by_hand(mlflow_client, expect="soon", version="1")
    assert history(registry, MODEL) == before
    put_into_production(registry, decision_on(tmp_path, "b"))
    assert [entry.number for entry in history(registry, MODEL)] == [1, 4]


def test_a_winner_that_never_saw_the_present_champion_is_refused(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    late = replace(decision_on(tmp_path, "b"), started_at="2026-01-01T00:00:00")
    with pytest.raises(InfrastructureError, match="while this run was judging"):
        put_into_production(registry, late)
    assert len(history(registry, MODEL)) == 1


def test_a_winner_judged_against_the_present_champion_replaces_it(registry: Registry, tmp_path: Path) -> None:
    first = decision_on(tmp_path, "a")
    put_into_production(registry, first)
    second = decision_on(tmp_path, "b")
    present = replace(first.judged[0], candidate="champion", is_champion=True)
    judged = replace(second, judged=(*second.judged, present), started_at="2026-01-01T00:00:00")
    put_into_production(registry, judged)
    assert [entry.version for entry in history(registry, MODEL)] == ["1", "2"]


def test_an_alias_moved_by_hand_is_mended(registry: Registry, mlflow_client: MlflowClient, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    decision = decision_on(tmp_path, "b")
    version = put_into_production(registry, decision)
    mlflow_client.set_registered_model_alias(MODEL, ALIAS, "1")
    assert keep(registry, MODEL) == history(registry, MODEL)[-1]
    assert alias_of(mlflow_client) == version
    mlflow_client.delete_registered_model_alias(MODEL, ALIAS)
    keep(registry, MODEL)
    assert alias_of(mlflow_client) == version
    assert len(history(registry, MODEL)) == 2


def test_the_champion_is_the_journals_even_when_the_alias_says_otherwise(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    version = put_into_production(registry, decision_on(tmp_path, "b"))
    mlflow_client.set_registered_model_alias(MODEL, ALIAS, "1")
    result = champion(registry, MODEL)
    assert result is not None
    assert result.version == version


def test_keeping_a_champion_that_was_never_promoted_is_refused(registry: Registry) -> None:
    with pytest.raises(InfrastructureError, match="no promotion journal"):
        keep(registry, MODEL)


def test_a_decision_that_keeps_the_champion_promotes_nothing(registry: Registry, tmp_path: Path) -> None:
    decision = decision_on(tmp_path, "a")
    verified = registered(registry, decision)
    with pytest.raises(ValueError, match="nothing to promote"):
        promote(registry, replace(decision, outcome="kept"), verified)
    assert history(registry, MODEL) == ()


def test_a_version_that_holds_another_bundle_is_not_promoted(registry: Registry, tmp_path: Path) -> None:
    first = decision_on(tmp_path, "a")
    put_into_production(registry, first)
    with pytest.raises(InfrastructureError, match="expected the winner's"):
        promote(registry, decision_on(tmp_path, "b"), registered(registry, first))
    assert len(history(registry, MODEL)) == 1


def test_writers_who_race_leave_one_chain_and_an_alias_at_its_end(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    decisions = [decision_on(tmp_path, name) for name in "abcd"]
    versions = {}
    for decision in decisions:
        versions[str(decision.winner)] = registered(registry, decision)
    threads = [
        threading.Thread(target=promote, args=(registry, decision, versions[str(decision.winner)]))
        for decision in decisions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    chain = history(registry, MODEL)
    assert {entry.version for entry in chain} == {verified.version for verified in versions.values()}
    assert [entry.expect for entry in chain] == [None, *(entry.number for entry in chain[:-1])]
    assert alias_of(mlflow_client) == chain[-1].version


# --- rolling back ---------------------------------------------------------------------------------


def test_a_rollback_brings_back_the_champion_before(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    put_into_production(registry, decision_on(tmp_path, "b"))
    entry = rollback(registry, MODEL, "complaints")
    assert (entry.kind, entry.version, entry.expect, entry.reason) == ("rollback", "1", 2, "complaints")
    assert fold(history(registry, MODEL)) == entry
    assert alias_of(mlflow_client) == "1"


def test_a_bundle_that_was_rolled_back_is_not_promoted_again(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    bad = decision_on(tmp_path, "b")
    put_into_production(registry, bad)
    rollback(registry, MODEL, "complaints")
    with pytest.raises(PlanError, match="was rolled back"):
        promote(registry, bad, registered(registry, bad))
    with pytest.raises(PlanError, match="no earlier champion"):
        rollback(registry, MODEL, "again")


def test_there_is_no_rollback_to_a_bundle_that_does_not_verify(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path
) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    put_into_production(registry, decision_on(tmp_path, "b"))
    (stored_bundle(mlflow_client, "1") / "model.onnx").unlink()
    with pytest.raises(InfrastructureError, match="gives no sound bundle"):
        rollback(registry, MODEL, "complaints")
    assert len(history(registry, MODEL)) == 2


# --- downloading ----------------------------------------------------------------------------------


def test_a_download_is_the_promoted_bundle(registry: Registry, tmp_path: Path) -> None:
    decision = decision_on(tmp_path, "a")
    put_into_production(registry, decision)
    fetched = download(registry, MODEL, tmp_path / "fetched")
    built = decision.judged[0].bundle
    assert built is not None
    assert fetched == replace(built, folder=str(tmp_path / "fetched"))
    assert download(registry, MODEL, tmp_path / "fetched") == fetched


def test_a_download_replaces_an_older_bundle(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    first = download(registry, MODEL, tmp_path / "fetched")
    put_into_production(registry, decision_on(tmp_path, "b"))
    assert download(registry, MODEL, tmp_path / "fetched").digest != first.digest


def test_a_download_never_replaces_other_files(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(PlanError, match="something other than a bundle"):
        download(registry, MODEL, tmp_path / "home")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"


Tampering = Literal["changed", "missing", "extra", "all gone", "rebuilt"]


@pytest.mark.parametrize("tampering", ["changed", "missing", "extra", "all gone", "rebuilt"])
def test_a_tampered_bundle_is_refused(
    registry: Registry, mlflow_client: MlflowClient, tmp_path: Path, tampering: Tampering
) -> None:
    stored = stored_bundle(mlflow_client, put_into_production(registry, decision_on(tmp_path, "a")))
    if tampering == "changed":
        (stored / "tokenizer.json").write_text("{}")
    elif tampering == "missing":
        (stored / "tokenizer.json").unlink()
    elif tampering == "extra":
        (stored / "payload.py").write_text("print('hello')")
    elif tampering == "all gone":
        shutil.rmtree(stored)
    else:
        shutil.rmtree(stored)
        write_tiny_bundle(stored, name="sound, but another one")
    with pytest.raises(InfrastructureError, match="roll back"):
        download(registry, MODEL, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_an_unknown_model_is_refused_with_the_known_names(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no champion named absent; known models: none yet"):
        download(registry, "absent", tmp_path / "fetched")
    put_into_production(registry, decision_on(tmp_path, "a"))
    with pytest.raises(PlanError, match=f"no champion named absent; known models: {MODEL}"):
        download(registry, "absent", tmp_path / "fetched")
    assert champion(registry, "absent") is None
    assert history(registry, "absent") == ()


# --- the stored model code ------------------------------------------------------------------------


def test_the_stored_model_predicts_what_the_bundle_predicts(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pyfunc
    import pandas as pd

    put_into_production(registry, decision_on(tmp_path, "a"))
    expected = predict.load(tmp_path / "a").predict(TEXTS)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    model: Any = mlflow.pyfunc.load_model(f"models:/{MODEL}@{ALIAS}")
    for given in (TEXTS, pd.Series(TEXTS), pd.DataFrame({"text": TEXTS}), pd.DataFrame(TEXTS)):
        assert model.predict(given) == expected


def test_the_stored_model_refuses_what_is_not_text(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pyfunc

    put_into_production(registry, decision_on(tmp_path, "a"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    model: Any = mlflow.pyfunc.load_model(f"models:/{MODEL}@{ALIAS}")
    with pytest.raises(TypeError, match="expected a text"):
        model.predict(["hello", None])


@pytest.mark.parametrize("windows", ["first", "mean"])
def test_the_stored_code_reads_the_windows_that_the_bundle_reads(windows: Windows, tmp_path: Path) -> None:
    """As MLflow runs it: by itself, with the folder of the bundle."""
    folder = Path(write_tiny_bundle(tmp_path / "b", windows=windows).folder)
    code = runpy.run_path(str(model_code()))
    model = code["BundleModel"]()
    model.load_context(SimpleNamespace(artifacts={"bundle": str(folder)}))
    texts = ["hello " * 32 + "rain " * 40, "hello", "", "rain " * 33]
    assert model.predict(None, texts) == predict.load(folder).predict(texts)


def test_the_stored_code_cuts_texts_where_the_bundle_does() -> None:
    assert f"MAX_CHARS = {predict.MAX_CHARS:_}" in model_code().read_text()


def test_the_command_line_does_not_pay_for_mlflow() -> None:
    code = "import sys, parsimony.tasks.registry.promotion; sys.exit('mlflow' in sys.modules)"
    root = Path(promotion.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def predictions(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def mlflow_process(arguments: list[str], folder: Path, *, health: str, environment: dict[str, str]) -> Iterator[None]:
    """Run `mlflow ARGUMENTS` until the block ends; the block starts when `health` answers."""
    # MLflow starts `uvicorn` by name, and looks for it on the path.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *arguments],
            cwd=folder,
            env={**os.environ, **environment, "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not predictions(health):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def ask(url: str, body: dict[str, object]) -> object:
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_mlflow_serves_the_champion_over_http(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    root = f"http://127.0.0.1:{(port := free_port())}"
    arguments = ["models", "serve", "-m", f"models:/{MODEL}@{ALIAS}", "--env-manager", "local", "--port", str(port)]
    environment = {"MLFLOW_TRACKING_URI": registry.tracking_uri}
    with mlflow_process(arguments, tmp_path, health=f"{root}/ping", environment=environment):
        answer = {"predictions": ["greeting", "transfer"]}
        table = {"columns": ["text"], "data": [["hello"], ["send money"]]}
        assert ask(f"{root}/invocations", {"inputs": ["hello", "send money"]}) == answer
        assert ask(f"{root}/invocations", {"dataframe_split": table}) == answer


def test_a_server_gives_what_a_database_gives(template_database: Path, tmp_path: Path) -> None:
    shutil.copyfile(template_database, tmp_path / "server.db")
    root = f"http://127.0.0.1:{(port := free_port())}"
    arguments = [
        "server", "--port", str(port), "--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}",
        "--artifacts-destination", str(tmp_path / "stored"),
    ]  # fmt: skip
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": r"^models:/m-[0-9a-f]{32}\Z",
    }
    with mlflow_process(arguments, tmp_path, health=f"{root}/health", environment=environment):
        registry = Registry(tracking_uri=root)
        first, second = decision_on(tmp_path, "a"), decision_on(tmp_path, "b")
        versions = [put_into_production(registry, decision) for decision in (first, second, second)]
        assert versions == ["1", "2", "2"]
        assert rollback(registry, MODEL, "complaints").version == "1"
        assert [(e.number, e.kind, e.expect, e.version) for e in history(registry, MODEL)] == [
            (1, "promote", None, "1"),
            (2, "promote", 1, "2"),
            (3, "rollback", 2, "1"),
        ]
        result = champion(registry, MODEL)
        assert result is not None
        assert download(registry, MODEL, tmp_path / "fetched").digest == result.digest
        with connected(registry) as client:
            assert alias_of(client) == "1"
        with pytest.raises(PlanError, match=f"known models: {MODEL}"):
            download(registry, "absent", tmp_path / "other")


def test_two_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    code = f"from parsimony.tasks.registry.promotion import *; champion(Registry(tracking_uri={address!r}), 'any')"
    root = Path(promotion.__file__).parents[2]
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mlflow.db"]
