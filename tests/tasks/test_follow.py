"""A server of a registered model, from its first start to a rollback, with a real registry beside it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from serving_clients import Server, started
from test_registry import MODEL, decision_on, put_into_production, template_database

from parsimony.flows import follow, settings
from parsimony.flows.cli import main as cli
from parsimony.serving import champion_file
from parsimony.tasks.registry.promotion import champion, rollback
from parsimony.tasks.registry.tracking import Registry

pytestmark = pytest.mark.slow
__all__ = ["template_database"]  # a fixture
PROMISED_S = 10.0


@pytest.fixture
def registry(template_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return the registry of a home of its own."""
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    shutil.copyfile(template_database, tmp_path / "home" / "mlflow" / "mlflow.db")
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    where = settings.prepare()
    return Registry(tracking_uri=where.tracking_uri, artifact_root=where.artifact_root)


def test_promotion_and_rollback_are_served_within_ten_seconds(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "one"))
    follow.look_up(MODEL)
    with started(tmp_path / "log", MODEL, environment={"PARSIMONY_HOME": str(tmp_path / "home")}) as server:
        assert _version(server) == "1"
        _until_followed(tmp_path / "home")
        assert put_into_production(registry, decision_on(tmp_path, "two")) == "2"
        _expect(server, "2")
        present = champion(registry, MODEL)
        assert present is not None and server.ask("GET", "/v2").headers["x-parsimony-digest"] == present.digest
        rollback(registry, MODEL, reason="complaints")
        _expect(server, "1")
        assert server.ask("GET", "/v2/health/ready").json["refused"] is None
    assert [line["version"] for line in server.lines if line["event"] == "swap"] == ["2", "1"]


def test_it_handles_the_signal_that_ends_a_container(registry: Registry) -> None:
    """The first process of a container hears no signal that it does not handle: it would be killed after a minute."""
    command = [sys.executable, "-P", "-m", "parsimony.flows.follow", MODEL]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and "no champion" in process.stderr.readline()
    process.terminate()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM


def _version(server: Server) -> str:
    return server.ask("GET", "/ping").headers["x-parsimony-version"]


def _until_followed(home: Path) -> None:
    """Wait until the process beside the server has looked for the first time: it loads MLflow first."""
    path, end = champion_file.path_in(home, MODEL), time.monotonic() + 120
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        assert time.monotonic() < end
        time.sleep(0.2)


def _expect(server: Server, version: str) -> None:
    since = time.monotonic()
    while _version(server) != version:
        assert time.monotonic() - since < PROMISED_S, f"version {version} is not served after {PROMISED_S} s"
        time.sleep(0.1)


def test_a_champion_that_was_changed_in_the_store_is_not_named(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_into_production(registry, decision_on(tmp_path, "one"))
    named = follow.look_up(MODEL)
    source = champion_file.path_in(settings.look().home, MODEL)
    assert (named.version, champion_file.read(source)) == ("1", named)
    put_into_production(registry, decision_on(tmp_path, "two"))
    for labels in (tmp_path / "home" / "mlflow" / "artifacts").rglob("labels.json"):
        labels.write_text("[]")
    shutil.rmtree(tmp_path / "home" / "champions", ignore_errors=True)
    assert follow.once(MODEL) == 4
    assert "changed after it was stored" in capsys.readouterr().err
    assert champion_file.read(source) == named


def test_a_model_without_a_champion_is_said_before_anything_listens(
    registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["serve", "never-trained", "--port", "0"]) == 2
    assert "no champion named never-trained" in capfd.readouterr().err
