"""Prefect's temporary server: for a home of any name, gone when its block ends, and not started where one is named."""

from __future__ import annotations

import os
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
