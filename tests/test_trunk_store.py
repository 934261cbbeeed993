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
from tinymodels import base_of, grown, material, trunk_of

from parsimony import trunk_store
from parsimony.contracts import Family, Material
from parsimony.families import FAMILIES
from parsimony.files import MANIFEST, verify_folder
from parsimony.trunk_store import Grown, grow, key_of

LINEAR = material(base_of("bert"), trunk_of("bert", "linear"))
TESTS = Path(__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "trunks"


def test_the_same_material_is_not_trained_twice(store: Path) -> None:
    first = grow(LINEAR, "data", store)
    before = (Path(first.folder) / MANIFEST).stat().st_ino
    second = grow(LINEAR, "data", store)
    assert first.cost_s > 0
    assert second == replace(first, cost_s=0.0)
    assert (Path(first.folder) / MANIFEST).stat().st_ino == before


def test_a_trunk_lies_under_its_key_with_a_manifest_of_all_its_files(store: Path) -> None:
    made = grow(LINEAR, "data", store)
    assert made == Grown(
        trunk=LINEAR.trunk,
        folder=str(store / key_of(LINEAR, "data")),
        key=key_of(LINEAR, "data"),
        search_accuracy=made.search_accuracy,
        cost_s=made.cost_s,
    )
    manifest = verify_folder(Path(made.folder))
    assert manifest["trunk"] == {"family": "linear", "base": "package:tiny_bert", "shape": []}
    assert manifest["data_digest"] == "data"
    assert [path.name for path in store.iterdir()] == [made.key]


def test_the_key_changes_with_all_that_training_depends_on(tmp_path: Path) -> None:
    other_base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    tokenizer = other_base / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + " ", encoding="utf-8")
    settings = LINEAR.settings
    others: list[tuple[Material, str]] = [
        (LINEAR, "data"),
        (LINEAR, "other data"),
        (replace(LINEAR, seed=1), "data"),
        (replace(LINEAR, max_tokens=63), "data"),
        (replace(LINEAR, base=other_base), "data"),
        (replace(LINEAR, trunk=trunk_of("bert", "reference")), "data"),
        (replace(LINEAR, trunk=trunk_of("bert", "frozen")), "data"),
        (replace(LINEAR, trunk=trunk_of("roberta", "linear")), "data"),
        (replace(LINEAR, start=Path(grown("bert", "frozen").folder)), "data"),
        (replace(LINEAR, start=Path(grown("roberta", "frozen").folder)), "data"),
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


def _code_digest(root: Path, family: str) -> str:
    code = f"from parsimony import trunk_store as s; print(s.code_digest(s._CODE, {family!r}), s.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    digest, place = done.stdout.split()
    assert Path(place).is_relative_to(root)
    return digest


def test_the_key_changes_with_the_code_that_trains_and_with_no_other(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(Path(trunk_store.__file__).parent, tmp_path / "parsimony"))
    before = _code_digest(tmp_path, "linear")
    for name, matters in (("report.py", False), ("families/student.py", False), ("training.py", True)):
        (copy / name).write_text((copy / name).read_text(encoding="utf-8") + "\n", encoding="utf-8")
        after = _code_digest(tmp_path, "linear")
        assert (after != before) == matters, name
        before = after


def test_a_damaged_trunk_is_trained_again(store: Path) -> None:
    first = grow(LINEAR, "data", store)
    model = Path(first.folder) / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    second = grow(LINEAR, "data", store)
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


def test_a_training_that_fails_leaves_nothing_behind(
    store: Path, unlucky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunk_store, "code_digest", lambda modules, family: family)
    with pytest.raises(MemoryError, match="no memory left"):
        grow(replace(LINEAR, trunk=replace(LINEAR.trunk, family=unlucky)), "data", store)
    assert list(store.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tinymodels import material, trunk_of
from parsimony.contracts import Family
from parsimony.families import FAMILIES, linear
from parsimony.trunk_store import grow

def train(material, folder):
    linear.train(material, folder)
    os.kill(os.getpid(), signal.SIGKILL)

FAMILIES["linear"] = Family(name="linear", train=train)
grow(material(Path(sys.argv[1]), trunk_of("bert", "linear")), "data", Path(sys.argv[2]))
"""


def test_a_training_that_is_killed_leaves_nothing_that_is_used(store: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(base_of("bert")), str(store)]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (store / key_of(LINEAR, "data")).exists()
    assert grow(LINEAR, "data", store).cost_s > 0
    verify_folder(store / key_of(LINEAR, "data"))
