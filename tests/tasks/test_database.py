"""The registry's own database: in folders of any name, in a folder that was moved or copied, read-only, and of another age."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from test_registry import MODEL, decision_on, put_into_production, template_database

from parsimony.bundle.folder import describe
from parsimony.errors import InfrastructureError
from parsimony.flows import settings
from parsimony.flows.cli.main import main
from parsimony.tasks.registry import database
from parsimony.tasks.registry.promotion import champion, download, history, rollback
from parsimony.tasks.registry.tracking import Registry

__all__ = ["template_database"]  # a fixture

NAMES = (
    "plain",
    "a b",
    "was?",
    "no#1",
    "50%",
    "%41%2F",
    "ärger",
    "it's",
    'say "so"',
    "a&b=c;d",
    "x?mode=memory#y%20z",
    "家",
)


def registry_in(home: Path, template: Path) -> Registry:
    """Return the registry of a home, which gets MLflow's tables."""
    (home / "mlflow").mkdir(parents=True)
    shutil.copyfile(template, home / "mlflow" / "mlflow.db")
    return registry_of(home)


def registry_of(home: Path) -> Registry:
    where = settings.look({"PARSIMONY_HOME": str(home)})
    return Registry(tracking_uri=where.tracking_uri, artifact_root=where.artifact_root)


