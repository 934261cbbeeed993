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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1")),
        ({"NO_PROXY": "corp.example"}, ("corp.example,localhost,127.0.0.1,::1",) * 2),
        ({"no_proxy": " a , b,"}, ("a,b,localhost,127.0.0.1,::1",) * 2),
        ({"NO_PROXY": "a", "no_proxy": "b"}, ("a,localhost,127.0.0.1,::1", "b,localhost,127.0.0.1,::1")),
        ({"NO_PROXY": "*"}, ("*", "*")),
        ({"NO_PROXY": "", "no_proxy": "127.0.0.1"}, ("localhost,127.0.0.1,::1", "127.0.0.1,localhost,::1")),
    ],
)
def test_this_machine_is_never_reached_through_a_proxy(
    given: dict[str, str], expected: tuple[str, str], tmp_path: Path
) -> None:
    environment = {"PARSIMONY_HOME": str(tmp_path), "HTTP_PROXY": "http://127.0.0.1:9", **given}
    settings.prepare(environment)
    assert (environment["NO_PROXY"], environment["no_proxy"]) == expected
    settings.prepare(environment)
    assert (environment["NO_PROXY"], environment["no_proxy"]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("library", ["urllib", "requests", "httpx"])
def test_the_libraries_that_talk_to_servers_go_around_a_dead_proxy_to_this_machine(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import http.server
    import threading
    import urllib.request

    import httpx
    import requests

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "corp.example")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path))
    settings.prepare()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for host in ("127.0.0.1", "localhost"):
            address = f"http://{host}:{server.server_port}/"
            if library == "urllib":
                assert urllib.request.urlopen(address, timeout=10).status == 200
            else:
                assert {"requests": requests, "httpx": httpx}[library].get(address, timeout=10).status_code == 200
        server.shutdown()


def test_who_only_reads_uses_a_folder_that_cannot_be_written_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"SQLite format 3")
    assert settings.look({"PARSIMONY_HOME": str(tmp_path)}) == settings.prepare({"PARSIMONY_HOME": str(tmp_path)})
    occupied = tmp_path / "file"
    occupied.write_text("", encoding="utf-8")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        settings.look({"PARSIMONY_HOME": str(occupied / "home")})
