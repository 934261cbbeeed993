"""Files that lie at the top of the checkout, and beside the package in an installation."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from parsimony.errors import InfrastructureError

_PLACE = "share/parsimony"


def shipped(name: str) -> Path:
    """Return the file of this name: of the checkout, else wherever the installer put it (an environment, `--user`, `--target`).

    Raises InfrastructureError when there is none.
    """
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and (root / name).is_file():
        return root / name
    recorded = importlib.metadata.distribution("parsimony").files or ()
    paths = [Path(str(file.locate())) for file in recorded if file.as_posix().endswith(f"{_PLACE}/{name}")]
    paths.append(root / _PLACE / name)  # `pip install --target` moves the file, and records where it was
    for path in paths:
        if path.is_file():
            return path.resolve()
    raise InfrastructureError(f"{paths[-1]} is missing; install parsimony again")
