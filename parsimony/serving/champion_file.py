"""The file that tells a server which bundle is in production: written by the process that follows the registry, read by those that serve.

So a server needs neither the registry nor its libraries, and goes on from the last verified copy when the registry is gone.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.files import write_json

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The champion as the journal named it last: `folder` holds its bundle; `note` says what a person should know."""

    model: str
    version: str
    digest: str
    folder: str
    note: str = ""


def path_in(home: Path, model: str) -> Path:
    """Return the file for a model below a home."""
    return home / "serving" / f"{model}.json"


def write(path: Path, named: Named) -> None:
    """Write which bundle is in production; where nothing has changed, only note that it was looked up now."""
    if path.is_file() and _is(path, named):
        with suppress(OSError):
            os.utime(path)
        return
    write_json(path, {"format": FORMAT, **asdict(named)})


def _is(path: Path, named: Named) -> bool:
    try:
        return read(path) == named
    except InfrastructureError:
        return False


def read(path: Path) -> Named:
    """Return which bundle is in production; InfrastructureError when the file does not say."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said.get("format") == FORMAT:
            return Named(**{name.name: str(said[name.name]) for name in fields(Named)})
        what = f"format {said.get('format')!r}"
    except (OSError, ValueError, KeyError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
    raise InfrastructureError(f"{path} does not say which bundle is in production ({what}); start the server again")


def age_s(path: Path) -> float | None:
    """Return since how many seconds production was not looked up; None when it never was."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None
