"""`parsimony up --postgres` with Debian's server: both databases are made there, and nothing is kept in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from servers_up import start

from parsimony.errors import InfrastructureError
from parsimony.flows.cli.main import main
from parsimony.flows.servers.postgres import on_server
from parsimony.tasks.registry.artifact_store import try_text
from parsimony.tasks.registry.tracking import Registry
from tests.storm.postgres import Postgres, postgres, programs

pytestmark = [
    pytest.mark.flow,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.skipif(programs() is None, reason="no PostgreSQL server on this machine"),
]
NAMES = ("parsimony_prefect", "parsimony_mlflow")


def rows(server: Postgres, name: str, query: str) -> list[tuple[object, ...]]:
    import psycopg2

    connection = psycopg2.connect(host="127.0.0.1", port=server.port, user="storm", dbname=name)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())
    finally:
        connection.close()


def test_both_databases_are_made_and_used_and_the_home_holds_none(tmp_path: Path) -> None:
    with postgres() as server:
        up = start(tmp_path, "--postgres", f"postgresql://storm@127.0.0.1:{server.port}")
        try:
            assert up.deployment("smallest-model/on-demand")["work_pool_name"] == "parsimony"
            command = [sys.executable, "-m", "parsimony.flows.cli.main", "reconcile"]
            environment = {**os.environ, "MLFLOW_TRACKING_URI": up.mlflow, "PARSIMONY_HOME": str(tmp_path / "home")}
            subprocess.run(command, env=environment, check=True)
            assert list((tmp_path / "home").rglob("*.db")) == []
        finally:
            up.process.send_signal(signal.SIGINT)
            status = up.process.wait(timeout=60)
        assert status == 130
        prefect, mlflow = NAMES
        assert rows(server, prefect, "SELECT count(*) > 5 FROM deployment") == [(True,)]
        assert rows(server, mlflow, "SELECT name FROM experiments") == [("Default",)]


def test_databases_keep_text_in_every_script_whatever_the_server_does_by_itself() -> None:
    with postgres("SQL_ASCII") as server:
        address = f"postgresql://storm@127.0.0.1:{server.port}"
        mlflow = on_server(address).mlflow
        try_text(Registry(tracking_uri=mlflow, artifact_root=None), "intents")
        assert rows(
            server, "postgres", "SELECT count(*) FROM pg_database WHERE pg_encoding_to_char(encoding) = 'UTF8'"
        ) == [(2,)]


def test_a_database_with_another_encoding_is_refused_before_anything_is_trained() -> None:
    with postgres("SQL_ASCII") as server:
        address = f"postgresql://storm@127.0.0.1:{server.port}"
        server.make("parsimony_mlflow")
        with pytest.raises(InfrastructureError, match="parsimony_mlflow of .* has the encoding SQL_ASCII"):
            on_server(address)
        with pytest.raises(
            InfrastructureError, match="does not keep text in every script: .*ascii.*; nothing was trained"
        ):
            try_text(Registry(tracking_uri=f"{address}/parsimony_mlflow", artifact_root=None), "intents")


def test_an_address_with_a_database_is_refused_without_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path))
    assert main(["up", "--postgres", "postgresql://ada:hunter2secret@127.0.0.1/own"]) == 2
    said = capsys.readouterr().err
    assert "expected postgresql:// with user, host and port, without a database" in said and "hunter2secret" not in said
