"""Of texts without labels those are used that are texts, no copies, and in no split."""

from __future__ import annotations

from parsimony.data.normalise import comparing, normalise
from parsimony.data.unlabelled import usable

TRAIN, VALIDATION, TEST = ("my card", "your card", "a loan"), ("which loan",), ("Where is my Refund?",)
SPLITS = (TRAIN, VALIDATION, TEST)


def test_texts_of_any_split_copies_and_what_is_no_text_are_left_out_and_counted() -> None:
    texts = ("new one", " WHERE is my  refund? ", "Which loan", "my card", "New  One", "", "\u200b", "a\x00b", "second")
    used, note = usable("log.csv", texts, SPLITS, 0, normalise)
    assert used == ("new one", "second")
    assert note.reason == (
        "2 of 9 texts without labels are used, 3 blank or with control characters, 1 copies of others, "
        "3 in train, validation or test"
    )
    assert (note.severity, note.source, note.column) == ("note", "log.csv", "text")


def test_texts_that_differ_in_numbers_from_a_test_text_are_left_out_where_these_are_grouped() -> None:
    splits = (TRAIN, VALIDATION, ("ticket 12 is late",))
    assert usable("l", ("ticket 345 is late", "x"), splits, 0, comparing("group"))[0] == ("x",)
    assert usable("l", ("ticket 345 is late", "x"), splits, 0, comparing("note"))[0] == ("ticket 345 is late", "x")


def test_of_many_texts_three_for_each_of_train_are_drawn_whatever_their_order() -> None:
    texts = tuple(f"text {i}" for i in range(40))
    used, note = usable("l", texts, SPLITS, 0, normalise)
    assert len(used) == 9
    assert list(used) == sorted(used, key=texts.index)
    assert note.reason == "9 of 40 texts without labels are used, 31 beyond 3 for each text of train"
    assert set(usable("l", texts[::-1], SPLITS, 0, normalise)[0]) == set(used)
    assert set(usable("l", texts, SPLITS, 1, normalise)[0]) != set(used)


def test_stray_controls_are_read_as_spaces_as_in_every_text() -> None:
    assert usable("l", ("so\x85on",), SPLITS, 0, normalise)[0] == ("so on",)
