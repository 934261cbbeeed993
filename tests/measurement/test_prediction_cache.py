"""Predictions are made once, and again when anything is different that could change them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from bundles import LABELS, write_tiny_bundle

from parsimony.bundle.predict import load
from parsimony.candidates import BuiltBundle
from parsimony.data.table import Texts
from parsimony.errors import InfrastructureError
from parsimony.files import digest_file
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.measurement.records import TargetSettings

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
TEXTS = Texts.of(("hello money money", "sun", "send hi", "nothing known"))


@pytest.fixture
def bundle(tmp_path: Path) -> BuiltBundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "predictions"


def kept(store: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in store.glob("*.json")}


def test_a_bundle_is_asked_once(bundle: BuiltBundle, store: Path) -> None:
    first = predictions_of(bundle, TEXTS, HERE, store)
    before = kept(store)
    (Path(bundle.folder) / "model.onnx").unlink()  # who asks again gets no prediction
    second = predictions_of(bundle, Texts.of(list(TEXTS.texts)), HERE, store)
    np.testing.assert_array_equal(second.classes, first.classes)
    assert second.classes.dtype == first.classes.dtype
    assert second.measurement == first.measurement
    assert kept(store) == before
    assert len(before) == 1


def test_the_predictions_are_those_of_the_bundle(bundle: BuiltBundle, store: Path) -> None:
    classes = predictions_of(bundle, TEXTS, HERE, store).classes
    assert [LABELS[number] for number in classes] == load(Path(bundle.folder)).predict(TEXTS.texts)


OTHERS = {
    "bundle": lambda folder: (write_tiny_bundle(folder / "other", name="other"), TEXTS, HERE),
    "order": lambda folder: (write_tiny_bundle(folder / "tiny"), Texts.of(TEXTS.texts[::-1]), HERE),
    "fewer": lambda folder: (write_tiny_bundle(folder / "tiny"), Texts.of(TEXTS.texts[:-1]), HERE),
    "threads": lambda folder: (write_tiny_bundle(folder / "tiny"), TEXTS, replace(HERE, threads=2)),
    "target": lambda folder: (write_tiny_bundle(folder / "tiny"), TEXTS, replace(HERE, name="there")),
}


@pytest.mark.parametrize("what", ["bundle", *(pytest.param(name, marks=pytest.mark.slow) for name in list(OTHERS)[1:])])
def test_another_bundle_other_texts_and_other_targets_are_asked_again(
    bundle: BuiltBundle, store: Path, tmp_path: Path, what: str
) -> None:
    predictions_of(bundle, TEXTS, HERE, store)
    other, texts, target = OTHERS[what](tmp_path)
    predicted = predictions_of(other, texts, target, store)
    assert len(kept(store)) == 2
    assert (predicted.measurement.target, predicted.measurement.environment.threads) == (target.name, target.threads)
    assert len(predicted.classes) == len(texts)


def test_a_limit_that_is_raised_asks_nothing_again(bundle: BuiltBundle, store: Path) -> None:
    first = predictions_of(bundle, TEXTS, HERE, store)
    again = predictions_of(bundle, TEXTS, replace(HERE, p99_ms=5.0, size_bytes=1), store)
    assert asdict(again.measurement) == asdict(first.measurement)
    assert len(kept(store)) == 1


def test_the_same_bundle_in_another_folder_is_not_asked_again(bundle: BuiltBundle, store: Path, tmp_path: Path) -> None:
    copy = write_tiny_bundle(tmp_path / "copy")
    assert copy.digest == bundle.digest
    first = predictions_of(bundle, TEXTS, HERE, store)
    assert predictions_of(copy, TEXTS, HERE, store).measurement == first.measurement


def test_a_bundle_that_fails_leaves_no_predictions(bundle: BuiltBundle, store: Path) -> None:
    (Path(bundle.folder) / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InfrastructureError):
        predictions_of(bundle, TEXTS, HERE, store)
    assert kept(store) == {}
