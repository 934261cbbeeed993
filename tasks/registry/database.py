"""The database behind MLflow where no server is: its address, its creation, and its artifacts after the folder was moved."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from sqlalchemy import Engine

# A second name of the same dialect: MLflow makes folders of whatever follows the first.
_BY_URI = "sqlite+pysqlite:///file:"
_PLAIN = "sqlite:///"
_WAL = b"\x02\x02"
# Where MLflow keeps absolute addresses of artifacts.
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def address_of(path: Path) -> str:
    """Return the address of a SQLite file; a question mark would begin the options of an address, so it is escaped."""
    return f"{_BY_URI}{quote(str(path))}?uri=true" if "?" in str(path) else f"{_PLAIN}{path}"


def read_only_address_of(path: Path) -> str:
    """Return the address of a SQLite file that cannot be written.

    One with a write-ahead log needs files beside it even to be read, so it is read as it lies.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    immutable = "&immutable=1" if header[18:20] == _WAL else ""
    return f"{_BY_URI}{quote(str(path))}?mode=ro{immutable}&uri=true"


def path_of(uri: str) -> Path | None:
    """Return the file of a SQLite address; None for every other address."""
    if uri.startswith(_BY_URI):
        return Path(unquote(uri.removeprefix(_BY_URI).partition("?")[0]))
    return Path(uri.removeprefix(_PLAIN).partition("?")[0]) if uri.startswith(_PLAIN) else None


def is_read_only(uri: str) -> bool:
    """Say whether this address only reads."""
    return uri.startswith(_BY_URI) and "mode=ro" in uri


def create(uri: str) -> None:
    """Create a SQLite database under a temporary name and link it into place, complete.

    MLflow's own creation takes seconds; killed half-way, or started twice, it leaves a database that it then refuses.
    """
    from mlflow import MlflowClient

    path = path_of(uri)
    if path is None or path.exists() or is_read_only(uri):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mlflow-") as work:
        fresh = Path(work).resolve() / path.name
        MlflowClient(address_of(fresh), address_of(fresh)).search_experiments(max_results=1)
        with suppress(FileExistsError):
            os.link(fresh, path)


def moved_from(location: str, root: Path, name: str) -> Path | None:
    """Return the folder of artifacts in which an experiment of this name was created, when it is not `root`.

    `location` is what MLflow says of the experiment. None when it lies below `root`, elsewhere than on disk, or when `root`
    holds nothing of it, so that nothing can have moved there.
    """
    path = local_path(location)
    if path is None or path.name != name or path.parent == root or not (root / name).is_dir():
        return None
    return path.parent


def local_path(uri: str) -> Path | None:
    """Return the path of a local address (`file:///...` or a path); None for every other one."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if not parts.scheme and uri.startswith("/") else None


def rebased(uri: str, old: Path, new: Path) -> str:
    """Return a local address below `old` as the same one below `new`; every other address as it is."""
    path = local_path(uri)
    return (new / path.relative_to(old)).as_uri() if path is not None and path.is_relative_to(old) else uri


def move(uri: str, old: Path, new: Path) -> None:
    """Let every address of artifacts below `old` lie below `new`, in one transaction.

    MLflow has no call for it, and puts a new run's files where the experiment was created.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        columns = {table: _columns(engine, table) for table, _ in _ADDRESSES}
        with engine.begin() as connection:
            for table, column in _ADDRESSES:
                for before, after in ((old.as_uri(), new.as_uri()), (str(old), str(new))):
                    if column in columns[table]:
                        values = {"old": before, "new": after, "length": len(before)}
                        connection.execute(sqlalchemy.text(_statement(table, column)), values)
    finally:
        engine.dispose()


def _columns(engine: Engine, table: str) -> set[str]:
    import sqlalchemy

    inspector = sqlalchemy.inspect(engine)
    return {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()


def _statement(table: str, column: str) -> str:
    """Return the statement that replaces a beginning; a folder's name that only begins alike is another folder."""
    return (
        f"UPDATE {table} SET {column} = :new || substr({column}, :length + 1) "
        f"WHERE substr({column}, 1, :length) = :old AND substr({column} || '/', :length + 1, 1) = '/'"
    )
