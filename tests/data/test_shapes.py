"""Tables in the shapes in which people really send them: read as they are meant, or refused by the name of the shape."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from parsimony.data.ask import MAX_ROWS
from parsimony.data.reader import Part, read_table
from parsimony.data.table import Table
from parsimony.errors import DataError

ROWS = (("one", "a"), ("two; 2,5", "b"), ('say "hi"', "a"))
PLAIN = 'text,label\none,a\n"two; 2,5",b\n"say ""hi""",a\n'


def file_of(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, part: Part = "train", slices: tuple[str, ...] = ()) -> Table:
    return read_table(str(path), text="text", label="label", part=part, slices=slices)


def pairs(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple(zip(table.texts, table.labels, strict=True))


def notes(table: Table) -> list[tuple[str, int | None, str]]:
    return [(finding.severity, finding.row, finding.reason) for finding in table.findings]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(path), "FILE")


# --- what is between the fields -------------------------------------------------------------------

SEPARATED = {
    ";": ("t.csv", 'text;label\none;a\n"two; 2,5";b\n"say ""hi""";a\n', "semicolons"),
    "tab": ("t.csv", 'text\tlabel\none\ta\ntwo; 2,5\tb\n"say ""hi"""\ta\n', "tabs"),
    "tsv": ("t.tsv", 'text\tlabel\none\ta\ntwo; 2,5\tb\n"say ""hi"""\ta\n', "tabs"),
    "|": ("t.csv", 'text|label\none|a\ntwo; 2,5|b\n"say ""hi"""|a\n', "bars"),
}


@pytest.mark.parametrize("kind", SEPARATED)
def test_the_delimiter_is_the_one_that_gives_the_columns_wanted(kind: str, tmp_path: Path) -> None:
    name, content, words = SEPARATED[kind]
    table = read(file_of(tmp_path, content, name))
    assert pairs(table) == ROWS
    assert notes(table) == [("note", None, f"the fields are separated by {words}")]


def test_commas_are_plain_and_need_no_note(tmp_path: Path) -> None:
    table = read(file_of(tmp_path, PLAIN))
    assert (pairs(table), table.rows, table.findings) == (ROWS, (2, 3, 4), ())


@pytest.mark.parametrize("declaration", ["sep=;\r\n", "SEP=;\n", '"sep=;"\n', "\ufeffsep=;\r"])
def test_a_line_that_declares_the_delimiter_is_obeyed_and_counted(declaration: str, tmp_path: Path) -> None:
    table = read(file_of(tmp_path, f"{declaration}text;label\none;a\ntwo,2;b\n"))
    assert (pairs(table), table.rows) == ((("one", "a"), ("two,2", "b")), (3, 4))


def test_a_declared_delimiter_may_be_an_unusual_one(tmp_path: Path) -> None:
    table = read(file_of(tmp_path, "sep=~\ntext~label\none~a\n"))
    assert (pairs(table), notes(table)[0][2]) == ((("one", "a"),), "the fields are separated by '~'")


def test_a_text_with_the_delimiter_is_refused_by_its_name(tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, "text;label\none;two;a\n")) == (
        "FILE, line 2: has 3 fields, the header 2; quote texts that contain semicolons"
    )


def test_names_of_other_columns_are_shown_as_the_likeliest_delimiter_gives_them(tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, "Text;Category\none;a\n")) == (
        "FILE: has no column 'text', only 'Text', 'Category'; did you mean 'Text'?"
    )


# --- headers --------------------------------------------------------------------------------------

HEADERLESS = {
    "labels recur": "i lost my card,lost\nmy card is gone,lost\nhi,greet\n",
    "one word each": "hello,greet\nhi,greet\nbye,leave\n",
    "numbers": "hello,0\nbye,1\nhi,0\n",
    "semicolons": "i lost my card;lost\nmy card is gone;lost\n",
    "tabs": "i lost my card\tlost\nmy card is gone\tlost\n",
}


@pytest.mark.parametrize("kind", HEADERLESS)
def test_a_missing_header_is_said_without_a_word_of_the_first_row(kind: str, tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, HEADERLESS[kind])) == (
        "FILE: has no header: its first line is a row like those below it; put a line with the names of the columns "
        "above it, 'text' and 'label' among them"
    )


