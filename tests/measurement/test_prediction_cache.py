"""Predictions are made once, and again when anything is different that could change them."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bundles import LABELS, write_tiny_bundle

from parsimony.bundle.predict import load
from parsimony.candidates import BuiltBundle
from parsimony.data.table import Texts
from parsimony.errors import InfrastructureError
from parsimony.files import digest_file
from parsimony.measurement.measure import Predicted
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.measurement.records import TargetSettings

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
TEXTS = Texts.of(("hello money money", "sun", "send hi", "nothing known"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A bundle that was asked once, where its predictions are kept, and what they were."""

    bundle: BuiltBundle
    store: Path
    first: Predicted


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("asked")
    bundle, store = write_tiny_bundle(folder / "tiny"), folder / "predictions"
    return Asked(bundle=bundle, store=store, first=predictions_of(bundle, TEXTS, HERE, store))


@pytest.fixture
def store(asked: Asked, tmp_path: Path) -> Path:
    """Return a store that holds the predictions of the bundle that was asked, and those only."""
    return Path(shutil.copytree(asked.store, tmp_path / "predictions"))


def kept(store: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in store.glob("*.json")}


@pytest.mark.slow
def test_a_bundle_is_asked_once(asked: Asked, store: Path) -> None:
    before = kept(store)
    gone = replace(asked.bundle, folder=str(store / "gone"))  # who asks again gets no prediction
    second = predictions_of(gone, Texts.of(list(TEXTS.texts)), HERE, store)
    np.testing.assert_array_equal(second.classes, asked.first.classes)
    assert second.classes.dtype == asked.first.classes.dtype
    assert second.measurement == asked.first.measurement
    assert kept(store) == before
    assert len(before) == 1


def test_the_predictions_are_those_of_the_bundle(asked: Asked) -> None:
    classes = asked.first.classes
    assert [LABELS[number] for number in classes] == load(Path(asked.bundle.folder)).predict(TEXTS.texts)


OTHERS = {
    "bundle": lambda folder: (write_tiny_bundle(folder / "other", name="other"), TEXTS, HERE),
    "order": lambda folder: (write_tiny_bundle(folder / "tiny"), Texts.of(TEXTS.texts[::-1]), HERE),
    "fewer": lambda folder: (write_tiny_bundle(folder / "tiny"), Texts.of(TEXTS.texts[:-1]), HERE),
    "threads": lambda folder: (write_tiny_bundle(folder / "tiny"), TEXTS, replace(HERE, threads=2)),
    "target": lambda folder: (write_tiny_bundle(folder / "tiny"), TEXTS, replace(HERE, name="there")),
}


@pytest.mark.parametrize("what", ["bundle", *(pytest.param(name, marks=pytest.mark.slow) for name in list(OTHERS)[1:])])
def test_another_bundle_other_texts_and_other_targets_are_asked_again(what: str, store: Path, tmp_path: Path) -> None:
    other, texts, target = OTHERS[what](tmp_path)
    predicted = predictions_of(other, texts, target, store)
    assert len(kept(store)) == 2
    assert (predicted.measurement.target, predicted.measurement.environment.threads) == (target.name, target.threads)
    assert len(predicted.classes) == len(texts)


def test_a_limit_that_is_raised_asks_nothing_again(asked: Asked, store: Path) -> None:
    again = predictions_of(asked.bundle, TEXTS, replace(HERE, p99_ms=5.0, size_bytes=1), store)
    assert asdict(again.measurement) == asdict(asked.first.measurement)
    assert len(kept(store)) == 1


def test_the_same_bundle_in_another_folder_is_not_asked_again(asked: Asked, store: Path, tmp_path: Path) -> None:
    copy = write_tiny_bundle(tmp_path / "copy")
    assert copy.digest == asked.bundle.digest
    assert predictions_of(copy, TEXTS, HERE, store).measurement == asked.first.measurement
    assert len(kept(store)) == 1


EDITS = {
    "another class": lambda text: text.replace('"classes": [\n  2', '"classes": [\n  0'),
    "fewer classes": lambda text: json.dumps({**json.loads(text), "classes": [2]}),
    "another duration": lambda text: json.dumps(
        {**json.loads(text), "measurement": {**json.loads(text)["measurement"], "p50_ms": 1e-9}}
    ),
    "no digest": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "sha256"}),
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no object": lambda text: "[1]",
    "bytes": lambda text: "\x00" * 40,
}


@pytest.mark.parametrize("edit", ["another class", *(pytest.param(n, marks=pytest.mark.slow) for n in list(EDITS)[1:])])
def test_kept_predictions_that_were_edited_are_made_again(edit: str, asked: Asked, store: Path) -> None:
    [path] = store.glob("*.json")
    before = path.read_text(encoding="utf-8")
    path.write_text(EDITS[edit](before), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    again = predictions_of(asked.bundle, TEXTS, HERE, store)
    np.testing.assert_array_equal(again.classes, asked.first.classes)
    assert again.measurement != asked.first.measurement  # of another moment
    gone = replace(asked.bundle, folder=str(store / "gone"))
    assert predictions_of(gone, TEXTS, HERE, store).measurement == again.measurement


@pytest.mark.slow
def test_predictions_kept_under_the_name_of_others_are_made_again(asked: Asked, store: Path, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", name="other", words={"hello": 1, "money": 0})
    [mine] = store.glob("*.json")
    predictions_of(other, TEXTS, HERE, store)
    [theirs] = set(store.glob("*.json")) - {mine}
    shutil.copyfile(theirs, mine)
    np.testing.assert_array_equal(predictions_of(asked.bundle, TEXTS, HERE, store).classes, asked.first.classes)


def test_a_bundle_that_fails_leaves_no_predictions(tmp_path: Path) -> None:
    bundle, store = write_tiny_bundle(tmp_path / "tiny"), tmp_path / "predictions"
    (Path(bundle.folder) / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InfrastructureError):
        predictions_of(bundle, TEXTS, HERE, store)
    assert kept(store) == {}
