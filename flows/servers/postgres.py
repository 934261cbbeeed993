"""The databases of the two servers: SQLite files of the home, or one PostgreSQL server with a database for each."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from parsimony.errors import InfrastructureError, PlanError, first_line
from parsimony.tasks.registry import database
from parsimony.tasks.registry.secrets import without_secrets

_SCHEMES = ("postgres", "postgresql")
_ENCODING = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = $1"
_NAMES = {"prefect": "parsimony_prefect", "mlflow": "parsimony_mlflow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Databases:
    """The addresses of both databases; "" lets Prefect use the file of its own folder."""

    prefect: str
    mlflow: str


def of_home(home: Path) -> Databases:
    """Return the files below the home: MLflow's is the one that the command line uses too."""
    return Databases(prefect="", mlflow=database.address_of(home / "mlflow" / "mlflow.db"))


def on_server(address: str) -> Databases:
    """Return two databases of a PostgreSQL server, made when they are missing; each library has migrations of its own.

    `address` is `postgresql://user@host:port`; a password may stand in it, in PGPASSWORD or in ~/.pgpass. Raises PlanError for
    another address, InfrastructureError when the server does not take it.
    """
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES or not parts.netloc or parts.path.strip("/"):
        raise PlanError(
            f"--postgres {without_secrets(address, address)}: expected postgresql:// with user, host and port, without a database; the two "
            f"databases are called {' and '.join(_NAMES.values())}"
        )
    asyncio.run(_make(urlunsplit(("postgresql", parts.netloc, "/postgres", parts.query, "")), address))
    prefect, mlflow = (
        urlunsplit((scheme, parts.netloc, f"/{name}", parts.query, ""))
        for scheme, name in zip(("postgresql+asyncpg", "postgresql"), _NAMES.values(), strict=True)
    )
    return Databases(prefect=prefect, mlflow=mlflow)


async def _make(address: str, shown: str) -> None:
    try:
        import asyncpg
        import psycopg2  # noqa: F401  # MLflow's driver
    except ImportError as error:
        raise InfrastructureError(
            f"--postgres needs {error.name}, which is not installed; pip install 'parsimony[postgres]'"
        ) from error
    try:
        connection = await asyncpg.connect(address, timeout=10)
        try:
            for name in _NAMES.values():
                encoding = await connection.fetchval(_ENCODING, name)
                if encoding is None:
                    plain = re.sub("[^a-z_]", "", name)
                    await connection.execute(f"CREATE DATABASE {plain} ENCODING 'UTF8' TEMPLATE template0")
                elif encoding != "UTF8":
                    raise InfrastructureError(
                        f"database {name} of {without_secrets(shown, shown)} has the encoding {encoding}, which cannot keep text in every "
                        "script; rename it, so that one with UTF8 is made, or give another server"
                    )
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise InfrastructureError(
            f"PostgreSQL at {without_secrets(shown, shown)} cannot be used: {without_secrets(first_line(error, 200), shown)}; "
            "look whether it runs there, and takes this user"
        ) from error
