"""The splits are stratified, keep equal texts together, and are the same files for everybody."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from parsimony.data.normalise import normalise, without_numbers
from parsimony.data.splits import SPLITS, Splits, read_splits, split, write_splits
from parsimony.data.table import Table, Texts
from parsimony.errors import DataError, Finding, InfrastructureError
from parsimony.files import write_manifest

LABELS = ("a", "b")


def table(*pairs: tuple[str, str], source: str = "train.csv") -> Table:
    texts, labels = tuple(text for text, _ in pairs), tuple(label for _, label in pairs)
    return Table(source=source, texts=texts, labels=labels, rows=tuple(range(2, len(pairs) + 2)))


def many(count: int) -> Table:
    """Make a table in which one row in four is of class b."""
    return table(*((f"text {i}", "b" if i % 4 == 0 else "a") for i in range(count)))


def cut(train: Table, test: Table | None = None, seed: int = 0) -> tuple[Table, Table, Table]:
    return split(train, test, seed=seed, validation_share=0.1, test_share=0.2)


def kept(folder: Path, test: Table | None = None) -> Splits:
    return write_splits(folder, dict(zip(SPLITS, cut(many(100), test), strict=True)), (), ())


def test_two_texts_that_differ_in_case_width_composition_or_spaces_are_the_same() -> None:
    same = ("Café ist  Groß", "cafe\u0301 IST gross", "\tＣＡＦÉ ist\u00a0groß\n")
    assert {normalise(text) for text in same} == {"café ist gross"}


def test_every_class_gives_its_share_to_every_part() -> None:
    counts = [Counter(part.labels) for part in cut(many(400))]
    assert counts == [Counter(a=210, b=70), Counter(a=30, b=10), Counter(a=60, b=20)]


def test_the_parts_together_are_the_table_each_in_its_old_order() -> None:
    whole, parts = many(100), cut(many(100))
    assert sorted(row for part in parts for row in part.rows) == list(whole.rows)
    assert all(part == whole.take(tuple(row - 2 for row in sorted(part.rows))) for part in parts)


def test_texts_that_are_the_same_never_land_in_two_parts() -> None:
    copies = table(*((f"{'Text' if i % 2 else 'text'}  {i % 60}", "b" if i % 3 else "a") for i in range(240)))
    train, validation, test = ({normalise(text) for text in part.texts} for part in cut(copies))
    assert (train & validation, train & test, validation & test) == (set(), set(), set())


def test_a_text_with_two_labels_stays_in_train() -> None:
    whole = table(("odd", "a"), ("ODD", "b"), *((f"text {i}", "a") for i in range(20)))
    for seed in range(20):
        assert {"odd", "ODD"} <= set(cut(whole, seed=seed)[0].texts)


@pytest.mark.parametrize(("count", "expected"), [(1, (1, 0, 0)), (2, (2, 0, 0)), (3, (1, 1, 1)), (4, (2, 1, 1))])
def test_a_small_class_is_in_train_and_from_three_texts_on_in_every_part(
    count: int, expected: tuple[int, int, int]
) -> None:
    whole = table(*((f"text {i}", "a") for i in range(30)), *((f"rare {i}", "b") for i in range(count)))
    assert tuple(part.labels.count("b") for part in cut(whole)) == expected


def test_large_shares_never_empty_the_training_part() -> None:
    for count in range(3, 12):
        whole = table(*((f"text {i}", "a") for i in range(count)))
        assert min(map(len, split(whole, None, seed=0, validation_share=0.5, test_share=0.49))) >= 1


def test_a_given_test_table_stays_whole_and_in_its_order() -> None:
    given = table(("z", "a"), ("y", "b"), ("z", "a"), source="test.csv")
    train, validation, test = cut(many(100), given)
    assert (test, len(train), len(validation)) == (given, 90, 10)


def test_a_text_in_both_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="1 texts are in both tables; validate them first"):
        cut(many(100), table(("TEXT 7", "a"), source="test.csv"))


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    assert cut(many(100), seed=1) == cut(many(100), seed=1)
    assert cut(many(100), seed=1) != cut(many(100), seed=2)


def test_nearly_every_row_keeps_its_place_when_rows_are_added() -> None:
    before = {text: k for k, part in enumerate(cut(many(1000))) for text in part.texts}
    after = {text: k for k, part in enumerate(cut(many(1100))) for text in part.texts}
    assert sum(before[text] != after[text] for text in before) <= 30


@pytest.mark.slow
def test_the_split_does_not_depend_on_the_hash_seed() -> None:
    program = "from tests.data.test_splits import cut, many; print([part.rows for part in cut(many(60))])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{[part.rows for part in cut(many(60))]}\n".encode()}


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.1, 0.0), (0.5, 0.5), (float("nan"), 0.2), (-0.1, 0.2)])
def test_shares_that_leave_a_part_empty_are_refused(validation: float, test: float) -> None:
    with pytest.raises(ValueError, match="expected each above 0 and their sum below 1"):
        split(many(100), None, seed=0, validation_share=validation, test_share=test)


def test_a_table_too_small_to_cut_is_refused() -> None:
    with pytest.raises(DataError, match=r"train\.csv: no class has 3 different texts"):
        cut(table(("x", "a"), ("y", "a"), ("z", "b")))


def test_a_split_is_read_back_exactly_as_it_was_written(tmp_path: Path) -> None:
    odd = table(("NA", "a"), (" line\nbreak\r\n\u2028 ", "a"), ("日本 👩‍🚀", "b"), source="test.csv")
    written = kept(tmp_path / "data", odd)
    splits = read_splits(tmp_path / "data")
    assert splits.tables["test"] == odd
    assert [splits.tables[name] for name in SPLITS] == [written.tables[name] for name in SPLITS]
    assert [splits.tables[name] for name in ("train", "validation")] == list(cut(many(100), odd)[:2])
    assert splits.dataset == written.dataset


def test_texts_and_truth_of_a_split_are_made_once_and_are_those_of_its_table(tmp_path: Path) -> None:
    splits = kept(tmp_path / "data")
    for name in SPLITS:
        assert splits.texts(name) is splits.texts(name)
        assert splits.texts(name) == Texts.of(splits.tables[name].texts)
        assert splits.texts(name).texts == splits.tables[name].texts
        assert splits.truth(name) is splits.truth(name)
        assert [LABELS[number] for number in splits.truth(name)] == list(splits.tables[name].labels)


def test_texts_are_compared_by_their_digest_which_knows_their_order() -> None:
    one, same, other = Texts.of(("a", "b")), Texts.of(["a", "b"]), Texts.of(("b", "a"))
    assert (one, hash(one)) == (same, hash(same))
    assert one != other
    assert len({one, same, other, Texts.of(("ab",)), Texts.of(())}) == 4
    assert len(one) == 2
    assert "texts" not in repr(one).removeprefix("Texts")


def test_further_columns_follow_their_rows_through_the_cut_and_are_kept(tmp_path: Path) -> None:
    whole = dataclasses.replace(
        many(100), slices=(("region", tuple(f"r{i % 7}" for i in range(100))), ("day", ("",) * 100))
    )
    parts = cut(whole)
    assert all(part == whole.take(tuple(row - 2 for row in part.rows)) for part in parts)
    dataset = write_splits(tmp_path / "d", dict(zip(SPLITS, parts, strict=True)), (), ()).dataset
    splits = read_splits(tmp_path / "d")
    assert [splits.tables[name] for name in SPLITS] == list(parts)
    bare = kept(tmp_path / "bare").dataset
    assert (dataset.digest, dataset.test_digest) == (bare.digest, bare.test_digest)  # nothing is trained anew


def test_texts_without_labels_are_kept_and_count_in_the_digest_of_the_data_alone(tmp_path: Path) -> None:
    parts = dict(zip(SPLITS, cut(many(100)), strict=True))
    bare = write_splits(tmp_path / "bare", parts, (), ())
    with_texts = write_splits(tmp_path / "more", parts, (), (), ("one", "a\nb", "two"))
    assert (bare.dataset.unlabelled_rows, bare.dataset.unlabelled_digest) == (0, "")
    assert (with_texts.dataset.unlabelled_rows, len(with_texts.dataset.unlabelled_digest)) == (3, 64)
    assert with_texts.dataset.digest != bare.dataset.digest
    assert with_texts.dataset.test_digest == bare.dataset.test_digest
    again = read_splits(tmp_path / "more")
    assert (again.dataset, again.unlabelled) == (with_texts.dataset, ("one", "a\nb", "two"))
    assert again.read_by_students.texts == (*parts["train"].texts, "one", "a\nb", "two")
    assert bare.read_by_students == bare.texts("train")


def test_a_further_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"texts, labels, rows and slices have lengths \(1, 1, 1, 2\), expected equal"):
        Table(source="t.csv", texts=("x",), labels=("a",), rows=(2,), slices=(("region", ("eu", "us")),))


def test_the_record_counts_the_splits_and_keeps_the_findings(tmp_path: Path) -> None:
    note = Finding(severity="note", check="c", source="s", row=None, column="text", reason="r")
    dataset = write_splits(tmp_path / "d", dict(zip(SPLITS, cut(many(100)), strict=True)), (note,), (note,)).dataset
    assert (dataset.train_rows, dataset.validation_rows, dataset.test_rows) == (70, 10, 20)
    assert (dataset.quarantined, dataset.notes) == ((note,), (note,))
    assert read_splits(tmp_path / "d").dataset == dataset
    meta = json.loads((tmp_path / "d" / "meta.json").read_text())
    assert (meta["digest"], meta["notes"], meta["labels"]) == (dataset.digest, [dataclasses.asdict(note)], ["a", "b"])


def test_equal_data_gives_equal_digests_wherever_it_is_kept(tmp_path: Path) -> None:
    one, two = kept(tmp_path / "one").dataset, kept(tmp_path / "two").dataset
    assert dataclasses.replace(two, folder=one.folder) == one


def test_the_digest_of_the_test_split_ignores_the_order_and_changes_with_every_row(tmp_path: Path) -> None:
    pairs = (("p", "a"), ("q", "b"), ("r", "a"))
    digests = [
        kept(tmp_path / str(i), table(*rows, source="test.csv")).dataset.test_digest
        for i, rows in enumerate((pairs, pairs[::-1], (*pairs[:2], ("r", "b")), pairs[:2]))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_labels_are_those_of_train_sorted_whatever_the_other_splits_hold(tmp_path: Path) -> None:
    train, validation, _ = cut(many(100))
    odd = table(("p", "a"), ("q", "c"), source="test.csv")
    for folder, first in ((tmp_path / "a", train), (tmp_path / "b", train.take(tuple(reversed(range(len(train))))))):
        splits = write_splits(folder, {"train": first, "validation": validation, "test": odd}, (), ())
        assert splits.dataset.labels == LABELS
        with pytest.raises(KeyError, match="c"):
            splits.truth("test")


def test_a_changed_file_is_refused_when_it_is_read(tmp_path: Path) -> None:
    kept(tmp_path / "data")
    path = tmp_path / "data" / "test.jsonl"
    path.write_text(path.read_text().replace('"label": "a"', '"label": "b"', 1))
    with pytest.raises(InfrastructureError, match=r"test\.jsonl has SHA-256"):
        read_splits(tmp_path / "data")


def test_splits_that_are_not_the_data_described_are_refused_behind_a_new_manifest_too(tmp_path: Path) -> None:
    dataset = kept(tmp_path / "data").dataset
    other = kept(tmp_path / "other", table(("p", "a"), ("q", "b"), source="test.csv")).dataset
    for name in ("test.jsonl", "train.jsonl"):
        (tmp_path / "data" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    write_manifest(tmp_path / "data", {"kind": "dataset", "digest": dataset.digest})
    with pytest.raises(InfrastructureError, match=f"holds dataset .*, expected {dataset.digest[:12]}"):
        read_splits(tmp_path / "data")
    assert other.digest != dataset.digest


def test_another_dataset_in_the_same_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    before = kept(tmp_path / "data").dataset
    after = kept(tmp_path / "data", table(("p", "a"), ("q", "b"), source="test.csv"))
    splits = read_splits(tmp_path / "data")
    assert splits.dataset == after.dataset != before
    assert splits.tables == after.tables


# --- texts that differ in numbers only ------------------------------------------------------------


def grouped(train: Table, test: Table | None = None, seed: int = 0) -> tuple[Table, Table, Table]:
    return split(train, test, seed=seed, validation_share=0.1, test_share=0.2, key=without_numbers)


def test_texts_that_differ_in_numbers_only_are_near() -> None:
    near = (
        "Ticket 12 is open",
        "ticket 345 is  OPEN",
        "ticket 1,204.50 is open",
        "ticket １２ is open",
        "ticket ٣ is open",
    )
    assert {without_numbers(text) for text in near} == {"ticket 0 is open"}
    assert (
        len({without_numbers(text) for text in ("ticket 12 is open", "ticket 12 is not open", "ticket is open")}) == 3
    )


def tickets(templates: int, each: int) -> Table:
    return table(*((f"{'x' * t} ticket {n}", LABELS[t % 2]) for t in range(templates) for n in range(each)))


@pytest.mark.parametrize("seed", range(5))
def test_grouped_texts_that_differ_in_numbers_only_fall_into_one_split(seed: int) -> None:
    parts = grouped(tickets(40, 5), seed=seed)
    keys = [set(map(without_numbers, part.texts)) for part in parts]
    assert keys[0] & keys[1] == keys[0] & keys[2] == keys[1] & keys[2] == set()
    assert [len(part) for part in parts] == [140, 20, 40]
    assert [set(part.labels) for part in parts] == [set(LABELS)] * 3


def test_a_group_that_holds_nearly_all_rows_of_its_label_stays_in_train() -> None:
    uneven = table(
        *((f"ticket {n}", "a") for n in range(100)),
        ("one", "a"),
        ("two", "a"),
        *((f"{'y' * n}", "b") for n in range(1, 21)),
    )
    for seed in range(10):
        parts = grouped(uneven, seed=seed)
        assert parts[0].labels.count("a") == 100
        assert [part.labels.count("a") for part in parts[1:]] == [1, 1]


def test_without_grouping_the_splits_are_those_of_single_texts() -> None:
    plain = many(200)
    same = split(plain, None, seed=3, validation_share=0.1, test_share=0.2, key=lambda text: text)
    assert cut(plain, seed=3) == same


def test_a_near_copy_of_a_test_row_in_train_is_refused_where_they_are_grouped() -> None:
    with pytest.raises(ValueError, match="1 texts are in both tables; validate them first"):
        grouped(table(("ticket 1", "a"), ("x", "b")), table(("ticket 2", "a"), source="test.csv"))
