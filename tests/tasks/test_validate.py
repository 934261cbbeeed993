"""What becomes of the data before a run: rows refused are kept with their reasons, near duplicates are counted or grouped."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from parsimony.data.normalise import without_numbers
from parsimony.data.table import Table
from parsimony.errors import DataError, Finding
from parsimony.tasks.validate import Source, validate
from parsimony.tasks.validation.near_duplicates import near_duplicates
from parsimony.tasks.validation.quarantine import QUARANTINE, refusals_kept
from parsimony.tasks.validation.suites import Rules

pytestmark = pytest.mark.slow

RULES = Rules(max_chars=50, min_rows_per_class=2, max_class_share=1.0, max_quarantined_share=0.02)


def write(path: Path, rows: list[tuple[str, str]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *rows])
    return str(path)


def source(train: str, test: str | None = None) -> Source:
    return Source(
        train=train, test=test, text="text", label="label", train_slices=(), test_slices=(), validation_share=0.1,
        test_share=0.25, seed=0,
    )  # fmt: skip


def test_texts_without_labels_are_read_cleaned_and_kept_out_of_the_test_split(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", good())
    file = tmp_path / "log.csv"
    file.write_text("text\nNever seen\n" + "".join(f"{text.upper()}\n" for text, _ in good()) + "x" * 60 + "\n")
    splits = validate.fn(replace(source(train), unlabelled=str(file)), RULES, tmp_path / "run")
    assert splits.unlabelled == ("Never seen", "x" * 50)
    [note] = [note for note in splits.dataset.notes if note.check == "texts without labels"]
    assert note.reason == "2 of 62 texts without labels are used, 60 in train, validation or test"
    bare = validate.fn(source(train), RULES, tmp_path / "bare")
    assert splits.tables == bare.tables
    assert splits.dataset.test_digest == bare.dataset.test_digest


def kept(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))[1:]


def good(count: int = 60) -> list[tuple[str, str]]:
    return [(f"{'abcdefghij'[i % 10]} {'xyzuvw'[i // 10]} text", "ab"[i % 2]) for i in range(count)]


def test_rows_that_stop_a_run_are_all_kept_and_the_message_names_the_first_five(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", [*good(), *(("", "a") for _ in range(7)), ("x\x01", "b"), good()[0]])
    with pytest.raises(DataError) as caught:
        validate.fn(source(train), RULES, tmp_path / "run", tmp_path)
    path = tmp_path / QUARANTINE
    assert str(caught.value).endswith(f"mend the file; 9 rows (62, 63, 64, 65, 66, …) with their reasons in {path}")
    assert "\n" not in str(caught.value)
    assert sorted(row[1:5] for row in kept(path)) == sorted(
        [
            *([str(row), "text", "blank text", "the text is blank"] for row in range(62, 69)),
            ["69", "text", "control characters", "the text has control characters"],
            ["70", "text", "duplicate", "repeats an earlier row, label included"],
        ]
    )
    assert [row[5:] for row in kept(path) if row[1] == "69"] == [["x\x01", "b"]]
    assert not (tmp_path / "run").exists()


def test_every_row_of_a_label_that_stops_a_run_is_kept(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", good())
    test = write(tmp_path / "test.csv", [("new a", "a"), ("new b", "b"), *((f"odd {'q' * i}", "c") for i in range(8))])
    with pytest.raises(DataError) as caught:
        validate.fn(source(train, test), RULES, tmp_path / "run", tmp_path)
    assert f"; 8 rows (4, 5, 6, 7, 8, …) with their reasons in {tmp_path / QUARANTINE}" in str(caught.value)
    assert [row[:5] for row in kept(tmp_path / QUARANTINE)] == [
        [test, str(row), "label", "unknown labels", "the label is not in the training data"] for row in range(4, 12)
    ]


def test_lines_that_cannot_be_read_are_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label\na,b,c\nd,a\ne\n")
    with pytest.raises(DataError) as caught:
        validate.fn(source(str(path)), RULES, tmp_path / "run", tmp_path)
    told = f"quote texts that contain commas (and 1 more lines); 2 rows (2, 4) with their reasons in {tmp_path / QUARANTINE}"
    assert str(caught.value) == f"{path}, line 2: has 3 fields, the header 2; {told}"
    assert [row[1] for row in kept(tmp_path / QUARANTINE)] == ["2", "4"]


def test_a_refusal_without_rows_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; check data\.train and data\.test in the plan$"):
        validate.fn(source(str(tmp_path / "none.csv")), RULES, tmp_path / "run", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_two_files_are_named_with_their_files(tmp_path: Path) -> None:
    rows = tuple(
        Finding(severity="quarantine", check="c", source=name, row=7, column="text", reason="r")
        for name in ("/x/train.csv", "/x/test.csv")
    )
    with (
        pytest.raises(DataError, match=r"^stop; 2 rows \(train\.csv 7, test\.csv 7\) with their reasons in "),
        refusals_kept(tmp_path / QUARANTINE),
    ):
        raise DataError("stop", (), rows)


def test_a_row_that_may_be_cut_off_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", [*good(), *((f"long {'q' * i}", "ab") for i in range(6))])
    whole = Path(train).read_bytes()
    Path(train).write_bytes(whole[: whole.rindex(b"b")])  # the last label is "a" now, which begins "ab"
    splits = validate.fn(source(train), RULES, tmp_path / "run", tmp_path)
    [finding] = splits.dataset.quarantined
    assert (finding.row, finding.column) == (67, "label")
    assert sum(len(table) for table in splits.tables.values()) == 65
    assert [row[1] for row in kept(tmp_path / "run" / QUARANTINE)] == ["67"]


# --- near duplicates ------------------------------------------------------------------------------


def table(name: str, *texts: str) -> Table:
    rows = tuple(range(2, len(texts) + 2))
    return Table(source=name, texts=texts, labels=("a",) * len(texts), rows=rows)


def test_rows_that_differ_in_numbers_only_from_another_split_are_counted() -> None:
    train, validation = table("t.csv", "ticket 1", "hello"), table("t.csv", "order 7", "ticket 2")
    notes = near_duplicates(train, validation, table("t.csv", "Ticket 3", "order 8", "hello 4", "bye"))
    assert [(note.check, note.reason.partition(", which")[0]) for note in notes] == [
        ("near duplicates", "1 of 2 rows for validation differ in numbers only from rows in train (rows 3)"),
        ("near duplicates", "2 of 4 rows for test differ in numbers only from rows in train or validation (rows 2, 3)"),
    ]
    assert {note.severity for note in notes} == {"note"}
    assert near_duplicates(train, table("t.csv", "order 7"), table("t.csv", "bye")) == ()


def tickets(templates: str, number: int) -> list[tuple[str, str]]:
    return [(f"{t * 3} ticket {n}", "ab"[i % 2]) for i, t in enumerate(templates) for n in range(number)]


def test_near_duplicates_are_noted_and_at_choice_grouped(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", tickets("cdefghijklmnopqrstuvwxyz", 5))
    noted = validate.fn(source(train), RULES, tmp_path / "noted")
    assert [note.check for note in noted.dataset.notes] == ["near duplicates"] * 2
    grouped = validate.fn(source(train), replace(RULES, near_duplicates="group"), tmp_path / "grouped")
    assert grouped.dataset.notes == ()
    keys = [set(map(without_numbers, part.texts)) for part in grouped.tables.values()]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 24


def test_with_a_test_file_grouped_near_duplicates_leave_train(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", tickets("cdefghijkl", 5))
    test = write(tmp_path / "test.csv", [("ccc ticket 99", "a"), ("new", "b")])
    splits = validate.fn(source(train, test), replace(RULES, near_duplicates="group"), tmp_path / "run")
    assert {f.reason for f in splits.dataset.quarantined} == {"the same text, but for its numbers, is in the test data"}
    assert [f.row for f in splits.dataset.quarantined] == [2, 3, 4, 5, 6]
    assert splits.dataset.test_rows == 2
