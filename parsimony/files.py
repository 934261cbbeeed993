"""Folders with a manifest: written under a temporary name, renamed last, verified on every read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.records import FileRef

MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of these bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def digest_of(*parts: object) -> str:
    """Return the SHA-256 of values that JSON can hold; equal values give equal digests everywhere."""
    return digest_bytes(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode())


def reference_to(path: Path) -> FileRef:
    """Describe a file as (uri, sha-256, bytes)."""
    return FileRef(uri=str(path), sha256=digest_file(path), size_bytes=path.stat().st_size)


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(value, stream, ensure_ascii=False, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).replace(path)


def folder_bytes(folder: Path) -> int:
    """Count the bytes of every file below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_manifest(folder: Path, facts: Mapping[str, object]) -> None:
    """Write `manifest.json` last: the facts given and the SHA-256 and bytes of every other file."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = [
        {"path": path.relative_to(folder).as_posix(), "sha256": digest_file(path), "bytes": path.stat().st_size}
        for path in paths
    ]
    write_json(folder / MANIFEST, {**facts, "files": files})


def verify_folder(folder: Path) -> dict[str, object]:
    """Check every file against the manifest and return the manifest.

    Raises InfrastructureError when a file is missing, extra, changed, a link, or outside the folder.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InfrastructureError(f"{folder} has no {MANIFEST}: it is incomplete; build or download it again")
    manifest: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    listed = manifest.get("files")
    if not isinstance(listed, list) or not listed:
        raise InfrastructureError(f"{path} lists no files; build or download it again")
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()} - {MANIFEST}
    if present != (names := {str(entry["path"]) for entry in listed}):
        raise InfrastructureError(f"{folder} holds {sorted(present ^ names)} beside or without what its manifest lists")
    for entry in listed:
        _verify_file(folder, str(entry["path"]), str(entry["sha256"]))
    return manifest


def _verify_file(folder: Path, name: str, sha256: str) -> None:
    path = folder / name
    if ".." in Path(name).parts or path.is_symlink() or path.stat().st_nlink > 1:
        raise InfrastructureError(f"{path} is a link or lies outside its folder; it is not read")
    if (found := digest_file(path)) != sha256:
        raise InfrastructureError(f"{path} has SHA-256 {found[:12]}…, its manifest says {sha256[:12]}…; build it again")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder that becomes `target` when the block ends well, and vanishes when it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.tmp-"))
    try:
        yield work
        if target.exists():
            shutil.rmtree(target)
        work.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_complete(folder: Path) -> bool:
    """Say whether a folder exists and verifies against its manifest."""
    if not folder.is_dir():
        return False
    try:
        verify_folder(folder)
    except (InfrastructureError, OSError, ValueError):
        return False
    return True
