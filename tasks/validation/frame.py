"""The table as Great Expectations sees it: text and label, and the columns that say what no built-in expectation can."""

from __future__ import annotations

import decimal
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from parsimony.data.normalise import VISIBLE, normalise, without_numbers
from parsimony.data.table import Table

if TYPE_CHECKING:
    from pandas import DataFrame

# Joiners between two letters of Persian or Indic scripts, or two emoji, are how words are written there.
_JOINER = re.compile(r"(?<=[^\x00-\x7f\s])[\u200c\u200d](?=[^\x00-\x7f\s\u200b-\u200f])")
_FLAG = re.compile(r"\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
_NUMBER = re.compile(r"[+-]?\d{1,100}(\.\d{0,100})?")
_BETWEEN = re.compile(r"\s*[,;|#\n]\s*")


def frame(table: Table, test_texts: tuple[str, ...]) -> DataFrame:
    """Return the table with the columns that the suites look at, one row per position.

    `test_texts` holds the texts of the test table. Rows without text or label are no copy and no conflict of
    any other, so their derived cells are empty, which every expectation passes over.
    """
    import pandas

    usable = [
        bool(re.search(VISIBLE, a) and re.search(VISIBLE, b)) for a, b in zip(table.texts, table.labels, strict=True)
    ]
    texts = [normalise(text) if fit else None for text, fit in zip(table.texts, usable, strict=True)]
    pairs = list(zip(texts, table.labels, strict=True))
    labels_of, rows_of = Counter(t for t, _ in set(pairs)), Counter(table.labels)
    spellings, writings = _spellings(table.labels), _writings(table.labels)
    in_test, near_test = frozenset(map(normalise, test_texts)), frozenset(map(without_numbers, test_texts))
    in_cell = labels_in_cells(table.labels)
    return pandas.DataFrame(
        {
            "text": pandas.Series(table.texts, dtype="str"),
            "label": pandas.Series(table.labels, dtype="str"),
            "copy": [number if fit else None for number, fit in zip(_copies(pairs), usable, strict=True)],
            "labels_of_text": [labels_of[text] if text is not None else None for text in texts],
            "in_test": [text in in_test for text in texts],
            "near_test": [
                bool(near_test) and text is not None and without_numbers(text) in near_test for text in texts
            ],
            "rows_of_label": [rows_of[label] for label in table.labels],
            "share_of_label": [rows_of[label] / len(table) for label in table.labels],
            "spellings_of_label": [spellings[label] for label in table.labels],
            "writings_of_label": [writings[label] for label in table.labels],
            "label_is_clean": [is_clean(label) for label in table.labels],
            "labels_in_cell": [in_cell[label] for label in table.labels],
        }
    )


def _copies(pairs: list[tuple[str | None, str]]) -> list[int]:
    """Return for each pair how often it has occurred, this time included."""
    occurrences: Counter[tuple[str | None, str]] = Counter()
    numbers = []
    for pair in pairs:
        occurrences[pair] += 1
        numbers.append(occurrences[pair])
    return numbers


def _spellings(labels: tuple[str, ...]) -> dict[str, int]:
    counts = Counter(normalise(label) for label in set(labels))
    return {label: counts[normalise(label)] for label in set(labels)}


def _writings(labels: tuple[str, ...]) -> dict[str, int]:
    """Return for each label how many there are of its spelling that `normalise` takes for different ones."""
    counts = Counter(spelling(label) for label in set(map(normalise, labels)))
    return {label: counts[spelling(label)] for label in set(labels)}


def spelling(label: str) -> str:
    """Return what labels have in common that differ only by case, width, spaces, joiners, or how a number is written."""
    plain = normalise(_JOINER.sub("", label))
    return str(decimal.Decimal(plain).normalize()) if _NUMBER.fullmatch(plain) else plain


def is_clean(label: str) -> bool:
    """Say whether a label shows all its characters, composed; joiners inside a word or an emoji are no fault."""
    return _FLAG.sub("", _JOINER.sub("", label)).isprintable() and unicodedata.is_normalized("NFC", label)


def labels_in_cells(labels: tuple[str, ...]) -> dict[str, int]:
    """Return for each label how many labels its cell holds, such as "a,b" where "a" and "b" occur elsewhere too.

    A comma alone says nothing: each part must be a label by itself, or a part of another cell.
    """
    parts = {label: _parts(label) for label in set(labels)}
    cells = Counter(part for each in parts.values() for part in each)
    return {
        label: len(each) if len(each) > 1 and min(cells[p] for p in each) > 1 else 1 for label, each in parts.items()
    }


def _parts(label: str) -> frozenset[str]:
    inside = label.strip()
    if inside[:1] + inside[-1:] in ("[]", "{}", "()"):
        inside = inside[1:-1]
    return frozenset(part.strip("'\"") for part in _BETWEEN.split(inside) if part.strip("'\" "))