def test_a_first_line_of_words_that_look_like_no_names_is_not_printed(tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, "i lost my card today,lost\nhello you,greet\n")) == (
        "FILE: has no column 'text'; its first line has 2 fields and does not look like names of columns, so it is not "
        "printed: put a header above it, or set data.text and data.label in the plan"
    )


def test_names_that_look_like_names_are_printed(tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, "Customer Utterance,Class\nhello,greet\n")) == (
        "FILE: has no column 'text', only 'Customer Utterance', 'Class'; set data.text and data.label in the plan"
    )


def test_a_header_in_the_middle_is_refused_with_every_line(tmp_path: Path) -> None:
    path = file_of(tmp_path, "text,label\none,a\ntext,label\ntwo,b\ntext,label\n")
    assert refusal(path) == "FILE, line 3: repeats the header; remove the line (and 1 more lines)"


def test_columns_that_are_not_asked_for_may_have_the_same_name_or_none(tmp_path: Path) -> None:
    table = read(file_of(tmp_path, ",,id,text,label,id\n0,0,7,one,a,7\n1,1,8,two,b,8\n"))
    assert (pairs(table), table.findings) == ((("one", "a"), ("two", "b")), ())


@pytest.mark.parametrize("start", ["\ufeff", "\ufeff\ufeff"])
def test_byte_order_marks_are_no_part_of_the_first_name(start: str, tmp_path: Path) -> None:
    assert pairs(read(file_of(tmp_path, start + PLAIN))) == ROWS


# --- commas and lines with nothing in them --------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["text,label,,\none,a,,\ntwo,b,,\n", "text,label\none,a,\ntwo,b,\n", "text,label, \none,a, \ntwo,b,\n"]
)
def test_empty_columns_at_the_end_of_every_line_are_passed_over(content: str, tmp_path: Path) -> None:
    table = read(file_of(tmp_path, content))
    assert pairs(table) == (("one", "a"), ("two", "b"))
    assert notes(table) == [("note", None, "every line ends in commas with nothing behind; passed over")]


def test_commas_at_the_end_of_some_lines_are_refused_for_they_may_be_the_texts(tmp_path: Path) -> None:
    path = file_of(tmp_path, "text,label\none,a\nhello, b,\ntwo,b\n")
    assert refusal(path) == "FILE, line 3: ends in commas with nothing behind, as not every line does; remove them"


@pytest.mark.parametrize(
    ("end", "noted"), [("\n\n", 0), ("  \n\t\n", 0), (",\n,\n", 2), (",", 1), ("\x1a", 0), ("\r\n\r\n", 0)]
)
def test_lines_with_nothing_in_them_at_the_end_are_no_rows(end: str, noted: int, tmp_path: Path) -> None:
    table = read(file_of(tmp_path, "text,label\none,a\ntwo,b\n" + end))
    assert pairs(table) == (("one", "a"), ("two", "b"))
    said = f"{noted} lines at the end hold nothing but commas; passed over"
    assert notes(table) == ([("note", None, said)] if noted else [])


def test_a_line_of_commas_before_a_row_stays_a_row_without_text(tmp_path: Path) -> None:
    assert pairs(read(file_of(tmp_path, "text,label\none,a\n,\ntwo,b\n"))) == (("one", "a"), ("", ""), ("two", "b"))


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_every_kind_of_line_end_may_be_mixed(name: str, tmp_path: Path) -> None:
    lines = ["text,label", "one,a", "two,b", "three,a"] if name == "t.csv" else [
        json.dumps({"text": text, "label": label}) for text, label in (("one", "a"), ("two", "b"), ("three", "a"))
    ]  # fmt: skip
    content = "".join(line + end for line, end in zip(lines, ("\r\n", "\n", "\r", "\n"), strict=False))
    assert pairs(read(file_of(tmp_path, content, name))) == (("one", "a"), ("two", "b"), ("three", "a"))


