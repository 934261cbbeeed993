"""The rooms of the house, which are the folders of `parsimony`: which imports which, and a copy of them to change."""

from __future__ import annotations

import ast
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import parsimony
from parsimony import files

ROOT = Path(parsimony.__file__).parent
# Modules beside the rooms: records, refusals, verified folders. They decide nothing of what is trained or built.
BESIDE = ("candidates", "errors", "files")


def imported_by(room: str) -> tuple[str, ...]:
    """Return every room, and every module beside them, that a room imports, itself and by way of others included."""
    names, waiting = set[str](), [room]
    while waiting:
        if (name := waiting.pop()) not in names:
            names.add(name)
            waiting += _imports(name)
    return tuple(sorted(names))


def _imports(room: str) -> Iterator[str]:
    for path in sources(ROOT, room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (parts[1] for alias in node.names if (parts := alias.name.split("."))[0] == "parsimony")
            elif isinstance(node, ast.ImportFrom) and node.module == "parsimony":
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("parsimony."):
                yield str(node.module).split(".")[1]


def sources(root: Path, room: str) -> list[Path]:
    """Return the source files of a room, or the one of a module."""
    return sorted((root / room).rglob("*.py")) if (root / room).is_dir() else [root / f"{room}.py"]


@contextlib.contextmanager
def copied(target: Path) -> Iterator[Path]:
    """Give a copy of all rooms, of which `code_digest` makes its digests meanwhile."""
    copy = Path(shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns("__pycache__")))
    files.__file__, real = str(copy / "files" / "__init__.py"), files.__file__
    try:
        yield copy
    finally:
        files.__file__ = real
        files.code_digest.cache_clear()
