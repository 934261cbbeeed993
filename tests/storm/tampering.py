"""Journal, versions, alias, artifacts and local copies changed by hand, in the database and on disk: noticed, never believed, mended."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from test_registry import MODEL

from parsimony.bundle.folder import describe
from parsimony.errors import InfrastructureError
from parsimony.tasks.registry.promotion import cached, rollback
from tests.storm import checker
from tests.storm.forks import done
from tests.storm.material import Base, Ground, publish
from tests.storm.records import SuiteResult, Tally, part

JOURNAL = MODEL + checker.JOURNAL


@dataclass(slots=True, kw_only=True)
class Scene:
    """A registry with versions 1, 2 and 3 in its journal, a local copy of the champion, and ways to change them."""

    ground: Ground
    places: dict[int, Path]

    @property
    def copies(self) -> Path:
        """Where the local copies of champions lie."""
        return self.ground.home / "champions"

    def sql(self, statement: str) -> None:
        """Change the database."""
        uri = self.ground.registry.tracking_uri
        import sqlite3

        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)

    def tag(self, name: str, version: int, key: str, value: str) -> None:
        """Change a tag of a version."""
        self.sql(
            f"UPDATE model_version_tags SET value = '{value}' WHERE name = '{name}' AND version = {version} AND key = '{key}'"
        )

    def bundle(self, version: int) -> Path:
        """Return the stored bundle of a version."""
        return self.places[version] / "artifacts" / "bundle"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _drop(name: str, *versions: int) -> Callable[[Scene], None]:
    def drop(scene: Scene) -> None:
        for version in versions:
            for table in ("model_version_tags", "model_versions"):
                scene.sql(f"DELETE FROM {table} WHERE name = '{name}' AND version = {version}")

    return drop


def _swap_entries(scene: Scene) -> None:
    for old, new in ((2, 92), (3, 2), (92, 3)):
        for table in ("model_version_tags", "model_versions"):
            scene.sql(f"UPDATE {table} SET version = {new} WHERE name = '{JOURNAL}' AND version = {old}")


def _copy_entry(scene: Scene) -> None:
    """Play an old entry again behind the newest."""
    for table in ("model_versions", "model_version_tags"):
        columns = [row[1] for row in _ask(scene, f"PRAGMA table_info({table})")]
        others = ", ".join(c for c in columns if c != "version")
        scene.sql(
            f"INSERT INTO {table} (version, {others}) SELECT 4, {others} FROM {table} WHERE name = '{JOURNAL}' AND version = 1"
        )


def _ask(scene: Scene, statement: str) -> list[tuple[Any, ...]]:
    import sqlite3

    with closing(sqlite3.connect(scene.ground.registry.tracking_uri.removeprefix("sqlite:///"))) as connection:
        return list(connection.execute(statement))


def _deleted_journal(scene: Scene) -> None:
    _drop(JOURNAL, 1, 2, 3)(scene)
    scene.sql(f"DELETE FROM registered_models WHERE name = '{JOURNAL}'")


def _other_bundle(scene: Scene) -> None:
    shutil.rmtree(scene.bundle(3))
    shutil.copytree(scene.bundle(1), scene.bundle(3))


def _each_copy(change: Callable[[Path], object]) -> Callable[[Scene], None]:
    def every(scene: Scene) -> None:
        for folder in scene.copies.iterdir():
            change(folder)

    return every


def _alias(version: int) -> Callable[[Scene], None]:
    return lambda scene: scene.sql(f"UPDATE registered_model_aliases SET version = {version} WHERE name = '{MODEL}'")


def _tag(version: int, key: str, value: str, name: str = JOURNAL) -> Callable[[Scene], None]:
    return lambda scene: scene.tag(name, version, key, value)


def _lose(version: int, *keys: str) -> Callable[[Scene], None]:
    names = ", ".join(f"'{key}'" for key in keys)
    return lambda scene: scene.sql(
        f"DELETE FROM model_version_tags WHERE name = '{JOURNAL}' AND version = {version} AND key IN ({names})"
    )


def _to_a_link(path: Path) -> None:
    shutil.move(path, path.with_name("moved.bin"))
    path.symlink_to(path.with_name("moved.bin"))


# Which versions may be in use afterwards: none of them means that only a refusal will do.
KINDS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "newest entry: version": (_tag(3, "version", "1"), "2"),
    "newest entry: digest": (_tag(3, "digest", "f" * 64), "2"),
    "newest entry: kind": (_tag(3, "kind", "hold"), "2"),
    "newest entry: expect": (_tag(3, "expect", "1"), "2"),
    "newest entry: reason": (_tag(3, "reason", "prettier"), "2"),
    "newest entry: seal": (_tag(3, "seal", "0" * 64), "2"),
    "newest entry: seal lost": (_lose(3, "seal"), "2"),
    "newest entry: chain lost": (_lose(3, "seal", "previous", "by"), "2"),
    "newest entry deleted": (_drop(JOURNAL, 3), "2"),
    "two newest entries deleted": (_drop(JOURNAL, 2, 3), "1"),
    "middle entry: version": (_tag(2, "version", "3"), "1"),
    "middle entry: time": (_tag(2, "at", "2001-01-01T00:00:00+00:00"), "1"),
    "middle entry: writer": (_tag(2, "by", "eve"), "1"),
    "middle entry: attempt": (_tag(2, "attempt", "x"), "1"),
    "middle entry deleted": (_drop(JOURNAL, 2), "1"),
    "middle entry emptied": (_lose(2, *("attempt", "kind", "expect", "version", "digest", "seal")), "1"),
    "first entry: size": (_tag(1, "size_bytes", "1"), ""),
    "first entry deleted": (_drop(JOURNAL, 1), ""),
    "entries put in another order": (_swap_entries, "1"),
    "an old entry played again": (_copy_entry, "3"),
    "every entry deleted": (_drop(JOURNAL, 1, 2, 3), ""),
    "journal deleted": (_deleted_journal, ""),
    "alias on an older version": (_alias(1), "3"),
    "alias on a version that is not there": (_alias(9), "3"),
    "alias gone": (lambda scene: scene.sql(f"DELETE FROM registered_model_aliases WHERE name = '{MODEL}'"), "3"),
    "anchor gone": (lambda scene: scene.sql(f"DELETE FROM registered_model_tags WHERE name = '{MODEL}'"), "3"),
    "anchor on nothing": (lambda scene: scene.sql(f"UPDATE registered_model_tags SET value = '7 {'0' * 64}' WHERE name = '{MODEL}'"), "3"),
    "version: digest": (_tag(3, "digest", "e" * 64, MODEL), "3 2"),
    "version: verdict": (_tag(3, "verdict", "fail", MODEL), "3 2"),
    "version deleted": (_drop(MODEL, 3), "2"),
    "stored graph: one bit": (lambda scene: _flip(scene.bundle(3) / "model.onnx"), "2"),
    "stored labels exchanged": (lambda scene: (scene.bundle(3) / "labels.json").write_text('["weather", "greeting", "transfer"]') and None, "2"),
    "stored file gone": (lambda scene: (scene.bundle(3) / "tokenizer.json").unlink(), "2"),
    "stored file too many": (lambda scene: (scene.bundle(3) / "x.py").write_text("print()") and None, "2"),
    "stored graph a link": (lambda scene: _to_a_link(scene.bundle(3) / "model.onnx"), "2"),
    "stored bundle another one": (_other_bundle, "2"),
    "stored bundle gone": (lambda scene: shutil.rmtree(scene.places[3]), "2"),
    "local copy: one bit": (_each_copy(lambda folder: _flip(folder / "model.onnx")), "3"),
    "local copy: manifest": (_each_copy(lambda folder: (folder / "manifest.json").write_text("{}")), "3"),
    "local copy: file gone": (_each_copy(lambda folder: (folder / "labels.json").unlink()), "3"),
    "local copy: file too many": (_each_copy(lambda folder: (folder / "x.py").write_text("print()")), "3"),
    "local copy: a link": (_each_copy(lambda folder: _to_a_link(folder / "model.onnx")), "3"),
}  # fmt: skip
WHOLE = len(KINDS)


def every_kind(base: Base, share: float, rng: random.Random) -> SuiteResult:
    """Tamper in every kind; what is in use then was in production before, is whole, and is said to be a fallback where it is one."""
    tally = Tally(name="journal, version, artifact or copy tampered with", whole=WHOLE)
    for kind in rng.sample(sorted(KINDS), part(WHOLE, share)):
        with tally.trial(kind), base.ground() as ground:
            outcome = done(partial(_tamper, base, ground, kind), ground.log)
            assert outcome.end == "ended", f"{outcome.end} {outcome.error}"
    return tally.result()


def _tamper(base: Base, ground: Ground, kind: str) -> None:
    tamper, named = KINDS[kind]
    allowed, decision = named.split(), base.decisions["c"]
    publish(decision, ground, "third")
    before = checker.facts(ground, MODEL)
    digests = {e.said["version"]: e.said["digest"] for e in before.counted}
    scene = Scene(ground=ground, places=_own_places(ground, before.places))
    cached(ground.registry, MODEL, scene.copies)
    if kind.startswith("stored"):  # nothing else is there to be used
        shutil.rmtree(scene.copies)
    tamper(scene)
    try:
        current, bundle = cached(ground.registry, MODEL, scene.copies)
    except InfrastructureError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert not allowed and len(refusal.splitlines()) == 1, f"refused, although {allowed} is whole: {refusal}"
    else:
        assert current.version in allowed, f"version {current.version} is in use, expected {allowed or 'a refusal'}"
        assert bundle.digest == digests[current.version] == describe(Path(bundle.folder)).digest
        assert current.version == "3" or current.notes, "an older version is in use, and nothing says so"
    rollback(ground.registry, MODEL, "looked at it", to="1")
    current, bundle = cached(ground.registry, MODEL, scene.copies)
    assert (current.version, bundle.digest, current.notes) == ("1", digests["1"], ()), "not mended by a person"


def _own_places(ground: Ground, places: dict[int, Path]) -> dict[int, Path]:
    """Give this trial artifacts of its own, which it may spoil."""
    import sqlite3

    own = {}
    for number, place in places.items():
        own[number] = ground.home / "artifacts" / str(number)
        shutil.copytree(place, own[number])
        with (
            closing(sqlite3.connect(ground.registry.tracking_uri.removeprefix("sqlite:///"))) as connection,
            connection,
        ):
            for table, column in (("logged_models", "artifact_location"), ("model_versions", "storage_location")):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} IN (?, ?)",
                    (own[number].as_uri(), place.as_uri(), str(place)),
                )
    return own
