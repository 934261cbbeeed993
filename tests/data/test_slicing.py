"""From a column of the data file to the verdict on its values, and back again in the audit."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from bundles import WORDS, write_tiny_bundle
from decisions import HERE, cost, measurement

from parsimony.audit.receipt import audit
from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.data.slicing import joined, require_groups, rows_of
from parsimony.data.splits import Splits, read_splits
from parsimony.data.table import Dataset, Table
from parsimony.decision import gates, procedure
from parsimony.decision.procedure import Case, Ruling, RunFacts
from parsimony.decision.records import Decision, GateSettings, Judged
from parsimony.decision.records import Rules as JudgingRules
from parsimony.decision.verdicts import Entry
from parsimony.errors import DataError
from parsimony.files import MANIFEST, write_manifest
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.reporting.evidence import prediction_file
from parsimony.reporting.receipt import dumps, receipt
from parsimony.tasks.certify import Place, certify
from parsimony.tasks.validate import Source, validate
from parsimony.tasks.validation.suites import Rules

pytestmark = pytest.mark.slow  # real validation, real bundles

LABELS = ("greeting", "weather", "transfer")
SETTINGS = GateSettings(metric="accuracy", margin=0.2, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0)
RULES = Rules(max_chars=99, min_rows_per_class=10, max_class_share=0.9, max_quarantined_share=0.0)
TARGET = replace(HERE, p99_ms=None, peak_rss_bytes=None)
Header = tuple[str, ...]


def table(**columns: tuple[str, ...]) -> Table:
    n = len(next(iter(columns.values()), ()))
    return Table(
        source="t.csv", texts=("x",) * n, labels=("a",) * n, rows=tuple(range(n)), slices=tuple(columns.items())
    )


# --- slices of a table ----------------------------------------------------------------------------


def test_every_label_and_every_value_is_a_slice_and_an_empty_value_is_one_too() -> None:
    slices = rows_of(
        replace(table(region=("eu", "", "us", " "), day=("1", "1", "1", "1")), labels=("b", "a", "a", "b"))
    )
    assert {name: rows.astype(int).tolist() for name, rows in slices.items()} == {
        ("label", "a"): [0, 1, 1, 0],
        ("label", "b"): [1, 0, 0, 1],
        ("region", "(empty)"): [0, 1, 0, 1],
        ("region", "eu"): [1, 0, 0, 0],
        ("region", "us"): [0, 0, 1, 0],
        ("day", "1"): [1, 1, 1, 1],
    }


def test_without_further_columns_the_labels_are_the_slices() -> None:
    assert list(rows_of(replace(table(), texts=("x",) * 2, labels=("b", "a"), rows=(1, 2)))) == [
        ("label", "a"),
        ("label", "b"),
    ]


def test_a_column_of_free_text_is_refused_by_its_name() -> None:
    hundred = tuple(str(i) for i in range(100))
    require_groups(table(region=(*hundred, "7")))
    with pytest.raises(DataError) as caught:
        require_groups(table(region=("eu",) * 101, comment=(*hundred, "one more")))
    assert str(caught.value) == (
        "t.csv: column 'comment' has 101 different values among 101 test rows, expected at most 100: "
        "name columns of groups in data.slices, not of free text"
    )


def test_tables_are_joined_with_their_further_columns() -> None:
    assert joined((table(region=("eu", "us")), table(region=("",))), "all.csv") == Table(
        source="all.csv", texts=("x",) * 3, labels=("a",) * 3, rows=(1, 2, 3), slices=(("region", ("eu", "us", "")),)
    )


# --- from the file to the verdict -----------------------------------------------------------------


def write(path: Path, header: Header, *, number: int = 1_200, first: int = 0) -> Path:
    """Write texts of one known word: one in twelve is of region eu, whose words are `hi`, `sun` and `send`."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, header, extrasaction="ignore")
        writer.writeheader()
        for i in range(first, first + number):
            eu = i // 3 % 12 == 0
            word = list(WORDS)[2 * (i % 3) + eu]
            region = "eu" if eu else ""
            writer.writerow({"text": f"{word} and n{i}", "label": LABELS[i % 3], "region": region, "id": str(i)})
    return path


