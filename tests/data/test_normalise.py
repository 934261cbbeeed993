"""What is a visible sign and what damages a text is the same for Python's expressions and for those of Arrow (RE2), which pandas may use."""

from __future__ import annotations

import re
import sys

import pyarrow as pa
import pyarrow.compute as pc

from parsimony.data.normalise import CONTROL, VISIBLE

ZERO_WIDTH = {*map(chr, range(0x200B, 0x2010)), "\u2060", "\ufeff"}
SIGNS = [chr(i) for i in (*range(0xD800), *range(0xE000, 0x11000), sys.maxunicode)]  # without halves of a pair


def test_a_sign_is_visible_unless_it_is_space_or_has_no_width() -> None:
    visible = [not sign.isspace() and sign not in ZERO_WIDTH for sign in SIGNS]
    assert [bool(re.search(VISIBLE, sign)) for sign in SIGNS] == visible
    assert pc.match_substring_regex(pa.array(SIGNS), VISIBLE).to_pylist() == visible


def test_a_sign_that_damages_a_text_is_one_for_both() -> None:
    damaging = [bool(re.search(CONTROL, sign)) for sign in SIGNS]
    assert pc.match_substring_regex(pa.array(SIGNS), CONTROL).to_pylist() == damaging
    assert [damaging[ord(sign)] for sign in "\0\t\n\r\x9f"] == [True, False, False, False, True]
