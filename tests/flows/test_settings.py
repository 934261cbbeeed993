from __future__ import annotations

from pathlib import Path

import pytest

from parsimony.errors import InfrastructureError
from parsimony.flows import settings


def test_the_default_home_lies_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = settings.prepare({})
    assert prepared.home == tmp_path / ".parsimony"
    assert prepared.tracking_uri == f"sqlite:///{tmp_path}/.parsimony/mlflow/mlflow.db"
    assert prepared.artifact_root == f"{tmp_path}/.parsimony/mlflow/artifacts"


def test_servers_that_are_named_are_used(tmp_path: Path) -> None:
    environment = {
        "PARSIMONY_HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
    }
    prepared = settings.prepare(environment)
    assert (prepared.tracking_uri, prepared.artifact_root) == ("http://127.0.0.1:5000", None)
    assert "PREFECT_HOME" not in environment


def test_no_telemetry_is_left_on_and_what_the_user_set_stays(tmp_path: Path) -> None:
    environment = {"PARSIMONY_HOME": str(tmp_path), "MLFLOW_LOGGING_LEVEL": "DEBUG"}
    settings.prepare(environment)
    off = {
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    assert {name: environment[name] for name in off} == off
    assert environment["MLFLOW_LOGGING_LEVEL"] == "DEBUG"


def test_a_home_that_cannot_be_written_is_refused_with_what_to_do(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("", encoding="utf-8")
    with pytest.raises(
        InfrastructureError, match=r"PARSIMONY_HOME .*file/home cannot be written \(Not a directory\); set"
    ):
        settings.prepare({"PARSIMONY_HOME": str(occupied / "home")})
