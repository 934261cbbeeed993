"""A PostgreSQL server of Debian's package for as long as a block lasts: a free port, files in a temporary folder, no superuser of the machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_VERSIONS = Path("/usr/lib/postgresql")
_QUICK = "fsync=off\nfull_page_writes=off\nshared_buffers=32MB\nmax_connections=200\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A server that runs on this machine."""

    port: int

    def uri(self, name: str) -> str:
        """Return the address of a database as MLflow takes it."""
        return f"postgresql+psycopg2://storm@127.0.0.1:{self.port}/{name}"

    def make(self, name: str, template: str | None = None) -> None:
        """Make a database, as a copy of another where one is named."""
        self._say(f"CREATE DATABASE {name}" + (f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""))

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._say(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _say(self, statement: str) -> None:
        import psycopg2

        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="storm", dbname="postgres")
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()


def programs() -> Path | None:
    """Return the folder of the newest server that is installed; None without one, or without Python's library for it."""
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return None
    folders = sorted(_VERSIONS.glob("*/bin"), key=lambda path: int(path.parent.name))
    return folders[-1] if folders else None


@contextmanager
def postgres(encoding: str = "UTF8") -> Iterator[Postgres]:
    """Start a server whose databases have this encoding, and end it with the block, with its files."""
    bin_folder = programs()
    if bin_folder is None:
        raise FileNotFoundError(
            "no PostgreSQL server is installed: apt-get install postgresql; pip install psycopg2-binary"
        )
    data = Path(tempfile.mkdtemp(prefix="storm-postgres-"))
    as_user: Mapping[str, str] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(data, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])

    def run(program: str, *arguments: str) -> None:
        command = [str(bin_folder / program), "-D", str(data), *arguments]
        done = subprocess.run(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, **as_user
        )
        if done.returncode:
            raise OSError(f"{program}: {done.stderr.strip()[-500:]}")

    run("initdb", "-U", "storm", "-A", "trust", "--no-sync", "-E", encoding, "--locale=C")
    (data / "postgresql.auto.conf").write_text(_QUICK, encoding="utf-8")
    options = f"-p {port} -h 127.0.0.1 -k {data}"
    run("pg_ctl", "-w", "-l", str(data / "log"), "-o", options, "start")
    try:
        yield Postgres(port=port)
    finally:
        run("pg_ctl", "-m", "fast", "-w", "stop")
        shutil.rmtree(data, ignore_errors=True)
