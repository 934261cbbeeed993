"""A rotated test split is drawn anew from all rows, keeps its share, and loses and doubles none."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from tinymodels import tables, write_csv

from parsimony.flows.cli.main import main
from parsimony.flows.plan_file import load
from parsimony.flows.rotation import rotate

PLAN = 'model = "m"\n[data]\ntrain = "train.csv"\ntext = "text"\nlabel = "label"\n'


def rows_of(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [(row["text"], row["label"]) for row in csv.DictReader(stream)]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    train, validation, test = tables()
    write_csv(tmp_path / "train.csv", train, validation)
    write_csv(tmp_path / "test.csv", test)
    path = tmp_path / "plan.toml"
    path.write_text(PLAN + 'test = "test.csv"\n', encoding="utf-8")
    return path


def test_every_row_is_in_one_of_the_two_files_and_the_test_rows_are_others(plan: Path, tmp_path: Path) -> None:
    train, test = (rows_of(path) for path in rotate(load(plan, []), tmp_path / "new", 7))
    before = rows_of(tmp_path / "train.csv") + rows_of(tmp_path / "test.csv")
    assert sorted(train + test) == sorted(before)
    old = rows_of(tmp_path / "test.csv")
    assert len(test) == pytest.approx(len(old), abs=4)
    assert len(set(test) & set(old)) < 0.5 * len(old)
    assert {label for _, label in test} == {label for _, label in old}


def test_the_seed_decides_and_nothing_is_written_over(plan: Path, tmp_path: Path) -> None:
    one, same, other = (rows_of(rotate(load(plan, []), tmp_path / n, s)[1]) for n, s in (("a", 1), ("b", 1), ("c", 2)))
    assert one == same != other
    with pytest.raises(FileExistsError):
        rotate(load(plan, []), tmp_path / "a", 1)


def test_a_text_in_both_files_is_kept_once(plan: Path, tmp_path: Path) -> None:
    twice = rows_of(tmp_path / "test.csv")[0]
    with (tmp_path / "train.csv").open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow(twice)
    train, test = (rows_of(path) for path in rotate(load(plan, []), tmp_path / "new", 7))
    assert (train + test).count(twice) == 1


def test_without_a_test_file_the_test_share_of_the_plan_is_cut(plan: Path, tmp_path: Path) -> None:
    plan.write_text(PLAN, encoding="utf-8")
    train, test = (rows_of(path) for path in rotate(load(plan, []), tmp_path / "new", 7))
    assert len(test) / (len(train) + len(test)) == pytest.approx(0.25, abs=0.02)


def test_slice_columns_stay_with_their_rows(plan: Path, tmp_path: Path) -> None:
    def texts_and_regions(path: Path) -> set[tuple[str, str]]:
        with path.open(encoding="utf-8", newline="") as stream:
            return {(row["text"], row["region"]) for row in csv.DictReader(stream)}

    files = [tmp_path / "train.csv", tmp_path / "test.csv"]
    for path, part in zip(files, tables()[::2], strict=True):
        regions = tuple(("eu", "us", "")[i % 3] for i in range(len(part)))
        write_csv(path, replace(part, slices=(("region", regions),)))
    new = rotate(load(plan, ["data.slices=['region']"]), tmp_path / "new", 7)
    assert new[0].read_text(encoding="utf-8").startswith("text,label,region\n")
    before, after = (set().union(*map(texts_and_regions, paths)) for paths in (files, new))
    assert after == before


def test_the_command_says_how_to_use_the_new_files(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    assert main(["rotate", str(plan), "--out", str(tmp_path / "new")]) == 0
    told = capsys.readouterr()
    assert f"--set data.train={tmp_path / 'new' / 'train.csv'}" in told.out
    assert "flatters" in told.err
