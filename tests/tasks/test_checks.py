"""Great Expectations decides which rows may be used; nothing that could not be checked passes."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import pytest

from parsimony.data.reader import read_table
from parsimony.data.table import Table
from parsimony.errors import DataError, Finding
from parsimony.tasks.validation.checks import Checked, Rules, check, validate, write_quarantine
from parsimony.tasks.validation.frame import is_clean, labels_in_cells, spelling
from parsimony.tasks.validation.suites import Check, Expected, for_train

pytestmark = pytest.mark.slow

RULES = Rules(max_chars=50, min_rows_per_class=2, max_class_share=0.9, max_quarantined_share=0.5)

LABELS = ("a", "b")

Pair = tuple[str, str]
GOOD: tuple[Pair, ...] = (("one", "a"), ("two", "a"), ("three", "b"), ("four", "b"))
TEST: tuple[Pair, ...] = (("five", "a"), ("six", "b"))


def table(*pairs: Pair, source: str = "train") -> Table:
    texts, labels = tuple(text for text, _ in pairs), tuple(label for _, label in pairs)
    return Table(source=source, texts=texts, labels=labels, rows=tuple(range(2, len(pairs) + 2)))


def held_out(*pairs: Pair) -> Table:
    return table(*pairs, source="test")


def refusal(train: Table, test: Table | None = None, rules: Rules = RULES) -> tuple[str, ...]:
    """Return the critical findings as lines; the message names the first of them."""
    with pytest.raises(DataError) as caught:
        check(train, test, rules)
    findings = caught.value.findings
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    assert str(caught.value) == findings[0].line() + more
    assert {finding.severity for finding in findings} == {"critical"}
    return tuple(finding.line() for finding in findings)


def lines(findings: Iterable[Finding]) -> set[str]:
    return {finding.line() for finding in findings}


def test_good_tables_pass_unchanged_and_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    train, test = table(*GOOD), held_out(*TEST)
    assert check(train, test, RULES) == Checked(train=train, test=test, quarantined=(), notes=())
    assert check(train, None, RULES) == Checked(train=train, test=None, quarantined=(), notes=())
    assert capfd.readouterr() == ("", "")


def test_every_kind_of_row_that_cannot_be_used_is_set_aside_with_its_reason_and_no_other() -> None:
    odd: tuple[Pair, ...] = (("NA", "a"), ("tab\tand\nline", "b"), ("日本語 👩‍🚀", "b"), ("é" * 50, "a"))
    unusable: tuple[Pair, ...] = (
        ("\u200b", "a"), ("seven", " "), ("\x85", "a"), ("x\x00", "a"), ("ONE ", "a"), ("odd", "a"), ("Odd", "b"), ("FIVE", "a"),
    )  # fmt: skip
    test = held_out(*TEST, ("", "a"))
    checked = check(table(*GOOD, *odd, *unusable), test, dataclasses.replace(RULES, max_quarantined_share=1.0))
    assert (checked.train, checked.test) == (table(*GOOD, *odd), held_out(*TEST))
    assert lines(checked.quarantined) == {
        "train, row 10, column text: the text is blank",
        "train, row 11, column label: the label is blank",
        "train, row 12, column text: the text is blank",
        "train, row 13, column text: the text has control characters",
        "train, row 14, column text: repeats an earlier row, label included",
        "train, row 15, column label: the same text has another label elsewhere",
        "train, row 16, column label: the same text has another label elsewhere",
        "train, row 17, column text: the same text is in the test data",
        "test, row 4, column text: the text is blank",
    }


def test_everything_that_is_only_noted_changes_no_row() -> None:
    train = table(*GOOD, ("seven", "B "), ("eight", "B "), *((f"nine {i}", "c") for i in range(6)))
    test = held_out(*TEST, ("six", "b"), ("Five", "b"), ("x\x00", "a"))
    checked = check(train, test, dataclasses.replace(RULES, max_class_share=0.4))
    assert (checked.train, checked.test, checked.quarantined) == (train, test, ())
    assert lines(checked.notes) == {
        "train, column label: label 'B ' (2 rows) differs from another one only by case, width or spaces",
        "train, column label: label 'b' (2 rows) differs from another one only by case, width or spaces",
        "train, column label: label 'c' has a share of 0.500 of the rows, above 0.4; the model may favour it",
        "test, column text: 1 rows repeat an earlier one (rows 4); all stay",
        "test, column label: 2 rows: the same text has another label elsewhere (rows 2, 5); all stay",
        "test, column text: 1 rows have control characters (rows 6); all stay",
        "test, column label: 2 labels of the training data have no row here: B , c",
    }


def test_everything_that_refuses_a_run_is_said_at_once() -> None:
    train = table(*GOOD, ("FIVE", "c"), ("", "c"), ("ten", "d"), ("eight", "e\u200b"), ("nine", "e\u200b"))
    rules = dataclasses.replace(RULES, max_quarantined_share=0.1)
    assert set(refusal(train, held_out(("five", "a"), ("six", "a")), rules)) == {
        "train, column *: 1 of 9 rows are damaged, a share of 0.111 (1 blank text); expected at most 0.1: mend the file",
        "train, column label: label 'c' has no usable row left; add good rows or remove the label",
        "train, column label: label 'd' has 1 usable rows, expected at least 2; add rows or merge it with another label",
        "train, column label: label 'e\\u200b' has invisible or decomposed characters, 2 rows (rows 9, 10); rename it",
        "test, column label: usable rows have fewer than 2 labels ('a'); add rows of another label",
    }


def test_an_empty_table_has_no_usable_row() -> None:
    first, *_ = validate(table(*GOOD).take(()), for_train(RULES, LABELS))
    assert (first.severity, first.line()) == (
        "critical", "train, column *: no usable row is left; expected rows that are neither damaged nor copies",
    )  # fmt: skip


def test_words_that_look_like_missing_values_are_texts_and_labels() -> None:
    train = table(("NA", "null"), ("nan", "null"), ("None", "NA"), ("", "NA"), ("007", "NA"))
    checked = check(train, None, RULES)
    assert checked.train.texts == ("NA", "nan", "None", "007")
    assert lines(checked.quarantined) == {"train, row 5, column text: the text is blank"}


def test_a_row_with_a_blank_text_or_label_is_set_aside() -> None:
    blanks = ("", "  ", "\t\n", "\u00a0", "\u3000", "\u200b\ufeff")
    train = table(*GOOD, *((blank, "a") for blank in blanks), *((f"five {blank}.", blank) for blank in blanks))
    checked = check(train, None, dataclasses.replace(RULES, max_quarantined_share=1.0))
    assert checked.train == table(*GOOD)
    assert lines(checked.quarantined) == {
        *(f"train, row {row}, column text: the text is blank" for row in range(6, 12)),
        *(f"train, row {row}, column label: the label is blank" for row in range(12, 18)),
    }


def test_a_row_with_a_blank_label_is_no_conflict_of_its_good_copy() -> None:
    assert check(table(*GOOD, ("one", "")), None, RULES).train == table(*GOOD)


def test_a_text_of_any_length_stays_and_is_cut() -> None:
    train = table(*GOOD, ("é" * 50, "a"), ("👩" * 51, "a"), ("x" * 5_000_000, "b"))
    checked = check(train, held_out(*TEST, ("y" * 51, "a"), ("z" * 20_001, "b")), RULES)
    assert checked.train == table(*GOOD, ("é" * 50, "a"), ("👩" * 50, "a"), ("x" * 50, "b"))
    assert checked.test == held_out(*TEST, ("y" * 51, "a"), ("z" * 20_000, "b"))  # where every bundle cuts it
    assert checked.quarantined == ()
    assert lines(checked.notes) == {
        "train, column text: 2 rows have more than 50 characters; each text is cut there (rows 7, 8)",
        "test, column text: 1 rows have more than 20000 characters; each text is cut there (rows 5)",
    }


def test_long_texts_that_begin_alike_are_one_text_to_the_model() -> None:
    checked = check(table(*GOOD, ("x" * 60, "a"), ("x" * 70, "a")), None, RULES)
    assert lines(checked.quarantined) == {"train, row 7, column text: repeats an earlier row, label included"}


def test_a_row_with_control_characters_is_set_aside() -> None:
    damaged = tuple((f"a{character}b", "a") for character in ("\x00", "\x1b", "\x7f"))
    checked = check(table(*GOOD, *damaged), None, RULES)
    assert lines(checked.quarantined) == {
        f"train, row {row}, column text: the text has control characters" for row in range(6, 9)
    }


def test_page_breaks_and_c1_controls_are_cleaned_with_a_note_and_are_no_damage() -> None:
    stray = tuple((f"don{character}t {i}", "a") for i, character in enumerate("\x0b\x0c\x80\x85\x92\x9f"))
    rules = dataclasses.replace(RULES, max_quarantined_share=0.0)
    checked = check(table(*GOOD, *stray), held_out(*TEST, ("it\x92s", "a")), rules)
    assert checked.train == table(*GOOD, *((f"don t {i}", "a") for i in range(6)))
    assert checked.test == held_out(*TEST, ("it\x92s", "a"))  # the exam is as production is
    assert lines(checked.notes) == {
        (
            "train, column text: 6 rows have C1 controls or page breaks, each read as a space; quotes and dashes become "
            "such controls when Windows-1252 is read as Latin-1 (rows 6, 7, 8, 9, 10, …)"
        ),
        "test, column text: 1 rows have control characters (rows 4); all stay",
    }


def test_a_cleaned_text_is_the_same_as_its_raw_copy_in_the_test() -> None:
    checked = check(table(*GOOD, ("it\x92s", "a")), held_out(*TEST, ("it\x92s", "a")), RULES)
    assert lines(checked.quarantined) == {"train, row 6, column text: the same text is in the test data"}


def test_tabs_line_breaks_and_every_script_are_no_damage() -> None:
    odd = table(*GOOD, ("a\tb\r\nc", "a"), ("日本語", "a"), ("👩‍🚀", "b"), ("\u202bעברית", "b"), ("ｆｕｌｌ", "b"))
    assert check(odd, None, RULES) == Checked(train=odd, test=None, quarantined=(), notes=())


def test_the_first_of_several_copies_stays() -> None:
    checked = check(table(*GOOD, ("ONE ", "a"), ("one", "a")), None, RULES)
    assert checked.train == table(*GOOD)
    assert lines(checked.quarantined) == {
        "train, row 6, column text: repeats an earlier row, label included",
        "train, row 7, column text: repeats an earlier row, label included",
    }
    assert lines(checked.notes) == {"train, column text: 2 rows set aside: duplicate"}


def test_all_copies_of_a_text_with_two_labels_are_set_aside() -> None:
    checked = check(table(*GOOD, ("odd", "a"), ("Odd", "b")), None, RULES)
    assert checked.train == table(*GOOD)
    assert lines(checked.quarantined) == {
        "train, row 6, column label: the same text has another label elsewhere",
        "train, row 7, column label: the same text has another label elsewhere",
    }


def test_a_text_of_the_test_leaves_the_training_data_and_the_test_stays_whole() -> None:
    train, test = table(*GOOD, ("FIVE", "a")), held_out(*TEST)
    checked = check(train, test, RULES)
    assert (checked.train, checked.test) == (table(*GOOD), test)
    assert lines(checked.quarantined) == {"train, row 6, column text: the same text is in the test data"}
    assert lines(checked.notes) == {"train, column text: 1 rows set aside: in test"}


def test_copies_conflicts_and_control_characters_of_the_test_are_notes_only() -> None:
    test = held_out(*TEST, ("six", "b"), ("Five", "b"), ("x\x00", "a"))
    checked = check(table(*GOOD), test, RULES)
    assert (checked.test, checked.quarantined) == (test, ())
    assert lines(checked.notes) == {
        "test, column text: 1 rows repeat an earlier one (rows 4); all stay",
        "test, column label: 2 rows: the same text has another label elsewhere (rows 2, 5); all stay",
        "test, column text: 1 rows have control characters (rows 6); all stay",
    }


def test_a_test_row_that_cannot_be_judged_is_set_aside() -> None:
    test = held_out(*TEST, ("", "a"), ("seven", " "))
    checked = check(table(*GOOD), test, dataclasses.replace(RULES, max_quarantined_share=0.6))
    assert checked.test == held_out(*TEST)
    assert lines(checked.quarantined) == {
        "test, row 4, column text: the text is blank",
        "test, row 5, column label: the label is blank",
    }


def test_one_class_is_refused_in_train_and_in_test() -> None:
    assert refusal(table(("one", "a"), ("two", "a"))) == (
        "train, column label: usable rows have fewer than 2 labels ('a'); add rows of another label",
    )
    assert refusal(table(*GOOD), held_out(("five", "a"))) == (
        "test, column label: usable rows have fewer than 2 labels ('a'); add rows of another label",
    )


def test_a_class_with_too_few_usable_rows_is_refused_with_its_count() -> None:
    train = table(*GOOD, ("five", "c"), ("FIVE", "c"), ("six", "d"))
    assert refusal(train) == (
        "train, column label: label 'c' has 1 usable rows, expected at least 2; add rows or merge it with another label",
        "train, column label: label 'd' has 1 usable rows, expected at least 2; add rows or merge it with another label",
    )


def test_a_label_that_loses_every_row_is_refused() -> None:
    assert refusal(table(*GOOD, ("five", "c"), ("", "d")), held_out(*TEST)) == (
        "train, column label: label 'c' has no usable row left; add good rows or remove the label",
        "train, column label: label 'd' has no usable row left; add good rows or remove the label",
    )


def test_a_label_of_the_test_that_train_does_not_know_is_refused_with_its_rows() -> None:
    test = held_out(*TEST, ("seven", "c"), ("eight", "c"))
    assert refusal(table(*GOOD), test) == (
        (
            "test, column label: label 'c' is not in the training data but in 2 rows here (rows 4, 5); "
            "add it there or remove it here"
        ),
    )


def test_a_label_without_a_row_in_the_test_is_a_note() -> None:
    train = table(*GOOD, ("seven", "c"), ("eight", "c"))
    assert lines(check(train, held_out(*TEST), RULES).notes) == {
        "test, column label: 1 labels of the training data have no row here: c"
    }


def test_a_label_with_invisible_or_decomposed_characters_is_refused() -> None:
    labels = ("b\n", "b\u200b", "cafe\u0301", "\u202eb")
    train = table(*GOOD, *((f"five {i}", label) for i, label in enumerate(labels)))
    assert refusal(train, None, dataclasses.replace(RULES, min_rows_per_class=1)) == tuple(
        f"train, column label: label {label!r} has invisible or decomposed characters, 1 rows (rows {row}); rename it"
        for row, label in enumerate(labels, 6)
    )


def test_labels_that_differ_only_by_case_or_spaces_are_noted() -> None:
    train = table(*GOOD, ("five", "B "), ("six", "B "))
    assert lines(check(train, None, RULES).notes) == {
        "train, column label: label 'B ' (2 rows) differs from another one only by case, width or spaces",
        "train, column label: label 'b' (2 rows) differs from another one only by case, width or spaces",
    }


def test_a_class_above_the_share_is_noted() -> None:
    rules = dataclasses.replace(RULES, max_class_share=0.6)
    assert lines(check(table(*GOOD, ("five", "a"), ("six", "a")), None, rules).notes) == {
        "train, column label: label 'a' has a share of 0.667 of the rows, above 0.6; the model may favour it"
    }


def test_more_damage_than_the_rules_allow_is_refused_with_the_reasons_by_count() -> None:
    rules = dataclasses.replace(RULES, max_quarantined_share=0.4)
    damaged: tuple[Pair, ...] = (("", "a"), ("", ""), ("x\x00", "b"))
    assert check(table(*GOOD, ("five", "b"), *damaged), None, rules).train == table(*GOOD, ("five", "b"))
    assert refusal(table(*GOOD, *damaged), None, rules) == (
        (
            "train, column *: 3 of 7 rows are damaged, a share of 0.429 (2 blank text, 1 blank label, 1 control characters); "
            "expected at most 0.4: mend the file"
        ),
    )
    test = held_out(*TEST, ("", "a"), ("", "b"))
    assert refusal(table(*GOOD), test, rules) == (
        "test, column *: 2 of 4 rows are damaged, a share of 0.500 (2 blank text); expected at most 0.4: mend the file",
    )


def test_copies_and_overlaps_are_no_damage() -> None:
    rules = dataclasses.replace(RULES, max_quarantined_share=0.0)
    train = table(*GOOD, *GOOD, *TEST)
    assert check(train, held_out(*TEST), rules).train == table(*GOOD)


def test_a_table_of_which_nothing_is_left_is_refused() -> None:
    train = table(*GOOD)
    refused = refusal(train, held_out(*GOOD))
    assert refused[0] == "train, column *: no usable row is left; expected rows that are neither damaged nor copies"


def test_a_table_without_a_single_label_is_refused() -> None:
    refused = refusal(table(("one", ""), ("two", "")), held_out(*TEST))
    assert refused[0].startswith("train, column *: 2 of 2 rows are damaged, a share of 1.000 (2 blank label)")


def test_every_critical_finding_of_both_tables_is_reported_at_once() -> None:
    refused = refusal(table(*GOOD, ("seven", "c")), held_out(*TEST, ("x", "d")))
    assert [line.split(":")[0] for line in refused] == ["train, column label", "test, column label"]
    assert refused[1] == (
        "test, column label: label 'd' is not in the training data but in 1 rows here (rows 4); "
        "add it there or remove it here"
    )


def test_a_suite_without_expectations_is_refused() -> None:
    with pytest.raises(DataError, match="train: nothing was checked, because the suite is empty"):
        validate(table(*GOOD), ())


def test_an_expectation_that_cannot_be_evaluated_is_refused() -> None:
    expected: Expected = ("ExpectColumnValuesToBeInSet", {"column": "absent", "value_set": [1]})
    broken = Check("broken", "note", "text", expected, lambda _table, _at: [])
    with pytest.raises(DataError, match='the check could not be made: Error: The column "absent"') as caught:
        validate(table(*GOOD), (*for_train(RULES, LABELS), broken))
    assert [finding.check for finding in caught.value.findings] == ["broken"]


def test_a_failure_that_names_no_row_is_critical() -> None:
    silent = Check("silent", "quarantine", "text", ("ExpectTableRowCountToEqual", {"value": 9}), lambda _table, _at: [])
    assert [(finding.check, finding.severity) for finding in validate(table(*GOOD), (silent,))] == [
        ("silent", "critical")
    ]


def test_rules_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="max_chars is 0, expected at least 1"):
        dataclasses.replace(RULES, max_chars=0)
    with pytest.raises(ValueError, match="min_rows_per_class is 0, expected at least 1"):
        dataclasses.replace(RULES, min_rows_per_class=0)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="max_class_share is .*, expected a share from 0 to 1"):
            dataclasses.replace(RULES, max_class_share=share)
        with pytest.raises(ValueError, match="max_quarantined_share is .*, expected a share from 0 to 1"):
            dataclasses.replace(RULES, max_quarantined_share=share)


def test_checking_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    check(table(*GOOD, ("", "a")), held_out(*TEST), RULES)
    assert capfd.readouterr() == ("", "")


def test_a_hundred_classes_of_a_file_are_checked_from_reading_to_result(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"text {i},class {i % 100}\n" for i in range(2000)), encoding="utf-8")
    train = read_table(str(path), text="text", label="label", part="train")
    assert check(train, None, RULES) == Checked(train=train, test=None, quarantined=(), notes=())


def test_the_quarantine_file_names_each_row_and_runs_no_formula(tmp_path: Path) -> None:
    train = table(*GOOD, ("=1+1\x00", "@a"), ("+x", ""), ("\tx\n-y", ""), source="-t.csv")
    findings = tuple(
        finding for finding in validate(train, for_train(RULES, LABELS)) if finding.severity == "quarantine"
    )
    write_quarantine(tmp_path / "out" / "quarantine.csv", findings, (train,))
    with (tmp_path / "out" / "quarantine.csv").open(encoding="utf-8", newline="") as stream:
        written = list(csv.reader(stream))
    assert written == [
        ["source", "row", "column", "check", "reason", "text", "label"],
        ["'-t.csv", "7", "label", "blank label", "the label is blank", "'+x", ""],
        ["'-t.csv", "8", "label", "blank label", "the label is blank", "'\tx\n-y", ""],
        ["'-t.csv", "6", "text", "control characters", "the text has control characters", "'=1+1\x00", "'@a"],
    ]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["quarantine.csv"]


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label",
    [
        "می\u200cخواهم",  # Persian, zero width non-joiner
        "क्\u200dष",  # Devanagari, zero width joiner
        "👩\u200d🚀",
        "❤️\u200d🔥",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # the flag of Scotland
        "card lost",
    ],
)
def test_a_label_may_have_the_joiners_that_its_script_or_emoji_needs(label: str) -> None:
    assert is_clean(label)


@pytest.mark.parametrize(
    "label",
    ["a\u200cb", "a\u200d", "\u200dم", "م\u200c", "م\u200c\u200cم", "م \u200c م", "a\u200b", "\ufeffa", "\U000e0067"],
)
def test_a_joiner_that_joins_nothing_is_an_invisible_character(label: str) -> None:
    assert not is_clean(label)


def test_labels_that_differ_by_a_joiner_or_by_how_a_number_is_written_are_spelt_alike() -> None:
    alike = (("می\u200cخواهم", "میخواهم"), ("1", "1.0"), ("1", "01"), ("-2", "-2.00"), ("Card", " card "), ("１", "1"))
    assert [(a, b) for a, b in alike if spelling(a) != spelling(b)] == []
    different = (("1", "10"), ("1", "-1"), ("1.0", "1.0.0"), ("v1", "v1.0"), ("a b", "ab"))
    assert [(a, b) for a, b in different if spelling(a) == spelling(b)] == []


@pytest.mark.parametrize(
    ("labels", "several"),
    [
        (("a", "b", "a,b"), {"a,b"}),
        (("a", "b", "b; a"), {"b; a"}),
        (("a,b", "b,c", "a,c"), {"a,b", "b,c", "a,c"}),
        (("['a', 'b']", "['a']", "['b']"), {"['a', 'b']"}),
        (('["a","b"]', "a", "b"), {'["a","b"]'}),
        (("a#b", "a", "b"), {"a#b"}),
        (("Paris, France", "Lyon, Rhone"), set()),
        (("yes, please", "no"), set()),
        (("a", "b", "a b"), set()),
        (("a,", "a"), set()),
    ],
)
def test_several_labels_in_one_cell_are_noticed_where_each_occurs_elsewhere(
    labels: tuple[str, ...], several: set[str]
) -> None:
    assert {label for label, number in labels_in_cells(labels).items() if number > 1} == several


def test_several_labels_in_one_cell_are_a_note() -> None:
    train = table(*GOOD, ("five", "a,b"), ("six", "a,b"))
    checked = check(train, None, RULES)
    assert checked.train == train
    assert lines(checked.notes) == {
        (
            "train, column label: label 'a,b' (2 rows) seems to hold several labels; a row has one: the model learns it "
            "as a label of its own"
        )
    }


def test_a_label_of_more_than_200_characters_is_refused_and_not_printed() -> None:
    long = "my secret words " * 13
    train = table(*GOOD, *((f"long {i}", label) for i, label in enumerate([long[:200], long[:201]] * 2)))
    refused = refusal(train)
    assert refused == (
        (
            "train, column label: 2 rows have a label of more than 200 characters (rows 7, 9): is it the text? "
            "Check data.text and data.label"
        ),
    )


def test_an_unknown_label_that_is_a_known_one_written_otherwise_is_hinted_at() -> None:
    train = table(("one", "1"), ("two", "1"), ("three", "2"), ("four", "2"))
    [first, second] = refusal(train, held_out(("five", "1.0"), ("six", "2.0")))
    assert first.endswith("add it there or remove it here; did you mean '1'?")
    assert second.endswith("; did you mean '2'?")


def test_labels_that_are_one_number_or_one_word_with_a_joiner_are_noted() -> None:
    train = table(*GOOD, ("five", "1"), ("six", "1"), ("seven", "01"), ("eight", "01"), ("nine", "10"), ("ten", "10"))
    assert lines(check(train, None, RULES).notes) == {
        f"train, column label: label {label!r} (2 rows) is another one with a number or a joiner written otherwise"
        for label in ("1", "01")
    }
