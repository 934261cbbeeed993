"""Numbers as people read them."""

from __future__ import annotations

import pytest

from parsimony.reporting import formatting as say


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (None, "–"),
        (840, "0.840 kB"),
        (99_999, "100 kB"),
        (100_000, "0.100 MB"),
        (3_742_118, "3.74 MB"),
        (91_032_540, "91.0 MB"),
        (9_999_999, "10.0 MB"),
        (438_000_000, "438 MB"),
        (1_320_000_000, "1.32 GB"),
    ],
)
def test_sizes_have_three_digits_and_powers_of_ten(size_bytes: int | None, words: str) -> None:
    assert say.size(size_bytes) == words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(48_200, "0.05"), (221_304, "0.221"), (3_742_118, "3.74"), (91_032_540, "91.0"), (1_320_000_000, "1320")],
)
def test_a_column_of_megabytes_needs_five_characters(size_bytes: int, words: str) -> None:
    assert say.megabytes(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(2.44, "2.4 s"), (59.6, "1 min 00 s"), (252, "4 min 12 s"), (3900, "1 h 05 min")]
)
def test_durations_are_said_in_two_units_at_most(seconds: float, words: str) -> None:
    assert say.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 cores"),
        (1, "1 core"),
        (1.0, "1 core"),
        (0.5, "0.5 cores"),
        (2, "2 cores"),
        (1_234_567, "1,234,567 cores"),
    ],
)
def test_one_thing_is_singular_and_every_other_number_plural(value: float, words: str) -> None:
    assert say.counted(value, "core") == words


def test_a_long_name_loses_its_middle() -> None:
    assert say.shorten("student-L6-A4-F192-E128+trim+int4", 15) == "student…im+int4"
