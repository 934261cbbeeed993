"""What was trained from the same material is not trained again; what was not finished is not used."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import rooms
from tinymodels import base_of, material, spec_of

from parsimony import files
from parsimony.files import MANIFEST, verify_folder, write_manifest
from parsimony.training.checkpoint_store import ROOMS, Checkpoint, checkpoint_of, key_of
from parsimony.training.families import FAMILIES
from parsimony.training.family import Family, Material

pytestmark = pytest.mark.slow

LINEAR = material(base_of("bert"), spec_of("bert", "linear"))
TESTS = Path(__file__).parents[1]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_the_same_material_is_not_trained_twice(store: Path) -> None:
    first = checkpoint_of(LINEAR, "data", store)
    before = (Path(first.folder) / MANIFEST).stat().st_ino
    second = checkpoint_of(LINEAR, "data", store)
    assert first.cost_s > 0
    assert second == replace(first, cost_s=0.0)
    assert (Path(first.folder) / MANIFEST).stat().st_ino == before


def test_a_checkpoint_lies_under_its_key_with_a_manifest_of_all_its_files(store: Path) -> None:
    made = checkpoint_of(LINEAR, "data", store)
    assert made == Checkpoint(
        spec=LINEAR.spec,
        folder=str(store / key_of(LINEAR, "data")),
        key=key_of(LINEAR, "data"),
        validation_accuracy=made.validation_accuracy,
        cost_s=made.cost_s,
    )
    manifest = verify_folder(Path(made.folder))
    assert manifest["spec"] == {"family": "linear", "base": "package:tiny_bert", "shape": [], "tag": ""}
    assert manifest["data_digest"] == "data"
    assert [path.name for path in store.iterdir()] == [made.key]


def test_the_key_changes_with_all_that_training_depends_on(tmp_path: Path) -> None:
    other_base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    tokenizer = other_base / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + " ", encoding="utf-8")
    settings = LINEAR.settings
    starts = [tmp_path / name for name in ("one", "two")]
    for start in starts:
        write_manifest(start, {"start": start.name})
    others: list[tuple[Material, str]] = [
        (LINEAR, "data"),
        (LINEAR, "other data"),
        (replace(LINEAR, seed=1), "data"),
        (replace(LINEAR, max_tokens=63), "data"),
        (replace(LINEAR, base=other_base), "data"),
        (replace(LINEAR, spec=spec_of("bert", "reference")), "data"),
        (replace(LINEAR, spec=spec_of("bert", "frozen")), "data"),
        (replace(LINEAR, spec=spec_of("roberta", "linear")), "data"),
        (replace(LINEAR, start=starts[0]), "data"),
        (replace(LINEAR, start=starts[1]), "data"),
        *[
            (replace(LINEAR, settings=replace(settings, **{name: getattr(settings, name) * 2})), "data")
            for name in settings.__slots__
        ],
    ]
    keys = [key_of(made, data) for made, data in others]
    assert len(set(keys)) == len(keys) == 15
    assert key_of(LINEAR, "data") == keys[0]


def test_the_key_does_not_depend_on_where_the_base_lies(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(base_of("bert"), tmp_path / "elsewhere"))
    assert key_of(replace(LINEAR, base=copy), "data") == key_of(LINEAR, "data")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    with rooms.copied(tmp_path / "parsimony") as sources:
        yield sources


def _key_after_a_change(path: Path) -> str:
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    files.code_digest.cache_clear()
    return key_of(LINEAR, "data")


def test_the_key_changes_with_every_file_that_decides_what_is_trained(copy: Path) -> None:
    keys = [_key_after_a_change(path) for room in ROOMS for path in rooms.sources(copy, room)]
    assert len(set(keys)) == len(keys) > 30


def test_the_key_stays_when_a_room_changes_that_training_does_not_enter(copy: Path) -> None:
    files.code_digest.cache_clear()
    before = key_of(LINEAR, "data")
    others = {path.name for path in copy.iterdir() if path.is_dir()} - {*ROOMS}
    assert {"reporting", "decision", "compression", "measurement"} <= others
    for room in others:
        for path in rooms.sources(copy, room):
            path.write_text("changed", encoding="utf-8")
    files.code_digest.cache_clear()
    assert key_of(LINEAR, "data") == before


def test_a_key_is_made_of_every_room_that_training_enters() -> None:
    assert rooms.imported_by("training") == tuple(sorted((*ROOMS, *rooms.BESIDE)))


def test_a_damaged_checkpoint_is_trained_again(store: Path) -> None:
    first = checkpoint_of(LINEAR, "data", store)
    model = Path(first.folder) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    second = checkpoint_of(LINEAR, "data", store)
    assert second.cost_s > 0
    verify_folder(Path(second.folder))


@pytest.fixture
def unlucky() -> Iterator[str]:
    """A family that writes half of its files and fails."""

    def train(material: Material, folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"half")
        raise MemoryError("no memory left")

    FAMILIES["unlucky"] = Family(name="unlucky", train=train)
    yield "unlucky"
    del FAMILIES["unlucky"]


def test_a_training_that_fails_leaves_nothing_behind(store: Path, unlucky: str) -> None:
    with pytest.raises(MemoryError, match="no memory left"):
        checkpoint_of(replace(LINEAR, spec=replace(LINEAR.spec, family=unlucky)), "data", store)
    assert list(store.iterdir()) == []


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from tinymodels import material, spec_of
from parsimony.training.checkpoint_store import checkpoint_of
from parsimony.training.families import FAMILIES
from parsimony.training.family import Family

def train(material, folder):
    for name in ("model.onnx", "tokenizer.json", "checkpoint.json"):
        shutil.copy(Path(sys.argv[3]) / name, folder)
    os.kill(os.getpid(), signal.SIGKILL)

FAMILIES["linear"] = Family(name="linear", train=train)
checkpoint_of(material(Path(sys.argv[1]), spec_of("bert", "linear")), "data", Path(sys.argv[2]))
"""


def test_a_training_that_is_killed_leaves_nothing_that_is_used(store: Path, tmp_path: Path) -> None:
    """It is killed when all its files are there and its manifest is not."""
    finished = checkpoint_of(LINEAR, "data", tmp_path / "finished")
    command = [sys.executable, "-c", KILLED, str(base_of("bert")), str(store), finished.folder]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    [left] = store.glob(".*")
    assert {path.name for path in left.iterdir()} == {path.name for path in Path(finished.folder).iterdir()} - {
        MANIFEST
    }
    assert not (store / key_of(LINEAR, "data")).exists()
    assert checkpoint_of(LINEAR, "data", store).cost_s > 0
    verify_folder(store / key_of(LINEAR, "data"))
