"""What must hold in a registry, read by SQL and from files: nothing of the product is asked.

At most one champion; it is complete, was judged, and its files are what its digest says; the journal's chain is whole; no bundle
has two versions in it; alias and anchor never point past it, and agree with it once a run has been through.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.storm.material import Ground

ALIAS, JOURNAL = "champion", ".promotions"
_FIELDS = ("attempt", "kind", "expect", "version", "digest", "size_bytes", "reason", "at", "by", "previous", "mends")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the journal as the database holds it."""

    number: int
    said: dict[str, Any]
    seal: str

    @property
    def content(self) -> str:
        """The digest of what it says."""
        return hashlib.sha256(json.dumps(self.said, sort_keys=True).encode()).hexdigest()

    @property
    def link(self) -> str:
        """The digest by which the next one names it."""
        return hashlib.sha256(f"{self.number} {self.content}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a registry holds: entries that count, versions with tags and the place of their artifacts, alias, anchor."""

    counted: tuple[Entry, ...]
    versions: dict[int, dict[str, str]]
    places: dict[int, Path]
    alias: str | None
    anchor: tuple[int, str] | None

    @property
    def head(self) -> Entry | None:
        """The entry that names the champion."""
        return next((e for e in reversed(self.counted) if e.said["kind"] in ("promote", "rollback")), None)


def facts(ground: Ground, model: str) -> Facts:
    """Read a registry."""
    with _connected(ground.registry.tracking_uri) as connection:
        rows = _rows(connection)
    journal, versions = rows["tags"].get(model + JOURNAL, {}), rows["tags"].get(model, {})
    return Facts(
        counted=_counted(journal),
        versions=versions,
        places={number: _path(ground, place) for number, place in rows["places"].get(model, {}).items()},
        alias=rows["aliases"].get(model),
        anchor=rows["anchors"].get(model),
    )


@contextmanager
def _connected(uri: str) -> Iterator[Any]:
    """Connect to the database; to a copy of SQLite's files, because opening one after a kill finishes what was begun."""
    if not uri.startswith("sqlite"):
        import psycopg2

        with closing(psycopg2.connect(uri.replace("+psycopg2", ""))) as connection:
            yield connection
        return
    file = Path(uri.removeprefix("sqlite:///"))
    with tempfile.TemporaryDirectory() as work:
        for path in file.parent.glob(f"{file.name}*"):
            shutil.copyfile(path, Path(work) / path.name)
        with closing(sqlite3.connect(Path(work) / file.name)) as connection:
            yield connection


def _rows(connection: Any) -> dict[str, Any]:
    def ask(statement: str) -> list[tuple[Any, ...]]:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall())

    tags: dict[str, dict[int, dict[str, str]]] = defaultdict(dict)
    places: dict[str, dict[int, str]] = defaultdict(dict)
    logged = dict(ask("SELECT model_id, artifact_location FROM logged_models"))
    for name, version, source, stage in ask("SELECT name, version, source, current_stage FROM model_versions"):
        if stage != "Deleted_Internal":
            tags[name][version] = {}
            places[name][version] = logged.get(str(source).removeprefix("models:/"), str(source))
    for name, version, key, value in ask("SELECT name, version, key, value FROM model_version_tags"):
        if version in tags[name]:
            tags[name][version][key] = value
    aliases = ask(f"SELECT name, version FROM registered_model_aliases WHERE alias = '{ALIAS}'")
    assert len({name for name, _ in aliases}) == len(aliases), "two champions of one model"
    anchors = {}
    for name, value in ask("SELECT name, value FROM registered_model_tags WHERE key = 'parsimony.journal'"):
        number, _, link = value.partition(" ")
        anchors[name] = (int(number), link)
    return {"tags": tags, "places": places, "aliases": {n: str(v) for n, v in aliases}, "anchors": anchors}


