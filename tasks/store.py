"""The store: files and folders by their SHA-256, at an address that several machines reach.

`PARSIMONY_STORE` names it: a folder, `s3://bucket/prefix`, or any other address of fsspec; without it, it is a folder of PARSIMONY_HOME.
What lies there is named by its digest, and still nothing is taken for its name: every read takes the digest of what it got.
"""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parsimony.errors import InfrastructureError, ParsimonyError, first_line
from parsimony.files import (
    MANIFEST,
    FileRef,
    digest_bytes,
    digest_file,
    digest_of,
    is_complete,
    new_folder,
    touch,
    verify_folder,
)
from parsimony.tasks.registry.secrets import shown_address, without_secrets

VARIABLE = "PARSIMONY_STORE"
_MOST_NOTE_BYTES = 1 << 16
_HEX = frozenset("0123456789abcdef")
_S3 = frozenset({"s3", "s3a"})
# There are no folders in a bucket: to make one would make the bucket itself, by a mistyped name too.
_BUCKETS = _S3 | {"gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci"}


class ChangedError(InfrastructureError):
    """What the store holds is not what its reference says."""


class AbsentError(InfrastructureError):
    """The store does not hold what a reference names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store: its address, which may hold a password and is never shown, and the folder of verified copies."""

    address: str
    cache: Path

    @property
    def shown(self) -> str:
        """The address without its secrets."""
        return shown_address(self.address)

    @property
    def _kind(self) -> str:
        return self.address.partition("://")[0] if "://" in self.address else "file"

    def put_bytes(self, content: bytes) -> FileRef:
        """Keep these bytes and return their reference; what is there already is read again before it is relied on."""
        reference = FileRef(uri=_name(digest_bytes(content)), sha256=digest_bytes(content), size_bytes=len(content))
        try:
            self.get_bytes(reference)
        except (AbsentError, ChangedError):
            self._write(reference.uri, content)
        return reference

    def get_bytes(self, reference: FileRef) -> bytes:
        """Return what a reference names; AbsentError where nothing is there, ChangedError where something else is."""
        uri = _name(reference.sha256)
        content = self._read(uri, reference.size_bytes)
        if len(content) != reference.size_bytes or digest_bytes(content) != reference.sha256:
            raise ChangedError(
                f"{uri} of the store {self.shown} is not what was put there (SHA-256 {digest_bytes(content)[:12]}…, "
                f"{len(content):,} bytes or more); expected {reference.sha256[:12]}…, {reference.size_bytes:,} bytes; it is not used"
            )
        return content

    def put_folder(self, folder: Path) -> FileRef:
        """Keep a folder with a manifest, the manifest last; its reference is the manifest's."""
        for listed in _listed(verify_folder(folder)):
            self.put_bytes(_as_listed(folder / listed.uri, listed))
        return self.put_bytes((folder / MANIFEST).read_bytes())

    def get_folder(self, reference: FileRef) -> Path:
        """Return a verified copy of a folder on this machine, fetched where there is none."""
        _name(reference.sha256)
        copy = self.cache / reference.sha256
        if is_complete(copy) and digest_file(copy / MANIFEST) == reference.sha256:
            touch(copy)
            return copy
        manifest = self.get_bytes(reference)
        with new_folder(copy) as work:
            for listed in _listed(_parsed(manifest)):
                path = work / listed.uri
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.get_bytes(listed))
            (work / MANIFEST).write_bytes(manifest)
            verify_folder(work)
        return copy

    def note(self, key: str, reference: FileRef) -> None:
        """Write down which object answers a question whose digest is `key`; the last writer's word stays."""
        said = {"sha256": reference.sha256, "size_bytes": reference.size_bytes}
        text = json.dumps({**said, "check": digest_of(key, said)})
        self._write(_note(key), text.encode())

    def noted(self, key: str) -> FileRef | None:
        """Return what was written down under a key; None where nothing was, or something that is no note of this key."""
        with suppress(AbsentError, ValueError, TypeError, KeyError, RecursionError):
            said = dict(json.loads(self._read(_note(key), _MOST_NOTE_BYTES)))
            if said.pop("check") == digest_of(key, said):
                return FileRef(uri=_name(said["sha256"]), sha256=said["sha256"], size_bytes=int(said["size_bytes"]))
        return None

    def _write(self, name: str, content: bytes) -> None:
        """Write under a temporary name and rename, so that a name never holds a part; several writers write the same."""
        with _told(self, "written"):
            files, root = self._opened()
            path, work = f"{root}/{name}", f"{root}/tmp/{secrets.token_hex(16)}"
            for parent in (path, work) if self._kind not in _BUCKETS else ():
                files.makedirs(parent.rpartition("/")[0], exist_ok=True)
            files.pipe_file(work, content)
            files.mv(work, path)

    def _read(self, name: str, size_bytes: int) -> bytes:
        """Return what lies under a name, one byte more than expected at most."""
        with _told(self, "read"):
            files, root = self._opened()
            try:
                return bytes(files.cat_file(f"{root}/{name}", start=0, end=size_bytes + 1))
            except FileNotFoundError as error:
                raise AbsentError(
                    f"the store {self.shown} holds no {name}; put it there again, or name the store that has it in {VARIABLE}"
                ) from error

    def _opened(self) -> tuple[Any, str]:
        """Return the file system of fsspec and the path of the store in it."""
        fsspec = importlib.import_module("fsspec")
        try:
            files, path = fsspec.core.url_to_fs(self.address)
        except ImportError as error:
            extra = "pip install 'parsimony[store]'" if self._kind in _S3 else first_line(error, 200)
            raise InfrastructureError(f"{VARIABLE} {self.shown} needs a package that is missing: {extra}") from error
        return files, str(path).rstrip("/")