def test_every_line_that_does_not_fit_is_refused_at_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, "text,label\na,b,c\nd,e\nf\ng,h,i,j\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).endswith("quote texts that contain commas (and 2 more lines)")
    assert [(f.row, f.reason.partition(";")[0]) for f in caught.value.rows] == [
        (2, "has 3 fields, the header 2"), (4, "has 1 fields, the header 2"), (5, "has 4 fields, the header 2"),
    ]  # fmt: skip


# --- files that are cut off -----------------------------------------------------------------------

LABELS = ("card", "card_lost", "refund", "ref", "top-up", "")


def whole_file(order: str, quoted: bool) -> tuple[str, set[tuple[str, str]]]:
    """Return a CSV file in which some labels begin others, and its rows."""
    texts = ("where is it", 'it says "no"', "two\nlines", "naïve, yes")
    made = [(f"{texts[i % 4]} {i}", LABELS[i % 5]) for i in range(16)]
    stream = io.StringIO(newline="")
    import csv

    writer = csv.writer(stream, lineterminator="\r\n" if quoted else "\n", quoting=1 if quoted else 0)
    names = order.split(",")
    writer.writerows(
        [names, *([{"text": t, "label": v, "day": "2024-01-02"}[name] for name in names] for t, v in made)]
    )
    return stream.getvalue(), set(made)


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("order", ["text,label", "label,text", "text,label,day", "day,label,text"])
def test_every_prefix_of_a_file_is_refused_or_gives_rows_of_the_whole_file(
    order: str, quoted: bool, tmp_path: Path
) -> None:
    content, rows = whole_file(order, quoted)
    data = content.encode()
    for size in range(len(data) - 150, len(data) + 1):  # the last rows; before them the cut is another row's
        try:
            table = read(file_of(tmp_path, data[:size]))
        except DataError:
            continue
        assert set(pairs(table)) <= rows, data[size - 30 : size]


@pytest.mark.parametrize("last", ["refund", "top-up", "card_lost"])
def test_a_good_file_that_merely_lacks_the_last_newline_is_read_whole(last: str, tmp_path: Path) -> None:
    rows = [*((f"text {i}", LABELS[i % 5]) for i in range(20)), ("the end", last)]
    content = "text,label\n" + "\n".join(f"{text},{label}" for text, label in rows)
    table = read(file_of(tmp_path, content))
    assert (pairs(table), table.findings) == (tuple(rows), ())


def test_a_label_that_occurs_once_and_begins_another_is_cut_off(tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, "text,label\none,card_lost\ntwo,card_lost\nthree,card_l")) == (
        "FILE, line 4: the file seems cut off here: its last line has no newline, and label 'card_l' is the beginning of "
        "another value; write the file again"
    )


def test_a_last_row_of_which_it_cannot_be_known_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    for content, column in (
        ("text,label\none,card\ntwo,card_lost\nthree,card", "label"),
        ("label,text\ncard,one\ncard_lost,tw", "text"),
    ):
        path = file_of(tmp_path, content)
        table = read(path)
        said = f"its last line has no newline, and whether {column!r} goes on cannot be known; end it with a newline if the file is whole"
        assert notes(table) == [("quarantine", content.count("\n") + 1, said)]
        file_of(tmp_path, content + "\n")
        assert (len(read(path)), read(path).findings) == (len(table) + 1, ())


def test_a_character_that_is_cut_in_two_is_said(tmp_path: Path) -> None:
    path = file_of(tmp_path, "text,label\none,a\ntwo,caf\u00e9".encode()[:-1])
    assert refusal(path).startswith("FILE, line 3: the file seems cut off here: byte ")


# --- JSON -----------------------------------------------------------------------------------------