def _counted(journal: Mapping[int, Mapping[str, str]]) -> tuple[Entry, ...]:
    """Return the entries that count: each expects the number of the one before it that counts."""
    counted: list[Entry] = []
    attempts: set[str] = set()
    for number in sorted(journal):
        tags = journal[number]
        if "attempt" not in tags or tags["attempt"] in attempts:
            continue
        attempts.add(tags["attempt"])
        said: dict[str, Any] = {name: tags.get(name) for name in _FIELDS}
        said |= {
            "expect": None if tags["expect"] == "none" else int(tags["expect"]),
            "size_bytes": int(tags["size_bytes"]),
            "by": tags.get("by", ""),
            "mends": int(tags.get("mends", "0")),
        }
        entry = Entry(number=number, said=said, seal=tags.get("seal", ""))
        if said["expect"] == (counted[-1].number if counted else None):
            counted.append(entry)
    return tuple(counted)


def chain(state: Facts) -> None:
    """Hold that every entry is what was sealed and names the one that it follows."""
    last: Entry | None = None
    for entry in state.counted:
        assert entry.seal == entry.content, f"entry {entry.number} is not what was sealed"
        assert entry.said["previous"] == (last.link if last else None), f"entry {entry.number} does not follow"
        last = entry


def check(state: Facts) -> None:
    """Hold what must always hold, whatever was killed: AssertionError names what does not."""
    chain(state)
    versions_of: dict[str, set[str]] = defaultdict(set)
    moves = [e for e in state.counted if e.said["kind"] in ("promote", "rollback")]
    for entry in moves:
        versions_of[entry.said["digest"]].add(entry.said["version"])
        tags = state.versions.get(int(entry.said["version"]))
        assert tags is not None, f"entry {entry.number} names version {entry.said['version']}, which is not there"
        assert tags.get("digest") == entry.said["digest"], f"entry {entry.number} and its version differ"
        assert tags.get("verdict") == "pass", f"version {entry.said['version']} was not judged"
    assert all(len(each) == 1 for each in versions_of.values()), f"a bundle has two versions: {dict(versions_of)}"
    for one, other in pairwise(moves):
        again = one.said["digest"] == other.said["digest"] and other.said["kind"] == "promote"
        assert not again, f"entries {one.number} and {other.number} promote the same bundle"
    if state.head is not None:
        whole(state.places[int(state.head.said["version"])], state.head.said["digest"])
    assert state.alias is None or state.alias in {e.said["version"] for e in moves}, f"alias names {state.alias}"
    if state.anchor is not None:
        assert any((e.number, e.link) == state.anchor for e in state.counted), "the anchor names what is not there"


def check_settled(state: Facts, digest: str) -> None:
    """Hold what holds once a run has been through: this bundle is in production, alias and anchor agree."""
    check(state)
    head = state.head
    assert head is not None, "no champion"
    assert head.said["digest"] == digest, f"version {head.said['version']} is in production"
    assert state.alias == head.said["version"], f"alias {state.alias}, journal {head.said['version']}"
    assert state.anchor == (state.counted[-1].number, state.counted[-1].link), "the anchor lags"


def whole(stored: Path, digest: str) -> None:
    """Hold the files of a stored bundle against its digest."""
    folder = stored / "artifacts" / "bundle"
    manifest = folder / "manifest.json"
    assert manifest.is_file(), f"{folder} has no manifest"
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() == digest, f"{folder} is another bundle"
    listed = {entry["path"]: entry["sha256"] for entry in json.loads(manifest.read_text())["files"]}
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert present == set(listed), f"{folder} holds {sorted(present)}"
    for name, expected in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, f"{folder / name} was changed"


def _path(ground: Ground, place: str) -> Path:
    """Return the folder of an address of artifacts, on this machine or below the server of the trial."""
    path = unquote(urlsplit(place).path)
    return ground.stored / path.lstrip("/") if place.startswith("mlflow-artifacts:") else Path(path)
