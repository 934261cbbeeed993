"""What MLflow refuses, as one line: where, what, and what to do about it; without the secrets of addresses."""

from __future__ import annotations

import shlex

from parsimony.errors import InfrastructureError
from parsimony.tasks.registry import database
from parsimony.tasks.registry.secrets import shown_address, without_secrets

SERVERS = ("http://", "https://")
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_OLD_TABLES, _NEW_TABLES = "out-of-date database schema", "Can't locate revision"


class MissingError(InfrastructureError):
    """What was stored is not there any more; asking again does not bring it back."""


class ChangedError(InfrastructureError):
    """What is stored is not what was stored; it is never used."""


class UnreachableError(InfrastructureError):
    """What is stored could not be read now, so nothing is known about it."""


class UnsettledError(InfrastructureError):
    """MLflow went away in the middle of a promotion, so it is not known whether its entry was written."""


def failures() -> tuple[type[Exception], ...]:
    """Return the kinds of errors that MLflow, its database and the way there raise."""
    import mlflow  # noqa: F401  # first of all, so that where nothing is installed it is what is missing
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, CommandError, OSError)


def is_absent(error: Exception) -> bool:
    """Say whether MLflow's refusal says that there is no such thing."""
    return getattr(error, "error_code", "") in _ABSENT


def explain(uri: str, error: Exception) -> str:
    """Return what MLflow at this address refused, and the remedy."""
    where = f"MLflow at {shown_address(uri)}"
    if _OLD_TABLES in str(error):
        return f"{where} has the tables of an older MLflow; back it up, then run: mlflow db upgrade {_typed(uri)}"
    if _NEW_TABLES in str(error):
        return f"{where} has the tables of a newer MLflow; install that one: pip install --upgrade mlflow"
    if uri.startswith(SERVERS):
        remedy = "check that the server runs and that MLFLOW_TRACKING_URI names it"
    elif database.is_read_only(uri):
        remedy = "it can only be read here"
    else:
        remedy = "check that its folder exists, is writable and has free space"
    return f"{where}: {one_line(error, uri)}; {remedy}"


def _typed(uri: str) -> str:
    """Return an address as it is typed into a shell, one that writes; one with a password is not repeated."""
    if without_secrets(uri) != uri:
        return '"$MLFLOW_TRACKING_URI"'
    path = database.path_of(uri)
    return shlex.quote(uri if path is None else database.address_of(path))


def one_line(error: Exception, *addresses: str) -> str:
    """Return an error's message as one line of at most 300 characters, without the secrets of addresses."""
    return without_secrets(" ".join(str(error).split()) or type(error).__name__, *addresses)[:300]