def test_an_array_of_objects_is_read_as_lines_are(tmp_path: Path) -> None:
    records = [{"text": text, "label": label, "n": 1.0} for text, label in ROWS]
    table = read(file_of(tmp_path, json.dumps(records, indent=1), "t.json"), slices=("n",))
    assert (pairs(table), table.rows, table.slices) == (ROWS, (1, 2, 3), (("n", ("1.0",) * 3),))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "FILE: has no rows; expected at least one labelled text"),
        ('[{"text": "x", "label": "a"}, 3]', 'FILE: entry 2 of the array is not an object; expected such as {"text": …}'),
        ('[{"text": "x", "la', "FILE, line 1: the file seems cut off: not JSON at column 16 (Unterminated string"),
        ('[{"text": "x", "text": "a"}]', "FILE: has the key 'text' more than once; expected each once"),
        ('{\n"data": [{"text": "x"}]\n}', "FILE: is one JSON object; expected one JSON object per line, or one array of"),
        ('{"text": "x", "label": ["a", "b"]}', "FILE, line 1: column 'label' holds a value of type list; expected text, a number, true or false; a row has one label"),
        ("[" * 100_000, "FILE: is nested too deeply; expected an array of flat JSON objects"),
    ],
)  # fmt: skip
def test_other_json_is_refused_by_its_shape(content: str, said: str, tmp_path: Path) -> None:
    assert refusal(file_of(tmp_path, content, "t.json")).startswith(said)


def test_a_byte_order_mark_before_any_line_is_passed_over(tmp_path: Path) -> None:
    content = '\ufeff{"text": "one", "label": "a"}\n\ufeff{"text": "two", "label": "b"}\n'
    assert pairs(read(file_of(tmp_path, content, "t.jsonl"))) == (("one", "a"), ("two", "b"))


# --- files that are something else ----------------------------------------------------------------


def workbook() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return stream.getvalue()


OTHER_KINDS = {
    "gzip": (gzip.compress(PLAIN.encode()), "is a gzip file, by its first bytes; unpack it first"),
    "workbook": (workbook(), "is a ZIP archive or an Excel workbook, by its first bytes; unpack it, or save the sheet"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "is a zstd file, by its first bytes; unpack it first"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "is a pointer of Git LFS, not the file itself",
    ),
    "html": (
        b"\xef\xbb\xbf\n<!DOCTYPE HTML><html>",
        "is a web page, not a table, by its first bytes; download the file",
    ),
    "utf-16": (PLAIN.encode("utf-16-le"), "is UTF-16 without a byte order mark, by its NUL bytes; expected UTF-8"),
}


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_a_file_that_is_something_else_is_named(kind: str, name: str, tmp_path: Path) -> None:
    content, said = OTHER_KINDS[kind]
    assert refusal(file_of(tmp_path, content, name)).startswith(f"FILE: {said}")


def test_a_pointer_in_place_of_a_parquet_file_is_named(tmp_path: Path) -> None:
    assert "pointer of Git LFS" in refusal(file_of(tmp_path, OTHER_KINDS["lfs"][0], "t.parquet"))


def test_a_path_of_windows_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file.*; here folders are separated by /"):
        read_table("data\\train.csv", text="text", label="label", part="train")


# --- Parquet --------------------------------------------------------------------------------------


def parquet(path: Path, **table: object) -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(table), path)
    return path


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    import resource

    import pyarrow

    texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2700, pyarrow.int32()), ["x" * 1_000_000])
    path = parquet(tmp_path / "t.parquet", text=texts, label=["a", "b"] * 1350)
    assert path.stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(path).startswith("FILE: unpacks to more than 2147483648 bytes (")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200e6


def test_a_parquet_file_of_too_many_rows_is_refused_by_its_metadata(tmp_path: Path) -> None:
    import pyarrow

    same = pyarrow.DictionaryArray.from_arrays(pyarrow.nulls(MAX_ROWS + 1, pyarrow.int8()), ["a"])
    path = parquet(tmp_path / "t.parquet", text=same, label=same)
    assert refusal(path) == "FILE: has 10,000,001 rows, the limit is 10,000,000; train on a part of it"


def test_texts_as_bytes_dates_decimals_and_categories_are_read_as_they_are_written(tmp_path: Path) -> None:
    import decimal

    import pyarrow

    path = parquet(
        tmp_path / "t.parquet",
        text=["é".encode(), b"two", None],
        label=pyarrow.array(["a", "b", None]).dictionary_encode(),
        day=[datetime.date(2024, 1, 2), None, datetime.date(2024, 1, 3)],
        price=[decimal.Decimal("1.50"), decimal.Decimal("2.00"), None],
    )
    table = read(path, slices=("day", "price"))
    assert pairs(table) == (("é", "a"), ("two", "b"), ("", ""))
    assert table.slices == (("day", ("2024-01-02", "", "2024-01-03")), ("price", ("1.50", "2.00", "")))


