"""Tables are read exactly as written, or refused in one line that says where and what to do."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from parsimony.data.reader import read_table
from parsimony.data.table import Table
from parsimony.errors import DataError, Finding, InfrastructureError

TRICKY = (
    "NA", "null", "None", "nan", "NULL", "#N/A", "007", "1.0", "1e5", "True", "2024-01-01",
    " leading", "trailing ", "tab\there", 'a "quoted", text', "two\nlines", "日本語 👩‍🚀", "=1+1",
)  # fmt: skip
REGIONS = tuple(("eu", "", "007", "us\n")[i % 4] for i in range(len(TRICKY)))
LABELS = tuple(("NA", "007", "null", " x ", "1", "true")[i % 6] for i in range(len(TRICKY)))


def read(path: Path | str, text: str = "text", label: str = "label") -> Table:
    return read_table(str(path), text=text, label=label, part="train")


def refusal(path: Path | str, text: str = "text", label: str = "label") -> str:
    with pytest.raises(DataError) as caught:
        read(path, text, label)
    message = str(caught.value)
    assert "\n" not in message
    assert len(caught.value.findings) == 1
    return message.replace(str(path), "FILE")


def file_of(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def records() -> list[dict[str, str]]:
    columns = zip(TRICKY, LABELS, REGIONS, strict=True)
    return [{"region": region, "text": text, "label": label} for text, label, region in columns]


def as_csv(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ("region", "text", "label"))
        writer.writeheader()
        writer.writerows(records())
    return path


def as_jsonl(path: Path) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records()))
    return path


def as_parquet(path: Path) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records()), path)
    return path


def as_saved(path: Path) -> Path:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    Dataset.from_list(records()).save_to_disk(str(path))
    return path


def as_saved_splits(path: Path) -> Path:
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    DatasetDict({"train": Dataset.from_list(records()), "dev": Dataset.from_list(records()[:1])}).save_to_disk(
        str(path)
    )
    return path


def as_folder_of(write: Callable[[Path], Path], name: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.mkdir()
        write(path / name)
        return path

    return make


FORMATS: dict[str, Callable[[Path], Path]] = {
    "t.csv": as_csv,
    "t.jsonl": as_jsonl,
    "t.ndjson": as_jsonl,
    "t.json": as_jsonl,
    "t.parquet": as_parquet,
    "saved": as_saved,
    "saved-splits": as_saved_splits,
    "folder-csv": as_folder_of(as_csv, "train.csv"),
    "folder-jsonl": as_folder_of(as_jsonl, "train.jsonl"),
    "folder-parquet": as_folder_of(as_parquet, "train.parquet"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_each_further_column_unchanged(name: str, tmp_path: Path) -> None:
    path = FORMATS[name](tmp_path / name)
    table = read_table(str(path), text="text", label="label", part="train", slices=("region",))
    assert (table.texts, table.labels, table.slices) == (TRICKY, LABELS, (("region", REGIONS),))
    assert read(path).slices == ()


def test_a_missing_value_of_a_further_column_is_empty_and_a_number_stays_as_written(tmp_path: Path) -> None:
    path = file_of(
        tmp_path, "t.jsonl", '{"text": "x", "label": "a", "z": 1.0}\n{"text": "y", "label": "b", "z": null}\n'
    )
    assert read_table(str(path), text="text", label="label", part="train", slices=("z",)).slices == (
        ("z", ("1.0", "")),
    )


def test_a_missing_further_column_is_refused_with_the_key_to_set(tmp_path: Path) -> None:
    path = file_of(tmp_path, "t.csv", "text,label,Region\nx,a,eu\n")

    def told(column: str) -> str:
        with pytest.raises(DataError) as caught:
            read_table(str(path), text="text", label="label", part="train", slices=(column,))
        return str(caught.value).replace(str(path), "FILE")

    columns = "only 'text', 'label', 'Region'"
    assert told("region") == f"FILE: has no column 'region', {columns}; did you mean 'Region'?"
    assert told("customer") == f"FILE: has no column 'customer', {columns}; set data.slices in the plan"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_back_each_text_and_label_unchanged(name: str, tmp_path: Path) -> None:
    table = read(FORMATS[name](tmp_path / name))
    assert (table.texts, table.labels) == (TRICKY, LABELS)


def test_a_csv_row_is_the_line_on_which_the_record_starts(tmp_path: Path) -> None:
    path = file_of(tmp_path, "t.csv", 'text,label\r\n"two\r\nlines",a\r\n\r\nlast,b')
    assert read(path) == Table(source=str(path), texts=("two\r\nlines", "last"), labels=("a", "b"), rows=(2, 5))


def test_a_jsonl_row_is_its_line_and_other_keys_are_passed_over(tmp_path: Path) -> None:
    path = file_of(tmp_path, "t.jsonl", '{"id": 1, "text": "x", "label": "a"}\n\n{"label": "b", "text": "y"}\n')
    assert read(path) == Table(source=str(path), texts=("x", "y"), labels=("a", "b"), rows=(1, 3))


def test_a_parquet_row_is_counted_from_one(tmp_path: Path) -> None:
    assert read(as_parquet(tmp_path / "t.parquet")).rows == tuple(range(1, len(TRICKY) + 1))


def test_a_folder_is_named_with_its_split_and_counted_across_its_files(tmp_path: Path) -> None:
    file_of(tmp_path, "train-1.csv", "text,label\na,x\n")
    file_of(tmp_path, "train-2.csv", "text,label\nb,y\n")
    expected = Table(source=f"{tmp_path} (train)", texts=("a", "b"), labels=("x", "y"), rows=(1, 2))
    assert read(tmp_path) == expected


def test_a_byte_order_mark_of_utf8_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read(file_of(tmp_path, "t.csv", b"\xef\xbb\xbftext,label\nx,a\n")).texts == ("x",)


def test_numbers_and_truth_values_in_json_keep_their_spelling(tmp_path: Path) -> None:
    labels = ("1", "1.0", "1e2", "true", "false", "9" * 5000)
    path = file_of(tmp_path, "t.jsonl", "".join(f'{{"text": "x", "label": {label}}}\n' for label in labels))
    assert read(path).labels == labels


def test_whole_numbers_in_parquet_never_become_decimals(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"text": ["a", "b", None], "label": [1, None, 0], "truth": [True, False, None]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").labels == ("1", "", "0")
    assert read(tmp_path / "t.parquet", label="truth").labels == ("true", "false", "")


def test_a_missing_value_is_read_as_an_empty_text(tmp_path: Path) -> None:
    path = file_of(tmp_path, "t.jsonl", '{"text": null, "label": "a"}\n{"text": "x"}\n')
    assert read(path) == Table(source=str(path), texts=("", "x"), labels=("a", ""), rows=(1, 2))


@pytest.mark.parametrize("kind", ["parquet", "saved"])
def test_numbered_classes_become_their_names(kind: str, tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value, disable_progress_bars

    disable_progress_bars()
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    data = Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    path = tmp_path / f"t.{kind}"
    _ = data.to_parquet(str(path)) if kind == "parquet" else data.save_to_disk(str(path))
    assert read(path).labels == ("yes", "no", "")


def test_class_names_declared_by_a_folder_are_applied_to_its_csv_files(tmp_path: Path) -> None:
    names = "dtype: {class_label: {names: {'0': bad, '1': good}}}"
    card = f"---\ndataset_info:\n  features:\n  - {{name: text, dtype: string}}\n  - {{name: label, {names}}}\n---\n"
    file_of(tmp_path, "README.md", card)
    file_of(tmp_path, "train.csv", "text,label\nNA,1\nx,0\n")
    assert (read(tmp_path).texts, read(tmp_path).labels) == (("NA", "x"), ("good", "bad"))


BAD_FILES: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("t.csv", b"", "FILE: is empty (0 bytes); expected a header and rows"),
    "blank": ("t.csv", "\n\n", "FILE: has only blank lines; expected a header and rows"),
    "blank jsonl": ("t.jsonl", "\n", "FILE: has only blank lines; expected one JSON object per line"),
    "header only": ("t.csv", "text,label\n", "FILE: has no rows; expected at least one labelled text"),
    "duplicate column": (
        "t.csv",
        "text,label,text\na,b,c\n",
        "FILE: column 'text' appears more than once; rename or remove one",
    ),
    "first row too long": (
        "t.csv",
        "text,label\na,b,c\n",
        "FILE, line 2: has 3 fields, the header 2; quote texts that contain commas",
    ),
    "row too short": (
        "t.csv",
        'text,label\n"two\nlines",b\nc\n',
        "FILE, line 4: has 1 fields, the header 2; quote texts that contain commas",
    ),
    "unclosed quote": (
        "t.csv",
        'text,label\na,b\n"open,c\nd,e\n',
        "FILE, line 3: a quote is not closed; a quoted field ends with a quote, quotes inside are doubled",
    ),
    "quote inside": (
        "t.csv",
        'text,label\n"a"b,c\n',
        "FILE, line 2: ',' expected after '\"'; a quoted field ends with a quote, quotes inside are doubled",
    ),
    "latin-1": (
        "t.csv",
        "text,label\nok,a\ncafé,b\n".encode("latin-1"),
        "FILE, line 3: byte 19 (0xe9) is not UTF-8; save the file as UTF-8",
    ),
    "utf-16": (
        "t.csv",
        "text,label\nx,a\n".encode("utf-16"),
        "FILE: is UTF-16, by its byte order mark; expected UTF-8: save it as UTF-8",
    ),
    "utf-32": (
        "t.jsonl",
        "{}\n".encode("utf-32"),
        "FILE: is UTF-32, by its byte order mark; expected UTF-8: save it as UTF-8",
    ),
    "nul": ("t.csv", "text,label\nx,a\n\0y,b\n", "FILE, line 3: has a NUL byte at byte 15; expected UTF-8 text"),
    "cut jsonl": (
        "t.jsonl",
        '{"text": "x", "label": "a"}\n{"text": "y", "la',
        (
            "FILE, line 2: the file seems cut off here: not JSON at column 15 (Unterminated string starting at); "
            "expected one JSON object per line"
        ),
    ),
    "broken jsonl": (
        "t.jsonl",
        '{"text": x}\n{"text": "y", "label": "a"}\n',
        "FILE, line 1: not JSON at column 10 (Expecting value); expected one JSON object per line",
    ),
    "duplicate key": (
        "t.jsonl",
        '{"text": "x", "label": "a", "label": "b"}\n',
        "FILE, line 1: has the key 'label' more than once; expected each once",
    ),
    "nan": (
        "t.jsonl",
        '{"text": "x", "label": NaN}\n',
        "FILE, line 1: has NaN, which is not JSON; write null for a missing value",
    ),
    "json list": (
        "t.json",
        '[["x", "a"]]\n',
        'FILE: entry 1 of the array is not an object; expected such as {"text": …}',
    ),
    "deep json": (
        "t.jsonl",
        '{"text": ' + "[" * 100_000 + "\n",
        "FILE, line 1: is nested too deeply; expected one flat JSON object",
    ),
    "surrogate": (
        "t.jsonl",
        '{"text": "\\ud800", "label": "a"}\n',
        (
            "FILE, line 1: column 'text' holds half of a surrogate pair, which is no character; "
            "write the file again as UTF-8"
        ),
    ),
    "nested value": (
        "t.jsonl",
        '{"text": ["x"], "label": "a"}\n',
        "FILE, line 1: column 'text' holds a value of type list; expected text, a number, true or false",
    ),
    "zip": (
        "t.csv.gz",
        b"\x1f\x8b",
        "FILE: files ending in .gz are not read, only .csv, .tsv, .jsonl, .ndjson, .json, .parquet; unpack it first",
    ),
    "other": (
        "t.xlsx",
        b"PK",
        "FILE: files ending in .xlsx are not read, only .csv, .tsv, .jsonl, .ndjson, .json, .parquet; convert it first",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_its_line_and_the_remedy(case: str, tmp_path: Path) -> None:
    name, content, expected = BAD_FILES[case]
    assert refusal(file_of(tmp_path, name, content)) == expected


def test_a_jsonl_file_cut_anywhere_is_refused_or_ends_at_a_line(tmp_path: Path) -> None:
    whole = '{"text": "é", "label": "a"}\n{"text": "y", "label": "b"}\n'.encode()
    ends = {whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) - 1}
    for size in range(1, len(whole)):
        path = file_of(tmp_path, "t.jsonl", whole[:size])
        if size in ends:
            assert read(path).texts == ("é", "y")[: 1 + (size == len(whole) - 1)]
        else:
            assert refusal(path).startswith("FILE, line ")


def test_a_missing_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = file_of(tmp_path, "t.csv", "Text,category\nx,a\n")
    assert refusal(path) == "FILE: has no column 'text', only 'Text', 'category'; did you mean 'Text'?"
    assert refusal(path, text="Text", label="intent") == (
        "FILE: has no column 'intent', only 'Text', 'category'; set data.text and data.label in the plan"
    )


def test_a_refusal_carries_its_finding(tmp_path: Path) -> None:
    path = file_of(tmp_path, "t.csv", "text,label\na,b,c\n")
    with pytest.raises(DataError) as caught:
        read(path)
    reason = "has 3 fields, the header 2; quote texts that contain commas"
    finding = Finding(severity="critical", check="reading", source=str(path), row=2, column="", reason=reason)
    assert (caught.value.findings, caught.value.exit_code) == ((finding,), 3)


def test_the_same_column_for_text_and_label_is_refused(tmp_path: Path) -> None:
    path = as_csv(tmp_path / "t.csv")
    assert refusal(path, label="text") == "FILE: text and label are both column 'text'; expected two different columns"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "t.csv") == "FILE: no such file; check data.train and data.test in the plan"


def test_a_file_above_two_gibibytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("wb") as stream:
        stream.truncate(2 * 1024**3 + 1)
    assert refusal(tmp_path / "t.csv") == ("FILE: has 2147483649 bytes, the limit is 2147483648; train on a part of it")


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "t.parquet")
    path.write_bytes(path.read_bytes()[:-10])
    assert refusal(path).startswith("FILE: cannot be read as Parquet (")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        "FILE: is no folder of data files (The directory at FILE doesn't contain any data files)"
    )


@pytest.mark.parametrize(
    ("write", "splits"), [(as_saved_splits, "train, dev"), (as_folder_of(as_csv, "train.csv"), "train")]
)
def test_a_split_that_is_not_there_is_refused_with_those_that_are(
    write: Callable[[Path], Path], splits: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "data")
    with pytest.raises(DataError) as caught:
        read_table(str(path), text="text", label="label", part="test")
    assert str(caught.value) == f"{path}: has no split 'test', only {splits}; rename one or name another file"


def test_reading_a_folder_leaves_no_cache_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    read(as_folder_of(as_csv, "train.csv")(tmp_path / "data"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_hub_name_without_a_revision_is_refused() -> None:
    assert refusal("hf:x/y") == "FILE: expected hf:owner/name@revision or hf:owner/name/config@revision"


def test_a_hub_that_cannot_be_reached_is_infrastructure(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InfrastructureError, match=r"^hf:owner/name@main cannot be fetched \(.*check the name"):
        read("hf:owner/name@main")
