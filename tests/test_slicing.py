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

from parsimony import gates, judging, selection
from parsimony.answers import answers_of
from parsimony.audit import audit
from parsimony.data.slicing import joined, require_groups, rows_of
from parsimony.data.splits import load_split
from parsimony.errors import DataError
from parsimony.files import MANIFEST, write_manifest
from parsimony.judging import Entry
from parsimony.receipt import dumps, receipt
from parsimony.records import Candidate, Dataset, Decision, GateSettings, Judged, Table, Trunk
from parsimony.run import prediction_file
from parsimony.trunks import class_numbers
from tasks.certify import certify
from tasks.suites import Rules
from tasks.validate import Source, validate

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
    found = rows_of(replace(table(region=("eu", "", "us", " "), day=("1", "1", "1", "1")), labels=("b", "a", "a", "b")))
    assert {name: rows.astype(int).tolist() for name, rows in found.items()} == {
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
        "t.csv: column 'comment' has 101 different values among 101 sealed rows, expected at most 100: "
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
        search_share=0.2,
        sealed_share=0.5,
        seed=0,
    )


def test_a_test_file_alone_needs_the_column(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ("text", "label"))
    test = write(tmp_path / "test.csv", ("text", "label", "region"), number=120, first=5_000)
    dataset = validate.fn(source(train, test), RULES, tmp_path / "run")
    assert [name for name, _ in load_split(dataset, "sealed").slices] == ["region"]
    assert load_split(dataset, "train").slices == ()
    without = write(tmp_path / "without.csv", ("text", "label"), number=120, first=5_000)
    with pytest.raises(
        DataError, match=r"without\.csv: has no column 'region', only 'text', 'label'; set data\.slices"
    ):
        validate.fn(source(train, without), RULES, tmp_path / "other")


def test_free_text_as_a_slice_stops_the_run_before_training(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", ("text", "label", "id"))
    with pytest.raises(DataError, match="column 'id' has 600 different values among 600 sealed rows"):
        validate.fn(source(train, slices=("id",)), RULES, tmp_path / "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A run of two real bundles: its folder, the bundles, and what was decided."""

    folder: Path
    bundles: Path
    decision: Decision

    def of(self, name: str) -> Judged:
        return self.decision.of(name)


def done(home: Path, settings: GateSettings, slices: Header = ("region",)) -> Done:
    """Judge a bundle that knows no word of region eu beside one that knows all, and write the receipt."""
    dataset = validate.fn(source(write(home / "train.csv", ("text", "label", "region")), slices=slices), RULES, home)
    blind = {word: number for word, number in WORDS.items() if word not in ("hi", "sun", "send")}
    built = {
        "encoder": write_tiny_bundle(home / "bundles" / "whole", labels=dataset.labels, words=numbers(dataset, WORDS), padding_floats=9_999),
        "linear": write_tiny_bundle(home / "bundles" / "blind", labels=dataset.labels, words=numbers(dataset, blind)),
    }  # fmt: skip
    search, truth = load_split(dataset, "search"), class_numbers(load_split(dataset, "search"), dataset.labels)
    entries = []
    for name, bundle in built.items():
        answers = answers_of(bundle, search.texts, TARGET, home / "answers").classes
        entries.append(
            Entry(
                candidate=Candidate(trunk=Trunk(family=name, base="")),
                predicted_bytes=1,
                bundle=bundle,
                answers=answers,
                search=gates.score(truth, answers, 3),
                measurements=(measurement(1.0, target=TARGET),),
            )
        )
    seen = [judging.searched(entry, entries[0], truth, settings) for entry in entries]
    chosen = judging.fitting(entries, selection.shortlist(seen, dataset.sealed, settings), (TARGET,))
    entries = certify.fn(entries, chosen.order, "encoder", dataset, settings, TARGET, home, home, 0)
    judged = tuple(judging.verdict(e, (TARGET,), settings, dict(chosen.left_out), "encoder") for e in entries)
    outcome, winner, reason = selection.decide(judged)
    decision = Decision(
        outcome=outcome,
        reason=reason,
        model="m",
        winner=winner,
        reference="encoder",
        judged=judged,
        gates=settings,
        targets=(TARGET,),
        dataset=dataset,
        smallest_certifiable_margin=judging.certifiable_margin(seen, dataset.sealed, settings),
        cost=cost(),
        exposures=1,
        seed=0,
        started_at="2025-06-02T06:00:00+00:00",
        run_id="run",
    )
    (home / "receipt.json").write_text(dumps(receipt(decision, version="1")), encoding="utf-8")
    return Done(folder=home, bundles=home / "bundles", decision=decision)


def numbers(dataset: Dataset, words: dict[str, int]) -> dict[str, int]:
    """Return the words with the numbers that their labels have in the data."""
    return {word: dataset.labels.index(LABELS[number]) for word, number in words.items()}


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return done(tmp_path_factory.mktemp("run"), SETTINGS)


def test_a_model_that_fails_one_region_is_not_promoted_though_it_is_smallest_and_certified(harmed: Done) -> None:
    small = harmed.of("linear")
    assert small.certificate is not None
    assert small.certificate.verdict == "pass"
    assert small.verdict == "fail"
    assert small.reason.startswith("slices: region 'eu', ")
    assert harmed.decision.winner == "encoder"


def test_without_the_column_the_harm_is_not_seen(tmp_path: Path) -> None:
    assert done(tmp_path, SETTINGS, slices=()).decision.winner == "linear"


def test_with_a_margin_of_one_the_harm_is_allowed(tmp_path: Path) -> None:
    assert done(tmp_path, replace(SETTINGS, slice_margin=1.0)).decision.winner == "linear"


# --- the audit ------------------------------------------------------------------------------------


def test_the_slices_of_a_receipt_follow_from_the_answers_and_the_columns_kept(harmed: Done) -> None:
    assert audit(harmed.folder, (harmed.bundles,)) == ()


def test_the_audit_finds_a_changed_slice_and_a_changed_verdict(harmed: Done, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(harmed.folder, tmp_path / "run"))
    text = (folder / "receipt.json").read_text(encoding="utf-8")
    found = harmed.of("linear").certificate
    assert found is not None
    [eu] = [one for one in found.slices if one.value == "eu"]
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


def test_the_audit_finds_a_changed_answer_in_a_slice(harmed: Done, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(harmed.folder, tmp_path / "run"))
    file, exam = prediction_file(folder, "linear", "sealed"), load_split(harmed.decision.dataset, "sealed")
    answers = json.loads(file.read_text(encoding="utf-8"))
    place = int(np.flatnonzero(rows_of(exam)["region", "eu"])[0])
    answers[place] = next(
        label for label in LABELS if (label == exam.labels[place]) != (answers[place] == exam.labels[place])
    )
    file.write_text(json.dumps(answers), encoding="utf-8")
    assert any("slices" in line for line in audit(folder, (harmed.bundles,)))


def test_the_audit_refuses_changed_slice_values_and_finds_them_behind_a_new_manifest_too(
    harmed: Done, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(harmed.folder, tmp_path / "run"))
    file = folder / "data" / "sealed.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace('"region": "eu"', '"region": ""', 1), encoding="utf-8")
    with pytest.raises(DataError, match="the receipt cannot be recomputed"):
        audit(folder, (harmed.bundles,))
    (folder / "data" / MANIFEST).unlink()
    write_manifest(folder / "data", {"kind": "dataset", "digest": harmed.decision.dataset.digest})
    assert any("slices" in line for line in audit(folder, (harmed.bundles,)))
