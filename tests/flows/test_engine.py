"""Prefect's temporary server: for a home of any name, gone when its block ends, and not started where one is named."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from parsimony.errors import InfrastructureError
from parsimony.flows import settings
from parsimony.flows.engine import serving
from parsimony.flows.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_"))]:
        monkeypatch.delenv(name)


def prepared(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Prepare the environment of this process for a home, to be put back afterwards."""
    known = {"PARSIMONY_HOME": str(home)}
    where = settings.prepare(known)
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    return where


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", 'was? #1 50% %41 it\'s ä "q" $HOME {x}'])
def test_a_home_of_any_name_has_a_server_as_long_as_the_block_lasts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    where = prepared(tmp_path / name, monkeypatch)
    with serving(where):
        address = os.environ["PREFECT_API_URL"]
        assert urllib.request.urlopen(f"{address}/health", timeout=30).read() == b"true"
    assert "PREFECT_API_URL" not in os.environ
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{address}/health", timeout=30)
    assert {path.name for path in tmp_path.iterdir()} == {"work", name}
    assert list((tmp_path / "work").iterdir()) == []
    assert (tmp_path / name / "prefect" / "prefect.db").is_file()


def test_a_server_that_is_named_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    where = settings.prepare({"PARSIMONY_HOME": str(tmp_path), "PREFECT_API_URL": "http://127.0.0.1:4200/api"})
    assert where.prefect_home is None
    with serving(where):
        assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"


def asked(address: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Ask for the runs and their plans, as Prefect's client does; return the status and the headers of the reply."""
    request = urllib.request.Request(
        f"{address}/flow_runs/filter", b"{}", {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, {name.lower(): value for name, value in reply.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}


@pytest.mark.slow
def test_no_page_and_no_process_without_the_token_of_the_run_reads_a_plan_or_gives_an_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "of:another server")
    with serving(prepared(tmp_path, monkeypatch)):
        address, token = os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_AUTH_STRING"]
        status, headers = asked(address, Origin="https://page.example")
        assert (status, "access-control-allow-origin" in headers) == (401, False)
        wrong = base64.b64encode(b"of:another server").decode()
        assert asked(address, Authorization=f"Basic {wrong}")[0] == 401
        right = base64.b64encode(token.encode()).decode()
        status, headers = asked(address, Authorization=f"Basic {right}", Origin="https://page.example")
        assert (status, "access-control-allow-origin" in headers) == (200, False)
        assert len(token) > 40
    assert os.environ["PREFECT_API_AUTH_STRING"] == "of:another server"


KILLED = """
import os, signal, sys
from parsimony.flows import settings
from parsimony.flows.engine import serving
with serving(settings.prepare()):
    print(os.environ["PREFECT_API_URL"], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_server_ends_with_a_run_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    address = done.stdout.strip()
    time.sleep(1.0)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{address}/health", timeout=30)


@pytest.mark.slow
def test_a_server_that_cannot_start_is_one_line_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = prepared(tmp_path, monkeypatch)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////nowhere/at/all/prefect.db")
    with (
        pytest.raises(InfrastructureError, match="Prefect's temporary server did not start: ") as caught,
        serving(where),
    ):
        pass
    assert "\n" not in str(caught.value) and "server.log" in str(caught.value)
