"""Folders with a manifest: written under a temporary name, renamed last, verified on every read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal, cast

from parsimony.errors import InfrastructureError
from parsimony.files.locks import held

MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 1 << 24


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where our own runs keep everything: PARSIMONY_HOME, else `.parsimony` in the working folder."""
    return Path(environment.get("PARSIMONY_HOME") or ".parsimony").expanduser().resolve()


def digest_bytes(data: bytes) -> str:
    """Return the SHA-256 of these bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces of 1 MiB."""
    with path.open("rb") as stream:
        return _digest(stream)


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(_CHUNK_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def digest_of(*parts: object) -> str:
    """Return the SHA-256 of values that JSON can hold; equal values give equal digests everywhere."""
    return digest_bytes(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode())


@lru_cache(maxsize=64)
def code_digest(*rooms: str) -> str:
    """Return one digest of every source file of these rooms, which are folders or modules below `parsimony`.

    What is cached depends on the code that made it: a change anywhere in a room makes it anew.
    """
    root = Path(__file__).parents[1]
    paths = [
        path
        for room in rooms
        for path in ((root / room).rglob("*.py") if (root / room).is_dir() else [root / f"{room}.py"])
    ]
    return digest_of(*((path.relative_to(root).as_posix(), digest_file(path)) for path in sorted(paths)))


def reference_to(path: Path) -> FileRef:
    """Describe a file as (uri, sha-256, bytes)."""
    return FileRef(uri=str(path), sha256=digest_file(path), size_bytes=path.stat().st_size)


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are readable by their owner alone, and a bundle is served by another user.
    work = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with work.open("x", encoding="utf-8") as stream:
            json.dump(value, stream, ensure_ascii=False, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def folder_bytes(folder: Path) -> int:
    """Count the bytes of every file below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_manifest(folder: Path, facts: Mapping[str, object]) -> None:
    """Write `manifest.json` last: the facts given and the SHA-256 and bytes of every other file."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    files = [
        {"path": path.relative_to(folder).as_posix(), "sha256": digest_file(path), "bytes": path.stat().st_size}
        for path in paths
    ]
    write_json(folder / MANIFEST, {**facts, "files": files})


def verify_folder(folder: Path) -> dict[str, object]:
    """Check every file against the manifest and return the manifest.

    Raises InfrastructureError when the manifest cannot be read, or a file is missing, extra, changed, a link, anything but a
    regular file, or outside the folder.
    """
    return read_folder(folder)[0]


def read_folder(folder: Path, keep: Collection[str] = ()) -> tuple[dict[str, object], dict[str, bytes]]:
    """Do what `verify_folder` does, and return the content of the files to keep too: the bytes whose digest was taken."""
    manifest, listed = _read_manifest(folder)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    if present - {MANIFEST} != (names := {entry.uri for entry in listed}):
        odd = sorted((present - {MANIFEST}) ^ names)
        raise InfrastructureError(f"{folder} holds {odd} beside or without what its manifest lists; build it again")
    return manifest, {entry.uri: content for entry in listed if (content := _verified(folder, entry, keep)) is not None}


def _read_manifest(folder: Path) -> tuple[dict[str, object], tuple[FileRef, ...]]:
    """Return the manifest and the files that it lists, paths relative to the folder."""
    path = folder / MANIFEST
    if not os.path.lexists(path):
        raise InfrastructureError(f"{folder} has no {MANIFEST}: it is incomplete; build or download it again")
    with _opened(path) as (stream, size):
        if size > _MOST_MANIFEST_BYTES:
            raise InfrastructureError(f"{path} has {size:,} bytes, expected at most {_MOST_MANIFEST_BYTES:,}")
        text = stream.read(_MOST_MANIFEST_BYTES)
    try:
        manifest: dict[str, object] = dict(json.loads(str(text, "utf-8")))
        listed = tuple(
            FileRef(uri=str(entry["path"]), sha256=str(entry["sha256"]), size_bytes=int(entry["bytes"]))
            for entry in cast("Iterable[dict[str, str]]", manifest["files"])
        )
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise InfrastructureError(f"{path} is not a manifest ({error}); build or download it again") from error
    if not listed:
        raise InfrastructureError(f"{path} lists no files; build or download it again")
    return manifest, listed


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Give a regular file, without following a link and without waiting for a pipe, and its size."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if path.is_symlink():
            raise InfrastructureError(f"{path} is a link; it is not read; put a copy of the file there") from error
        if error.errno == errno.ENXIO:  # a socket
            raise InfrastructureError(f"{path} is no regular file; it is not read") from error
        raise
    about = os.fstat(number)
    if not stat.S_ISREG(about.st_mode):
        os.close(number)
        raise InfrastructureError(f"{path} is no regular file; it is not read")
    with os.fdopen(number, "rb") as stream:
        if about.st_nlink > 1:
            raise InfrastructureError(f"{path} is a link; it is not read; put a copy of the file there")
        yield stream, about.st_size


def _verified(folder: Path, entry: FileRef, keep: Collection[str]) -> bytes | None:
    """Compare a file with what its manifest says, and return its content where it is to be kept."""
    path = folder / entry.uri
    with _opened(path) as (stream, size):
        if size != entry.size_bytes:
            raise InfrastructureError(
                f"{path} has {size:,} bytes, its manifest says {entry.size_bytes:,}; build it again"
            )
        content = stream.read(size) if entry.uri in keep else None
        digest = digest_bytes(content) if content is not None else _digest(stream)
    if digest != entry.sha256:
        raise InfrastructureError(
            f"{path} has SHA-256 {digest[:12]}…, its manifest says {entry.sha256[:12]}…; build it again"
        )
    return content


@contextmanager
def new_folder(target: Path, present: Literal["replaced", "kept"] = "replaced") -> Iterator[Path]:
    """Give an empty folder that becomes `target` when the block ends well, and vanishes when it does not.

    A complete folder with the same manifest that is there already is left as it is, because somebody may be reading it;
    `present` says what becomes of one with another manifest: what is made from the same sources is "kept".
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not mkdtemp: its folders are open to their owner alone, and a bundle is served by another user.
    token = secrets.token_hex(8)
    fresh, work = (target.with_name(f".{target.name}.{kind}-{token}") for kind in ("new", "tmp"))
    fresh.mkdir()
    with held(fresh):
        fresh.replace(work)  # so that `sweep` meets it locked or not at all
        try:
            yield work
            _put(work, target, present)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _put(work: Path, target: Path, present: Literal["replaced", "kept"]) -> None:
    """Rename a folder that is finished to its name, unless what is there under that name stays."""
    made = digest_file(work / MANIFEST) if (work / MANIFEST).is_file() else ""
    while target.is_dir() or not _renamed(work, target):
        with suppress(FileNotFoundError), held(target, patience="wait") as hold:
            if hold == "gone":  # replaced while this process waited
                continue
            if is_complete(target) and (present == "kept" or digest_file(target / MANIFEST) == made):
                return
            aside = work.with_name(f"{work.name}-old")
            target.replace(aside)
            done = _renamed(work, target)
            shutil.rmtree(aside, ignore_errors=True)
            if done:
                return


def _renamed(work: Path, target: Path) -> bool:
    """Rename a folder; False where another process has put one there just before."""
    try:
        work.replace(target)
    except OSError:
        if target.is_dir():
            return False
        raise
    return True


def unfinished(parent: Path, *, older_than_s: float = 86_400.0) -> tuple[Path, ...]:
    """Return what killed processes left half-written below a folder: what no process holds.

    Where no lock can be had, that is what is older; younger ones may be in use.
    """
    if not parent.is_dir():
        return ()
    left = [path for path in parent.glob(".*.new-*") if _age_s(path) > older_than_s]
    for path in parent.glob(".*.tmp-*"):
        with suppress(OSError), held(path) as hold:
            if hold == "mine" or (hold == "unknown" and _age_s(path) > older_than_s):
                left.append(path)
    return tuple(left)


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def sweep(parent: Path) -> int:
    """Remove what killed processes left half-written below a folder; return how many folders."""
    for path in (left := unfinished(parent)):
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def discard(path: Path) -> None:
    """Remove a folder or a file; what a kill leaves of a folder is no folder of that name, and is swept."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(f".{path.name.lstrip('.')}.tmp-{secrets.token_hex(8)}")
    path.replace(aside)
    shutil.rmtree(aside, ignore_errors=True)


def touch(folder: Path) -> None:
    """Note on its manifest that a kept folder was used now; what is used is the last to be cleared away."""
    with suppress(OSError):  # kept where nothing can be written
        os.utime(folder / MANIFEST)


def is_complete(folder: Path) -> bool:
    """Say whether a folder exists and verifies against its manifest."""
    if not folder.is_dir():
        return False
    try:
        verify_folder(folder)
    except (InfrastructureError, OSError, ValueError):
        return False
    return True


# --- data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A file as it travels: where it lies, its SHA-256 and its size."""

    uri: str
    sha256: str
    size_bytes: int
