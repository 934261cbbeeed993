"""What the tests of the report share: every kind of decision, and a page as a browser would read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import decisions

from parsimony.decision.records import Decision
from parsimony.reporting import html
from parsimony.reporting.receipt import receipt

EVERY: dict[str, Callable[[], Decision]] = {
    "promoted": decisions.decision,
    "kept": decisions.kept,
    "replaced": decisions.replaced,
    "none": decisions.nothing_passed,
    "bare": decisions.bare,
    "macro F1": lambda: decisions.with_metric("macro_f1"),
    "several targets": decisions.several_targets,
    "harder test": decisions.harder_test,
    "60 candidates": lambda: decisions.many(60),
    "hostile": decisions.hostile,
}


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@cache
def page_of(decision: Decision) -> str:
    """Return the HTML report of a decision with its own receipt."""
    return html(decision, receipt(decision, version="7" if decision.winner else None))


def remeasured(**changes: object) -> Decision:
    """Return the promoting decision with other measurements."""
    before = decisions.decision()
    ladder = tuple(replace(j, measurements=tuple(replace(m, **changes) for m in j.measurements)) for j in before.judged)
    return replace(before, judged=ladder)
