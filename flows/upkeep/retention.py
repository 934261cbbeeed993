"""What is no longer wanted: rejected candidates' bundles, here and in MLflow, old checkpoints, copies of old champions, cached predictions,
and what was kept for targets elsewhere.

A champion's bundle and those of the last five promotions stay, and so does every finished run with its receipt.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.files import MANIFEST, digest_file, discard, folder_bytes
from parsimony.files.locks import held
from parsimony.flows.upkeep.leftovers import RUNS, clear, leftovers
from parsimony.tasks.registry import inventory, rejected
from parsimony.tasks.registry.rejected import RunBundle
from parsimony.tasks.registry.tracking import Registry

# What a home holds in which places, in the words of a person. What is taken from its store is put there again when it is needed.
_KINDS = {
    "bundles/*": "rejected bundle",
    "champions/*": "copy of an old champion",
    "checkpoints/*": "checkpoint",
    "predictions/*": "cached predictions",
    "fetched/*": "copy of what was measured for another machine",
    "store/*/*/*": "object of the store",
}
_STORED = "rejected bundle in MLflow"
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Of each kind stay the newest `keep`, and whatever was used in the last `days`."""

    days: float
    keep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that may go: what it is, where it lies, its size, and when it was used last (seconds since 1970).

    It lies at a path, or in MLflow beside a run.
    """

    kind: str
    path: Path | RunBundle
    size_bytes: int
    used_at: float

    @property
    def place(self) -> str:
        """Where it lies, as it is shown."""
        return self.path.address if isinstance(self.path, RunBundle) else str(self.path)


def wanted(registry: Registry) -> frozenset[str]:
    """Return the digests that must be kept; InfrastructureError when any journal cannot be read: then nothing goes."""
    standings = inventory.standings(registry)
    for standing in standings:
        if standing.problem:
            raise InfrastructureError(
                f"the journal of {standing.model} cannot be read, so that nobody knows what it needs: {standing.problem}"
            )
    return frozenset[str]().union(*(standing.kept_digests for standing in standings))


def unwanted(
    home: Path, kept_digests: Collection[str], policy: Policy, stored: Collection[RunBundle] = ()
) -> tuple[Item, ...]:
    """Return what a policy lets go, the oldest first; what killed runs left comes first of all.

    stored: the bundles in MLflow that no champion needs.
    """
    left = [
        Item(kind=leftover.kind, path=leftover.path, size_bytes=leftover.size_bytes, used_at=0.0)
        for leftover in leftovers(home)
        if leftover.path is not None
    ]
    kinds = [list(_items(home.glob(places), kind, kept_digests)) for places, kind in _KINDS.items()]
    kinds.append([Item(kind=_STORED, path=s, size_bytes=s.size_bytes, used_at=s.ended_at) for s in stored])
    before, old = time.time() - policy.days * _DAY_S, []
    for items in kinds:
        newest = sorted(items, key=lambda item: -item.used_at)
        old += [item for item in newest[policy.keep :] if item.used_at < before]
    return (*left, *sorted(old, key=lambda item: item.used_at))


def _items(places: Iterable[Path], kind: str, kept_digests: Collection[str]) -> Iterator[Item]:
    for path in places:
        if path.name.startswith(".") or path.is_symlink() or _digest(path) in kept_digests:
            continue
        sign = path / MANIFEST if (path / MANIFEST).is_file() else path
        size_bytes = folder_bytes(path) if path.is_dir() else path.stat().st_size
        yield Item(kind=kind, path=path, size_bytes=size_bytes, used_at=sign.stat().st_mtime)


def _digest(path: Path) -> str:
    """Return a bundle's digest, which is that of its manifest."""
    return digest_file(path / MANIFEST) if (path / MANIFEST).is_file() else ""


@contextlib.contextmanager
def quiet(home: Path) -> Iterator[None]:
    """Keep runs of this home from starting in the block; InfrastructureError while one is in progress."""
    (home / RUNS).mkdir(parents=True, exist_ok=True)
    with held(home / RUNS) as hold:
        if hold != "mine":
            raise InfrastructureError(f"a run is in progress below {home}; clean when it has ended")
        yield


def remove(home: Path, registry: Registry, items: Collection[Item]) -> None:
    """Remove these things, and what killed runs left."""
    clear(home)
    for item in items:
        if isinstance(item.path, RunBundle):
            rejected.remove(registry, item.path)
        elif item.path.exists():
            discard(item.path)


def as_json(items: Collection[Item]) -> str:
    """Return the items as JSON, with the bytes of all."""
    rows = [{"kind": i.kind, "path": i.place, "size_bytes": i.size_bytes} for i in items]
    return json.dumps({"items": rows, "size_bytes": sum(i.size_bytes for i in items)})
