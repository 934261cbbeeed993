"""A champion of earlier data in today's run, from a real MLflow: what it is judged on, and what it predicts in today's labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundles import LABELS, write_tiny_bundle
from test_registry import MODEL, decide, judged_pass, registry, template_database

from parsimony.data.row_digests import TRAINING_ROWS, write_row_digests
from parsimony.data.splits import Splits, write_splits
from parsimony.data.table import Table
from parsimony.decision.verdicts import Entry
from parsimony.measurement.records import TargetSettings
from parsimony.tasks.build import evaluate
from parsimony.tasks.champion import Place, bring_champion
from parsimony.tasks.registry.promotion import promote
from parsimony.tasks.registry.tracking import Registry, connected, record
from parsimony.tasks.registry.versions import register

__all__ = ["registry", "template_database"]  # fixtures
pytestmark = pytest.mark.slow

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)


def todays(folder: Path) -> Splits:
    """Write data with a new label; `greeting`, which the champion knows, is gone."""
    rows = Table(
        source="t", texts=("rain", "sun", "send money", "refund"), labels=("weather", "weather", "transfer", "refund"), rows=(2, 3, 4, 5),
    )  # fmt: skip
    return write_splits(folder, {"train": rows, "validation": rows, "test": rows}, (), ())


def brought(registry: Registry, folder: Path, training_rows: tuple[str, ...]) -> Entry:
    """Promote a champion that was trained on these rows, and bring it into today's run."""
    decision = decide(judged_pass("old", write_tiny_bundle(folder / "old")), winner="old")
    write_row_digests(folder / TRAINING_ROWS, training_rows)
    recorded = record(registry, decision, tags={})
    verified = register(
        registry,
        decision,
        version_card="PASS",
        run_id_of_winner=recorded.of("old"),
        training_rows=folder / TRAINING_ROWS,
    )
    promote(registry, decision, verified)
    place = Place(registry=registry, home=folder / "home", folder=folder / "run")
    [entry] = bring_champion.fn([], MODEL, todays(folder / "data"), place)
    return entry


def test_rows_of_labels_that_it_does_not_know_and_rows_that_it_was_trained_on_are_left_out(
    registry: Registry, tmp_path: Path
) -> None:
    entry = brought(registry, tmp_path, ("Rain", "hello", "another"))
    assert entry.coverage is not None and entry.covered is not None and entry.is_champion
    assert entry.covered.tolist() == [False, True, True, False]
    coverage = entry.coverage
    assert (coverage.version, coverage.rows, coverage.trained_on, coverage.of_new_labels) == ("1", 2, 1, 1)
    assert (coverage.new_labels, coverage.gone_labels) == (("refund",), ("greeting",))
    evidence = tmp_path / "run" / "champion"
    assert json.loads((evidence / "labels.json").read_text()) == list(LABELS)
    assert (evidence / TRAINING_ROWS).read_bytes() == (tmp_path / TRAINING_ROWS).read_bytes()


def test_what_it_predicts_is_told_in_todays_labels(registry: Registry, tmp_path: Path) -> None:
    entry = brought(registry, tmp_path, ())
    splits = todays(tmp_path / "again")
    done = evaluate.fn(entry, splits, HERE, tmp_path / "home")
    assert done.predictions is not None and done.validation is not None
    predicted = [(*splits.dataset.labels, "none of them")[number] for number in done.predictions]
    assert predicted == [
        "weather",
        "weather",
        "transfer",
        "none of them",
    ]  # a word that it does not know makes it greet
    assert done.validation.correct == 3


def test_a_file_of_training_rows_that_was_changed_is_not_used_and_this_is_said(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = brought(registry, tmp_path, ("rain",))
    assert entry.coverage is not None and entry.coverage.trained_on == 1
    with connected(registry) as client:
        uri = client.get_model_version_download_uri(MODEL, "1").removeprefix("file://")
    write_row_digests(Path(uri) / TRAINING_ROWS, ("rain", "sun"))
    place = Place(registry=registry, home=tmp_path / "home", folder=tmp_path / "other")
    [again] = bring_champion.fn([], MODEL, todays(tmp_path / "more"), place)
    assert again.coverage is not None and again.coverage.trained_on is None
    assert "is not the one that was stored" in caplog.text
