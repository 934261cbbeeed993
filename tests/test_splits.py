"""The splits are stratified, keep equal texts together, and are the same files for everybody."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from parsimony.data.splits import load_split, split, write_dataset
from parsimony.data.text import normalise
from parsimony.errors import DataError, InfrastructureError
from parsimony.records import Dataset, Finding, Table

LABELS = ("a", "b")


def table(*pairs: tuple[str, str], source: str = "train.csv") -> Table:
    texts, labels = tuple(text for text, _ in pairs), tuple(label for _, label in pairs)
    return Table(source=source, texts=texts, labels=labels, rows=tuple(range(2, len(pairs) + 2)))


def many(count: int) -> Table:
    """Make a table in which one row in four is of class b."""
    return table(*((f"text {i}", "b" if i % 4 == 0 else "a") for i in range(count)))


def cut(train: Table, sealed: Table | None = None, seed: int = 0) -> tuple[Table, Table, Table]:
    return split(train, sealed, seed=seed, search_share=0.1, sealed_share=0.2)


def kept(folder: Path, sealed: Table | None = None) -> Dataset:
    train, search, exam = cut(many(100), sealed)
    return write_dataset(folder, train=train, search=search, sealed=exam, labels=LABELS, quarantined=(), notes=())


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
    train, search, sealed = ({normalise(text) for text in part.texts} for part in cut(copies))
    assert (train & search, train & sealed, search & sealed) == (set(), set(), set())


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
        assert min(map(len, split(whole, None, seed=0, search_share=0.5, sealed_share=0.49))) >= 1


def test_a_given_sealed_table_stays_whole_and_in_its_order() -> None:
    exam = table(("z", "a"), ("y", "b"), ("z", "a"), source="test.csv")
    train, search, sealed = cut(many(100), exam)
    assert (sealed, len(train), len(search)) == (exam, 90, 10)


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


def test_the_split_does_not_depend_on_the_hash_seed() -> None:
    program = "from tests.test_splits import cut, many; print([part.rows for part in cut(many(60))])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{[part.rows for part in cut(many(60))]}\n".encode()}


@pytest.mark.parametrize(("search", "sealed"), [(0.0, 0.2), (0.1, 0.0), (0.5, 0.5), (float("nan"), 0.2), (-0.1, 0.2)])
def test_shares_that_leave_a_part_empty_are_refused(search: float, sealed: float) -> None:
    with pytest.raises(ValueError, match="expected each above 0 and their sum below 1"):
        split(many(100), None, seed=0, search_share=search, sealed_share=sealed)


def test_a_table_too_small_to_cut_is_refused() -> None:
    with pytest.raises(DataError, match=r"train\.csv: no class has 3 different texts"):
        cut(table(("x", "a"), ("y", "a"), ("z", "b")))


def test_a_split_is_read_back_exactly_as_it_was_written(tmp_path: Path) -> None:
    odd = table(("NA", "a"), (" line\nbreak\r\n\u2028 ", "a"), ("日本 👩‍🚀", "b"), source="test.csv")
    dataset = kept(tmp_path / "data", odd)
    assert load_split(dataset, "sealed") == odd
    assert [load_split(dataset, name) for name in ("train", "search")] == list(cut(many(100), odd)[:2])


def test_further_columns_follow_their_rows_through_the_cut_and_are_kept(tmp_path: Path) -> None:
    whole = dataclasses.replace(
        many(100), slices=(("region", tuple(f"r{i % 7}" for i in range(100))), ("day", ("",) * 100))
    )
    parts = cut(whole)
    assert all(part == whole.take(tuple(row - 2 for row in part.rows)) for part in parts)
    train, search, sealed = parts
    dataset = write_dataset(
        tmp_path / "d", train=train, search=search, sealed=sealed, labels=LABELS, quarantined=(), notes=()
    )
    assert [load_split(dataset, name) for name in ("train", "search", "sealed")] == list(parts)
    bare = kept(tmp_path / "bare")
    assert (dataset.digest, dataset.sealed_digest) == (bare.digest, bare.sealed_digest)  # nothing is trained anew


def test_a_further_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"texts, labels, rows and slices have lengths \(1, 1, 1, 2\), expected equal"):
        Table(source="t.csv", texts=("x",), labels=("a",), rows=(2,), slices=(("region", ("eu", "us")),))


def test_the_record_counts_the_splits_and_keeps_what_was_found(tmp_path: Path) -> None:
    note = Finding(severity="note", check="c", source="s", row=None, column="text", reason="r")
    train, search, sealed = cut(many(100))
    found = write_dataset(
        tmp_path / "d", train=train, search=search, sealed=sealed, labels=LABELS, quarantined=(note,), notes=(note,)
    )
    assert (found.train, found.search, found.sealed) == (70, 10, 20)
    meta = json.loads((tmp_path / "d" / "meta.json").read_text())
    assert (meta["digest"], meta["notes"], meta["labels"]) == (found.digest, [dataclasses.asdict(note)], ["a", "b"])


def test_equal_data_gives_equal_digests_wherever_it_is_kept(tmp_path: Path) -> None:
    one, two = kept(tmp_path / "one"), kept(tmp_path / "two")
    assert dataclasses.replace(two, folder=one.folder) == one


def test_the_digest_of_the_sealed_split_ignores_the_order_and_sees_every_change(tmp_path: Path) -> None:
    pairs = (("p", "a"), ("q", "b"), ("r", "a"))
    digests = [
        kept(tmp_path / str(i), table(*exam, source="test.csv")).sealed_digest
        for i, exam in enumerate((pairs, pairs[::-1], (*pairs[:2], ("r", "b")), pairs[:2]))
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_labels_other_than_those_of_train_are_refused(tmp_path: Path) -> None:
    train, search, sealed = cut(many(100))
    with pytest.raises(ValueError, match="not the sorted labels of train"):
        write_dataset(tmp_path, train=train, search=search, sealed=sealed, labels=("b", "a"), quarantined=(), notes=())


def test_a_changed_file_is_refused_when_it_is_read(tmp_path: Path) -> None:
    dataset = kept(tmp_path / "data")
    path = tmp_path / "data" / "sealed.jsonl"
    path.write_text(path.read_text().replace('"label": "a"', '"label": "b"', 1))
    with pytest.raises(InfrastructureError, match=r"sealed\.jsonl has SHA-256"):
        load_split(dataset, "train")


def test_another_dataset_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    dataset = kept(tmp_path / "data")
    kept(tmp_path / "data", table(("p", "a"), ("q", "b"), source="test.csv"))
    with pytest.raises(InfrastructureError, match=f"expected {dataset.digest[:12]}"):
        load_split(dataset, "sealed")
