"""When two texts count as the same text, and what is cleaned before a text is used."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Literal

# Without one of these there is no text.
VISIBLE = "[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]"
# A text that holds one of these is damaged.
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
# C1 controls are what Windows-1252 becomes when it is read as Latin-1; page breaks come from print and PDF.
STRAY = re.compile(r"[\x0b\x0c\x80-\x9f]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def clean(text: str) -> str:
    """Return a text with a space for every C1 control, form feed and vertical tab."""
    return text if text.isascii() and text.isprintable() else STRAY.sub(" ", text)


def normalise(text: str) -> str:
    """Return a text without differences of case, width, composition or white space, for comparing only.

    NFKC before and after case folding, because folding can undo the composition; two texts with
    equal results are duplicates of one another. The texts themselves are never replaced by it.
    """
    folded = unicodedata.normalize("NFKC", clean(text)).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def comparing(near_duplicates: Literal["note", "group"]) -> Callable[[str], str]:
    """Return what makes texts equal that belong into one split: with "group" those that differ in numbers only, too."""
    return without_numbers if near_duplicates == "group" else normalise


def without_numbers(text: str) -> str:
    """Return a text as `normalise` does, with 0 for every number: "ticket 12" and "Ticket 345" become the same."""
    return _NUMBER.sub("0", normalise(text))