def addresses(home: Path) -> set[str]:
    """Return the folders of artifacts that the database of a home names: all before the model's name."""
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as connection:
        queries = (f"SELECT {column} FROM {table}" for table, column in database._ADDRESSES)
        every = [row[0] for query in queries for row in connection.execute(query)]
    return {address.partition(f"/{MODEL}")[0] for address in every if address and f"/{MODEL}" in address}


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_address_names_its_file_whatever_the_folder_is_called(name: str, tmp_path: Path) -> None:
    from sqlalchemy import create_engine, text

    path = tmp_path / name / "mlflow.db"
    path.parent.mkdir()
    for address in (database.address_of(path), None):
        engine = create_engine(address or database.read_only_address_of(path))
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE t (a)" if address else "SELECT * FROM t"))
        assert database.path_of(str(address or database.read_only_address_of(path))) == path
        engine.dispose()
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["mlflow.db"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_home_of_any_name_keeps_a_champion_and_gives_it_back(
    name: str, template_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    home = tmp_path / name
    registry = registry_in(home, template_database)
    decision = decision_on(tmp_path, "a")
    assert put_into_production(registry, decision) == "1"
    monkeypatch.setenv("PARSIMONY_HOME", f"../{name}/")  # relative, with a slash at the end
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["champion", MODEL, "--download", "out"]) == 0
    assert main(["history", MODEL]) == 0
    assert main(["predict", MODEL, "hello"]) == 0
    winner = decision.of(str(decision.winner)).bundle
    assert winner is not None and describe(Path("out")).digest == winner.digest
    assert {path.name for path in tmp_path.iterdir()} == {"work", name, "a"}
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["out"]


# --- a folder that was moved ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("old", "new"), ("a b", "ä#?%"), ("?", "plain"), ("home", "home-2")])
def test_a_home_that_was_moved_is_read_and_written_where_it_is(
    old: str, new: str, template_database: Path, tmp_path: Path
) -> None:
    first, second = decision_on(tmp_path, "a"), decision_on(tmp_path, "b")
    assert put_into_production(registry_in(tmp_path / old, template_database), first) == "1"
    (tmp_path / old).rename(tmp_path / new)
    moved = registry_of(tmp_path / new)
    present = champion(moved, MODEL)
    assert present is not None and present.version == "1"
    assert download(moved, MODEL, tmp_path / "out").digest == present.digest
    assert addresses(tmp_path / new) == {
        (tmp_path / old / "mlflow" / "artifacts").as_uri()
    }  # who reads changes nothing
    assert put_into_production(moved, second) == "2"
    assert addresses(tmp_path / new) == {(tmp_path / new / "mlflow" / "artifacts").as_uri()}
    assert not (tmp_path / old).exists()
    assert rollback(moved, MODEL, "complaints").version == "1"
    assert [entry.version for entry in history(moved, MODEL)] == ["1", "2", "1"]


@pytest.mark.slow
def test_a_copy_of_a_home_is_a_home_of_its_own(template_database: Path, tmp_path: Path) -> None:
    original = registry_in(tmp_path / "home", template_database)
    put_into_production(original, decision_on(tmp_path, "a"))
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    before = sorted((tmp_path / "home").rglob("*"))
    copy = registry_of(tmp_path / "copy")
    assert put_into_production(copy, decision_on(tmp_path, "b")) == "2"
    assert sorted((tmp_path / "home").rglob("*")) == before
    assert addresses(tmp_path / "copy") == {(tmp_path / "copy" / "mlflow" / "artifacts").as_uri()}
    assert addresses(tmp_path / "home") == {(tmp_path / "home" / "mlflow" / "artifacts").as_uri()}
    present = champion(original, MODEL)
    assert present is not None and present.version == "1"


@pytest.mark.slow
def test_artifacts_that_are_gone_are_said_to_be_missing_not_to_be_deleted(
    template_database: Path, tmp_path: Path
) -> None:
    registry = registry_in(tmp_path / "home", template_database)
    put_into_production(registry, decision_on(tmp_path, "a"))
    (tmp_path / "home" / "mlflow" / "artifacts").rename(tmp_path / "elsewhere")
    with pytest.raises(InfrastructureError, match="set PARSIMONY_HOME to the folder that holds it") as caught:
        download(registry, MODEL, tmp_path / "out")
    assert "delete" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_only_begins_alike_is_another_folder(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "some.db") as connection:
        connection.execute("CREATE TABLE experiments (artifact_location TEXT)")
        rows = (
            "file:///srv/a/m",
            "/srv/a",
            "file:///srv/ab/m",
            "s3://srv/a/m",
            None,
            "file:///srv/a%5F/m",
            "file:///SRV/A/m",
        )
        connection.executemany("INSERT INTO experiments VALUES (?)", [(row,) for row in rows])
    database.move(database.address_of(tmp_path / "some.db"), Path("/srv/a"), Path("/new place"))
    with sqlite3.connect(tmp_path / "some.db") as connection:
        after = [row[0] for row in connection.execute("SELECT * FROM experiments")]
    assert after == ["file:///new%20place/m", "/new place", *rows[2:]]


@pytest.mark.parametrize("location", ["s3://bucket/m", "file:///other/name", "mlflow-artifacts:/m", "", "/"])
def test_what_lies_elsewhere_by_intention_has_not_moved(location: str, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    assert database.moved_from(location, tmp_path, "m") is None
    assert database.rebased("s3://old/m", Path("/old"), tmp_path) == "s3://old/m"
    assert database.moved_from("file:///old/m", tmp_path, "m") == Path("/old")
    assert database.moved_from("file:///old/n", tmp_path, "n") is None  # nothing of it is here


# --- read-only ------------------------------------------------------------------------------------


def as_reader(home: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user who may read the home and write nothing of it: nobody for root, else whoever runs the tests."""
    for path in (home, *home.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    another = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    environment = {"PATH": os.environ["PATH"], "PARSIMONY_HOME": str(home), "HOME": str(folder), "TMPDIR": str(folder)}
    return subprocess.run(
        [*another, sys.executable, *command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def typed(home: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return as_reader(home, folder, "-m", "parsimony.flows.cli.main", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_home_that_can_only_be_read_still_answers(journal: str, template_database: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place) / "free", Path(place) / "home"
        folder.mkdir()
        registry = registry_in(home, template_database)
        put_into_production(registry, decision_on(Path(place), "a"))
        with sqlite3.connect(home / "mlflow" / "mlflow.db") as connection:
            connection.execute(f"PRAGMA journal_mode={journal}")
        connection.close()
        (home / "runs" / "20250602-060000-aaaaaa").mkdir(parents=True)
        (home / "runs" / "20250602-060000-aaaaaa" / "receipt.json").write_text("{}", encoding="utf-8")
        Path(place).chmod(0o755)
        folder.chmod(0o777)
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
        shown = typed(home, folder, "champion", MODEL, "--json")
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["version"] == "1"
        told = typed(home, folder, "history", MODEL)
        assert told.returncode == 0 and "promote" in told.stdout, told.stderr
        labelled = typed(home, folder, "predict", MODEL, "hello")
        assert (labelled.returncode, labelled.stdout) == (0, "greeting\n"), labelled.stderr
        reported = typed(home, folder, "report")
        assert (reported.returncode, reported.stdout.strip().endswith("aaaaaa/report.html")) == (0, True), (
            reported.stderr
        )
        refused = typed(home, folder, "run", "plan.toml")
        assert (refused.returncode, refused.stderr.count("\n")) == (4, 1)
        assert "cannot be written (Permission denied); set PARSIMONY_HOME" in refused.stderr
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


@pytest.mark.slow
def test_a_database_that_can_only_be_read_is_refused_before_anything_is_trained() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        (Path(place) / "mlflow").mkdir()
        (Path(place) / "mlflow" / "mlflow.db").touch()
        code = "from parsimony.flows import settings; settings.prepare()"
        refused = as_reader(Path(place), Path(tempfile.gettempdir()), "-c", code)
    assert "InfrastructureError" in refused.stderr and "cannot be written" in refused.stderr


# --- of another age -------------------------------------------------------------------------------


def _before_last_change(path: Path) -> list[str]:
    """Create a database as the MLflow before the last change of its tables left it; return the tables that are missing."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import Base, _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base as Initial
    from sqlalchemy import create_engine, inspect

    engine = create_engine(database.address_of(path))
    Initial.metadata.create_all(engine)
    config = _get_alembic_config(database.address_of(path))
    before = ScriptDirectory.from_config(config).get_revision("head").down_revision
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, before)
    missing = sorted(set(Base.metadata.tables) - set(inspect(engine).get_table_names()))
    engine.dispose()
    return missing


@pytest.mark.slow
def test_an_older_database_is_refused_with_the_command_that_brings_it_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "it's 100%?" / "mlflow" / "mlflow.db"
    path.parent.mkdir(parents=True)
    missing = _before_last_change(path)
    with sqlite3.connect(
        path
    ) as connection:  # a database of which whole tables are missing MLflow brings up to date itself
        for table in missing:
            connection.execute(f"CREATE TABLE {table} (a)")
    registry = registry_of(tmp_path / "it's 100%?")
    with pytest.raises(InfrastructureError) as caught:
        champion(registry, MODEL)
    said = str(caught.value)
    assert "has the tables of an older MLflow; back it up, then run: mlflow db upgrade " in said
    assert "\n" not in said and "free space" not in said
    with sqlite3.connect(path) as connection:
        for table in missing:
            connection.execute(f"DROP TABLE {table}")
    command = shlex.split(said.partition("then run: ")[2])
    assert command[:3] == ["mlflow", "db", "upgrade"]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, timeout=120)
    assert champion(registry, MODEL) is None


@pytest.mark.slow
def test_a_newer_database_asks_for_the_newer_mlflow(template_database: Path, tmp_path: Path) -> None:
    registry = registry_in(tmp_path / "home", template_database)
    with sqlite3.connect(tmp_path / "home" / "mlflow" / "mlflow.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(InfrastructureError) as caught:
        champion(registry, MODEL)
    assert "mlflow" in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_is_not_repeated_in_the_command() -> None:
    from parsimony.tasks.registry.refusals import explain

    said = explain("postgresql://me:secret@host/mlflow", Exception("Detected out-of-date database schema (found ...)"))
    assert said.endswith('then run: mlflow db upgrade "$MLFLOW_TRACKING_URI"') and "secret" not in said
