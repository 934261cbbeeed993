"""What a regular expression of a tokenizer may hold: nothing that takes more than the square of a text's length. Needs no library.

mlflow/bundle_model.py repeats this module word for word; a test holds both equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# One alternative of an expression, sign by sign: a class, an escaped sign, a group's ends, a quantifier, or any other sign.
_SIGN = re.compile(r"\\(?:[pPux]\{[^{}]*\}|.)|\{\d*,?\d*\}[?+]?|[*+?][?+]?|\(\?(?:[imsx-]*:|[=!])|.", re.DOTALL)
_REFUSED = re.compile(r"\\[1-9kgKXGRyYO]|\(\?<|\(\?>|\(\?~|\(\?\(|\(\?P|\(\?#|\(\?@|\(\*|\(\?R|\(\?&|\(\?\d")
# What repeats without end weighs more than what may be there or not; two of the former and two of the latter are in use.
_ENDLESS, _MOST = 3, 8


def check_expression(source: str) -> None:
    """Refuse what can take more than the square of a text's length: what repeats inside what repeats, and many repetitions in a row.

    Names of groups, references back, and looking behind are no part of any tokenizer's expression either.
    """
    odd = f"its expression {source[:60]!a}"
    _require(not _REFUSED.search(source), f"{odd} uses what is not known here")
    groups, ended, inside = [_Group()], None, 0
    for sign in (match.group() for match in _SIGN.finditer(source)):
        before, ended, group = ended, None, groups[-1]
        if inside:  # a class of characters, in which another one may lie
            inside += (sign == "[") - (sign == "]")
        elif sign == "[":
            inside = 1
        elif sign.startswith("("):
            groups.append(_Group())
            _require(len(groups) <= 8, f"{odd} is nested too deep")
        elif sign == ")":
            _require(len(groups) > 1, f"{odd} has an end without a beginning")
            ended = groups.pop()
            groups[-1].take(ended)
        elif sign == "|":
            group.next()
        elif sign[0] in "*+?" or (sign[0] == "{" and len(sign) > 1):
            numbers = [int(number) for number in re.findall(r"\d+", sign[:20])]
            _require(len(sign) < 12 and max(numbers, default=0) <= 256, f"{odd} repeats too often")
            _require(sign[0] == "?" or before is None or before.plain, f"{odd} repeats a group that can vary")
            group.repeat(
                endless=sign[0] in "*+" or ",}" in sign or max(numbers, default=0) > 16, exact=sign[1:-1].isdigit()
            )
        _require(groups[-1].most <= _MOST, f"{odd} repeats too often in a row")
    _require(len(groups) == 1 and not inside, f"{odd} ends early")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(slots=True)
class _Group:
    """What the repetitions of a group weigh in a row, and whether it always takes the same signs."""

    here: int = 0
    most: int = 0
    plain: bool = True

    def repeat(self, *, endless: bool, exact: bool) -> None:
        """Count a repetition."""
        self.here += _ENDLESS if endless else not exact
        self.most, self.plain = max(self.most, self.here), self.plain and exact

    def take(self, inner: _Group) -> None:
        """Count the repetitions of a group within."""
        self.here += inner.most
        self.most, self.plain = max(self.most, self.here), self.plain and inner.plain

    def next(self) -> None:
        """Begin another alternative."""
        self.here, self.plain = 0, False
