"""Answers are asked for once, and again when anything is different that could change them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from bundles import LABELS, write_tiny_bundle

from parsimony.answers import answers_of
from parsimony.bundle import load, predict
from parsimony.errors import InfrastructureError
from parsimony.files import digest_file
from parsimony.records import BuiltBundle, TargetSettings

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
TEXTS = ("hello money money", "sun", "send hi", "nothing known")


@pytest.fixture
def bundle(tmp_path: Path) -> BuiltBundle:
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "answers"


def kept(store: Path) -> dict[str, str]:
    return {path.name: digest_file(path) for path in store.glob("*.json")}


def test_a_bundle_is_asked_once(bundle: BuiltBundle, store: Path) -> None:
    first = answers_of(bundle, TEXTS, HERE, store)
    before = kept(store)
    (Path(bundle.folder) / "model.onnx").unlink()  # who asks again gets no answer
    second = answers_of(bundle, list(TEXTS), HERE, store)
    np.testing.assert_array_equal(second.classes, first.classes)
    assert second.classes.dtype == first.classes.dtype
    assert second.measurement == first.measurement
    assert kept(store) == before
    assert len(before) == 1


def test_the_answers_are_those_of_the_bundle(bundle: BuiltBundle, store: Path) -> None:
    found = answers_of(bundle, TEXTS, HERE, store)
    assert [LABELS[number] for number in found.classes] == predict(load(Path(bundle.folder)), TEXTS)


def test_another_bundle_other_texts_and_other_targets_are_asked_again(
    bundle: BuiltBundle, store: Path, tmp_path: Path
) -> None:
    other = write_tiny_bundle(tmp_path / "other", name="other")
    answers_of(bundle, TEXTS, HERE, store)
    for number, (made, texts, target) in enumerate(
        [
            (other, TEXTS, HERE),
            (bundle, TEXTS[::-1], HERE),
            (bundle, TEXTS[:-1], HERE),
            (bundle, TEXTS, replace(HERE, threads=2)),
            (bundle, TEXTS, replace(HERE, name="there")),
        ],
        start=2,
    ):
        found = answers_of(made, texts, target, store)
        assert len(kept(store)) == number
        assert (found.measurement.target, found.measurement.environment.threads) == (target.name, target.threads)
        assert len(found.classes) == len(texts)


def test_a_limit_that_is_raised_asks_nothing_again(bundle: BuiltBundle, store: Path) -> None:
    first = answers_of(bundle, TEXTS, HERE, store)
    again = answers_of(bundle, TEXTS, replace(HERE, p99_ms=5.0, size_bytes=1), store)
    assert asdict(again.measurement) == asdict(first.measurement)
    assert len(kept(store)) == 1


def test_the_same_bundle_in_another_folder_is_not_asked_again(bundle: BuiltBundle, store: Path, tmp_path: Path) -> None:
    copy = write_tiny_bundle(tmp_path / "copy")
    assert copy.digest == bundle.digest
    first = answers_of(bundle, TEXTS, HERE, store)
    assert answers_of(copy, TEXTS, HERE, store).measurement == first.measurement


def test_a_bundle_that_fails_leaves_no_answers(bundle: BuiltBundle, store: Path) -> None:
    (Path(bundle.folder) / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InfrastructureError):
        answers_of(bundle, TEXTS, HERE, store)
    assert kept(store) == {}