def source(train: Path, test: Path | None = None, slices: Header = ("region",)) -> Source:
    return Source(
        train=str(train),
        test=None if test is None else str(test),
        text="text",
        label="label",
        train_slices=slices if test is None else (),
        test_slices=slices,
        validation_share=0.2,
        test_share=0.5,
        seed=0,
    )


def test_a_test_file_alone_needs_the_column(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ("text", "label"), number=120)
    test = write(tmp_path / "test.csv", ("text", "label", "region"), number=120, first=5_000)
    splits = validate.fn(source(train, test), RULES, tmp_path / "run")
    assert [name for name, _ in splits.tables["test"].slices] == ["region"]
    assert splits.tables["train"].slices == ()
    without = write(tmp_path / "without.csv", ("text", "label"), number=120, first=5_000)
    with pytest.raises(
        DataError, match=r"without\.csv: has no column 'region', only 'text', 'label'; set data\.slices"
    ):
        validate.fn(source(train, without), RULES, tmp_path / "other")


def test_free_text_as_a_slice_stops_the_run_before_training(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ("text", "label", "id"))
    with pytest.raises(DataError, match="column 'id' has 600 different values among 600 test rows"):
        validate.fn(source(train, slices=("id",)), RULES, tmp_path / "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A run of two real bundles: its folder, the bundles, and what was decided."""

    folder: Path
    bundles: Path
    decision: Decision

    def of(self, name: str) -> Judged:
        return self.decision.of(name)


def splits_of(folder: Path, slices: Header = ("region",)) -> Splits:
    """Write a data file into a folder and cut it into splits there."""
    return validate.fn(source(write(folder / "train.csv", ("text", "label", "region")), slices=slices), RULES, folder)


def done(folder: Path, splits: Splits, settings: GateSettings, home: Path) -> Done:
    """Judge a bundle that knows no word of region eu beside one that knows all, and write the receipt into a folder."""
    case = Case(reference="encoder", gates=settings, targets=(TARGET,), test_rows=splits.dataset.test_rows)
    entries: list[Entry] = [
        entry(name, bundle, splits, home) for name, bundle in built(splits.dataset, folder / "bundles").items()
    ]
    comparisons = procedure.compare(case, entries, splits.truth("validation"))
    chosen = procedure.fitting(case, entries, procedure.choose(case, comparisons))
    place = Place(target=TARGET, folder=folder, home=home)
    entries = certify.fn(entries, chosen, case.reference, splits, JudgingRules(gates=settings), place)
    decision = concluded(case, splits.dataset, procedure.conclude(case, entries, chosen, comparisons))
    (folder / "receipt.json").write_text(dumps(receipt(decision, version="1")), encoding="utf-8")
    return Done(folder=folder, bundles=folder / "bundles", decision=decision)


def built(dataset: Dataset, folder: Path) -> dict[str, BuiltBundle]:
    """Write the large bundle that knows all words and the small one that knows none of region eu."""
    blind = {word: number for word, number in WORDS.items() if word not in ("hi", "sun", "send")}
    labels = dataset.labels
    whole = write_tiny_bundle(folder / "whole", labels=labels, words=numbers(dataset, WORDS), padding_floats=9_999)
    return {
        "encoder": whole,
        "linear": write_tiny_bundle(folder / "blind", labels=labels, words=numbers(dataset, blind)),
    }


def entry(name: str, bundle: BuiltBundle, splits: Splits, home: Path) -> Entry:
    """Return a candidate with its predictions on the validation split."""
    predictions = predictions_of(bundle, splits.texts("validation"), TARGET, home / "predictions").classes
    return Entry(
        candidate=Candidate(spec=ModelSpec(family=name, base="")),
        predicted_bytes=1,
        bundle=bundle,
        predictions=predictions,
        validation=gates.score(splits.truth("validation"), predictions, 3),
        measurements=(measurement(1.0, target=TARGET),),
    )


def concluded(case: Case, dataset: Dataset, ruling: Ruling) -> Decision:
    """Return the decision that follows from a ruling."""
    facts = RunFacts(model="m", run_id="run", started_at="2025-06-02T06:00:00+00:00", seed=0, test_reuse=1, cost=cost())
    return procedure.decision_of(case, ruling, dataset, facts)


def numbers(dataset: Dataset, words: dict[str, int]) -> dict[str, int]:
    """Return the words with the numbers that their labels have in the data."""
    return {word: dataset.labels.index(LABELS[number]) for word, number in words.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where predictions are kept between the runs of these tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    return splits_of(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def harmed(splits: Splits, home: Path) -> Done:
    return done(Path(splits.dataset.folder).parent, splits, SETTINGS, home)


def test_a_model_that_fails_one_region_is_not_promoted_though_it_is_smallest_and_certified(harmed: Done) -> None:
    small = harmed.of("linear")
    assert small.certificate is not None
    assert small.certificate.verdict == "pass"
    assert small.verdict == "fail"
    assert small.reason.startswith("slices: region 'eu', ")
    assert harmed.decision.winner == "encoder"


def test_without_the_column_the_harm_goes_unnoticed(splits: Splits, home: Path, tmp_path: Path) -> None:
    bare = Splits(splits.dataset, {name: replace(table, slices=()) for name, table in splits.tables.items()})
    assert done(tmp_path, bare, SETTINGS, home).decision.winner == "linear"


def test_without_the_column_in_the_plan_the_harm_goes_unnoticed(home: Path, tmp_path: Path) -> None:
    assert done(tmp_path, splits_of(tmp_path, slices=()), SETTINGS, home).decision.winner == "linear"


def test_with_a_margin_of_one_the_harm_is_allowed(splits: Splits, home: Path, tmp_path: Path) -> None:
    assert done(tmp_path, splits, replace(SETTINGS, slice_margin=1.0), home).decision.winner == "linear"


# --- the audit ------------------------------------------------------------------------------------


def test_the_slices_of_a_receipt_follow_from_the_predictions_and_the_columns_kept(harmed: Done) -> None:
    assert audit(harmed.folder, (harmed.bundles,)) == ()


def test_the_audit_finds_a_changed_slice_and_a_changed_verdict(harmed: Done, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(harmed.folder, tmp_path / "run"))
    text = (folder / "receipt.json").read_text(encoding="utf-8")
    certificate = harmed.of("linear").certificate
    assert certificate is not None
    [eu] = [one for one in certificate.slices if one.value == "eu"]
    counts = f'"value": "eu", "n": {eu.n}, "right": {eu.right}, "lost": '
    changes = {
        f"{counts}{eu.lost}": f"{counts}{eu.lost - 1}",
        '"gate": "slices", "verdict": "fail"': '"gate": "slices", "verdict": "pass"',
        '"slice_margin": 0.1': '"slice_margin": 0.2',
    }
    for old, new in changes.items():
        assert text.count(old) == 1
        (folder / "receipt.json").write_text(text.replace(old, new), encoding="utf-8")
        assert audit(folder, (harmed.bundles,)), new


def test_the_audit_finds_a_changed_prediction_in_a_slice(harmed: Done, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(harmed.folder, tmp_path / "run"))
    file, test = prediction_file(folder, "linear", "test"), read_splits(folder / "data").tables["test"]
    predictions = json.loads(file.read_text(encoding="utf-8"))
    row = int(np.flatnonzero(rows_of(test)["region", "eu"])[0])
    predictions[row] = next(
        label for label in LABELS if (label == test.labels[row]) != (predictions[row] == test.labels[row])
    )
    file.write_text(json.dumps(predictions), encoding="utf-8")
    assert any("slices" in line for line in audit(folder, (harmed.bundles,)))


def test_the_audit_refuses_changed_slice_values_and_finds_them_behind_a_new_manifest_too(
    harmed: Done, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(harmed.folder, tmp_path / "run"))
    file = folder / "data" / "test.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"region": "eu"', '"region": ""', 1), encoding="utf-8")
    with pytest.raises(DataError, match="the receipt cannot be recomputed"):
        audit(folder, (harmed.bundles,))
    (folder / "data" / MANIFEST).unlink()
    write_manifest(folder / "data", {"kind": "dataset", "digest": harmed.decision.dataset.digest})
    assert any("slices" in line for line in audit(folder, (harmed.bundles,)))
