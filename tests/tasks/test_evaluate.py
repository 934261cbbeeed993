"""A candidate that cannot be predicted with is a row with its reason; the others go on."""

from __future__ import annotations

from pathlib import Path

import hostile
import numpy as np
import pytest
from bundles import LABELS, write_tiny_bundle

from parsimony.bundle.folder import describe
from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.data.splits import Splits, write_splits
from parsimony.data.table import Table
from parsimony.decision.verdicts import Entry
from parsimony.errors import BundleError
from parsimony.measurement.records import TargetSettings
from parsimony.tasks.build import evaluate

pytestmark = pytest.mark.slow  # brings Prefect

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    rows = Table(
        source="train.csv", texts=("hello", "rain", "a word", "send"), labels=(*LABELS, "transfer"), rows=(2, 3, 4, 5)
    )
    return write_splits(tmp_path / "splits", {"train": rows, "validation": rows, "test": rows}, (), ())


def entry(bundle: BuiltBundle, *, is_champion: bool = False) -> Entry:
    candidate = Candidate(spec=ModelSpec(family="linear", base="base"))
    return Entry(candidate=candidate, predicted_bytes=1, bundle=bundle, is_champion=is_champion)


def test_a_candidate_without_finite_logits_is_a_row_with_its_reason(splits: Splits, tmp_path: Path) -> None:
    hostile.CASES["graph: logits of no number"](tmp_path / "b")
    odd = describe(tmp_path / "b")
    judged = evaluate.fn(entry(odd), splits, HERE, tmp_path)
    assert (judged.bundle, judged.predictions) == (None, None)
    assert judged.obstacle.startswith(
        "it cannot be predicted with: the measuring process ended: the graph gives logits that are not finite"
    )
    with pytest.raises(BundleError, match="logits that are not finite"):
        evaluate.fn(entry(odd, is_champion=True), splits, HERE, tmp_path)


def test_a_sound_candidate_keeps_its_bundle(splits: Splits, tmp_path: Path) -> None:
    judged = evaluate.fn(entry(write_tiny_bundle(tmp_path / "b")), splits, HERE, tmp_path)
    assert judged.obstacle == ""
    assert judged.predictions is not None
    np.testing.assert_array_equal(judged.predictions, [0, 1, 0, 2])