@contextmanager
def _told(store: Store, what: str) -> Iterator[None]:
    """Say what a file system or a network refuses as our own error, without the secrets of the address."""
    try:
        yield
    except ParsimonyError:
        raise
    except Exception as error:  # every file system has its own
        raise InfrastructureError(
            f"the store {store.shown} cannot be {what}: {without_secrets(first_line(error, 200), store.address)}; look whether it is "
            f"there, and whether {VARIABLE} and its credentials are right"
        ) from error


def _name(sha256: str) -> str:
    """Return where an object lies; ValueError for what is no digest: a name never leads elsewhere."""
    if len(sha256) != 64 or not set(sha256) <= _HEX:
        raise ValueError(f"found {sha256[:80]!r}, expected a SHA-256 of 64 hexadecimal digits")
    return f"sha256/{sha256[:2]}/{sha256[2:]}"


def _note(key: str) -> str:
    return f"notes/{_name(key).partition('/')[2]}.json"


def _parsed(manifest: bytes) -> dict[str, object]:
    try:
        return dict(json.loads(manifest))
    except (ValueError, TypeError, RecursionError) as error:
        raise ChangedError(f"a folder of the store has a manifest that cannot be read ({first_line(error)})") from error


def _listed(manifest: Mapping[str, Any]) -> tuple[FileRef, ...]:
    """Return the files of a manifest; ChangedError for a path that leads out of its folder."""
    try:
        entries = [
            FileRef(uri=str(each["path"]), sha256=str(each["sha256"]), size_bytes=int(each["bytes"]))
            for each in manifest["files"]
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise ChangedError(f"a folder of the store has a manifest that cannot be read ({first_line(error)})") from error
    for entry in entries:
        parts = entry.uri.replace("\\", "/").split("/")
        if {"", ".", ".."} & set(parts) or ":" in parts[0] or entry.uri == MANIFEST:
            raise ChangedError(f"a manifest of the store names {entry.uri[:80]!r}, which lies outside its folder")
    return tuple(entries)


def _as_listed(path: Path, listed: FileRef) -> bytes:
    content = path.read_bytes()
    if digest_bytes(content) != listed.sha256:
        raise InfrastructureError(f"{path} changed while it was read; build it again")
    return content