def test_a_list_of_labels_in_parquet_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", text=["one", "two"], label=[["a"], ["a", "b"]])
    assert refusal(path) == (
        "FILE: column 'label' holds values of type list<element: string>; expected text, numbers, true or false; "
        "a row has one label"
    )


@pytest.mark.slow
def test_repeated_and_different_texts_of_many_batches_keep_their_order(tmp_path: Path) -> None:
    texts = [f"text {i % 7 if i % 3 else i}" for i in range(10_000)]
    table = read(parquet(tmp_path / "t.parquet", text=texts, label=[str(i % 5) for i in range(10_000)]))
    assert table.texts == tuple(texts)
    assert table.rows == tuple(range(1, 10_001))


# --- folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["label", "region"])
def test_a_column_that_only_the_names_of_folders_hold_is_read_from_them(column: str, tmp_path: Path) -> None:
    for value in ("eu", "us%20west", "__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / f"{column}={value}").mkdir()
        inside = {"text": [f"in {value}"], "label": ["a"], "region": ["x"]}
        del inside[column]
        parquet(tmp_path / f"{column}={value}" / "part-0.parquet", **inside)
    (tmp_path / "_SUCCESS").touch()
    table = read(tmp_path, slices=("region",))
    values = dict(zip(table.texts, table.labels if column == "label" else table.slices[0][1], strict=True))
    assert values == {"in eu": "eu", "in us%20west": "us west", "in __HIVE_DEFAULT_PARTITION__": ""}


def test_a_column_of_the_file_goes_before_the_name_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "label=x").mkdir()
    file_of(tmp_path / "label=x", PLAIN)
    assert pairs(read(tmp_path)) == ROWS


def test_folders_named_split_are_the_splits(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"split={name}").mkdir()
        file_of(tmp_path / f"split={name}", f"text,label\n{name} one,a\n{name} two,b\n")
    assert read(tmp_path).texts == ("train one", "train two")
    assert read(tmp_path, "test").texts == ("test one", "test two")


@pytest.mark.parametrize(
    "place", ["../secret.csv", "{above}/secret.csv", "data/../../secret.csv", "https://example.org/x.csv"]
)
def test_a_card_that_names_files_outside_its_folder_is_refused(place: str, tmp_path: Path) -> None:
    file_of(tmp_path, PLAIN, "secret.csv")
    place = place.format(above=tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for entry in (f"[{{split: train, path: '{place}'}}]", f"['{place}']", f"'{place}'"):
        card = f"---\nconfigs:\n- config_name: default\n  data_files: {entry}\n---\n"
        file_of(folder, card, "README.md")
        assert refusal(folder) == f"FILE: points to {place}; expected files inside the folder"


def test_a_card_that_names_files_inside_is_obeyed_and_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file_of(tmp_path, PLAIN, "blob")
    (tmp_path / "folder" / "odd.csv").symlink_to(tmp_path / "blob")  # as in the cache of the hub
    card = "---\nconfigs:\n- config_name: default\n  data_files: [{split: train, path: odd.csv}]\n---\n"
    file_of(tmp_path / "folder", card, "README.md")
    assert pairs(read(tmp_path / "folder")) == ROWS


def test_a_saved_dataset_that_names_files_outside_its_folder_is_refused(tmp_path: Path) -> None:
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    one = Dataset.from_dict({"text": ["one"], "label": ["a"]})
    one.save_to_disk(str(tmp_path / "secret"))
    DatasetDict({"train": one}).save_to_disk(str(tmp_path / "saved"))
    assert read(tmp_path / "saved").texts == ("one",)
    state = tmp_path / "saved" / "train" / "state.json"
    content = json.loads(state.read_text())
    content["_data_files"] = [{"filename": "../../secret/data-00000-of-00001.arrow"}]
    state.write_text(json.dumps(content))
    assert "points to train/../../secret/data-00000-of-00001.arrow; expected" in refusal(tmp_path / "saved")
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "../secret"]}')
    assert "expected files inside the folder" in refusal(tmp_path / "saved")
