"""What is expected of the data: one suite of Great Expectations per table, declared as data.

A failed expectation is critical (the run is refused), a quarantine (its rows are set aside) or a note.
Where no built-in expectation can see the matter, `frame` adds a column that one can look at.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parsimony.data.normalise import normalise
from parsimony.data.table import Table
from parsimony.errors import Finding, Severity

if TYPE_CHECKING:
    from pandas import DataFrame


_VISIBLE = r"[^\s\u200b-\u200f\u2060\ufeff]"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"

Expected = tuple[str, dict[str, object]]
Describe = Callable[[Table, tuple[int, ...]], list[tuple[int | None, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits of the checks. Shares are 0 to 1; `max_quarantined_share` counts damaged rows only."""

    max_chars: int
    min_rows_per_class: int
    max_class_share: float
    max_quarantined_share: float

    def __post_init__(self) -> None:
        for name in ("max_chars", "min_rows_per_class"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        for name in ("max_class_share", "max_quarantined_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation (class name and arguments), its weight, and how its failure reads.

    `column` is the one that a person knows. `describe` gets the table and the positions of the
    unexpected rows (none when the expectation looks at a whole column) and returns (row, reason) pairs.
    """

    name: str
    severity: Severity
    column: str
    expected: Expected
    describe: Describe

    def findings(self, table: Table, unexpected: tuple[int, ...]) -> tuple[Finding, ...]:
        """Say what is wrong, for rows or for the table; a failure that names nothing is critical."""
        said = self.describe(table, unexpected)
        weight: Severity = self.severity if said else "critical"
        return tuple(
            Finding(severity=weight, check=self.name, source=table.source, row=row, column=self.column, reason=reason)
            for row, reason in said or [(None, f"the check {self.name!r} failed without naming a row; report this")]
        )


def for_train(rules: Rules, labels: tuple[str, ...]) -> tuple[Check, ...]:
    """Return what is expected of a training table: any row may be set aside, but no label of `labels` may be lost."""
    known = sorted({label for label in labels if re.search(_VISIBLE, label)})
    least, most = rules.min_rows_per_class, rules.max_class_share
    few = f"label {{label!r}} has {{n}} usable rows, expected at least {least}; add rows or merge it with another label"
    return (
        *_for_both(rules),
        Check(
            "control characters",
            "quarantine",
            "text",
            _without("text", _CONTROL),
            _row("the text has control characters"),
        ),
        Check("conflicting labels", "quarantine", "label", _at_most("labels_of_text", 1), _row(_CONFLICT)),
        Check("duplicate", "quarantine", "text", _at_most("copy", 1), _row("repeats an earlier row, label included")),
        Check("in test", "quarantine", "text", _among("in_test", [False]), _row("the same text is in the test data")),
        Check("lost labels", "critical", "label", _containing("label", known), _each_missing(known, _LOST)),
        Check("rows per class", "critical", "label", _at_least("rows_of_label", least), _class(few)),
        Check("class share", "note", "label", _at_most("share_of_label", most), _largest(most)),
    )


def for_test(rules: Rules, train_labels: tuple[str, ...]) -> tuple[Check, ...]:
    """Return what is expected of a test table: only rows that cannot be judged are set aside."""
    known = sorted(set(train_labels))
    unknown = (
        "label {label!r} is not in the training data but in {n} rows here ({rows}); add it there or remove it here"
    )
    return (
        *_for_both(rules),
        Check(
            "control characters",
            "note",
            "text",
            _without("text", _CONTROL),
            _whole("{n} rows have control characters ({rows}); all stay"),
        ),
        Check(
            "conflicting labels",
            "note",
            "label",
            _at_most("labels_of_text", 1),
            _whole(f"{{n}} rows: {_CONFLICT} ({{rows}}); all stay"),
        ),
        Check(
            "duplicate",
            "note",
            "text",
            _at_most("copy", 1),
            _whole("{n} rows repeat an earlier one ({rows}); all stay"),
        ),
        Check("unknown labels", "critical", "label", _among("label", known), _class(unknown)),
        Check("missing labels", "note", "label", _containing("label", known), _missing(known)),
    )


def _for_both(rules: Rules) -> tuple[Check, ...]:
    unclean = "label {label!r} has invisible or decomposed characters, {n} rows ({rows}); rename it"
    spelling = "label {label!r} ({n} rows) differs from another one only by case, width or spaces"
    long = f"the text has more than {rules.max_chars} characters"
    return (
        Check(
            "rows",
            "critical",
            "*",
            ("ExpectTableRowCountToBeBetween", {"min_value": 1}),
            _whole("no usable row is left; expected rows that are neither damaged nor copies"),
        ),
        Check("classes", "critical", "label", _two_values("label"), _classes),
        Check("label characters", "critical", "label", _among("label_is_clean", [True]), _class(unclean)),
        Check("label spelling", "note", "label", _at_most("spellings_of_label", 1), _class(spelling)),
        Check("blank text", "quarantine", "text", _with("text", _VISIBLE), _row("the text is blank")),
        Check("blank label", "quarantine", "label", _with("label", _VISIBLE), _row("the label is blank")),
        Check("too long", "quarantine", "text", _length("text", rules.max_chars), _row(long)),
    )


# --- expectations by their class names ------------------------------------------------------------


def _at_most(column: str, limit: float) -> Expected:
    return "ExpectColumnValuesToBeBetween", {"column": column, "max_value": limit}


def _at_least(column: str, limit: float) -> Expected:
    return "ExpectColumnValuesToBeBetween", {"column": column, "min_value": limit}


def _among(column: str, values: list[bool] | list[str]) -> Expected:
    return "ExpectColumnValuesToBeInSet", {"column": column, "value_set": values}


def _containing(column: str, values: list[str]) -> Expected:
    return "ExpectColumnDistinctValuesToContainSet", {"column": column, "value_set": values}


def _two_values(column: str) -> Expected:
    return "ExpectColumnUniqueValueCountToBeBetween", {"column": column, "min_value": 2}


def _with(column: str, regex: str) -> Expected:
    return "ExpectColumnValuesToMatchRegex", {"column": column, "regex": regex}


def _without(column: str, regex: str) -> Expected:
    return "ExpectColumnValuesToNotMatchRegex", {"column": column, "regex": regex}


def _length(column: str, limit: int) -> Expected:
    return "ExpectColumnValueLengthsToBeBetween", {"column": column, "max_value": limit}


# --- how a failure reads --------------------------------------------------------------------------

_LOST = "label {label!r} has no usable row left; add good rows or remove the label"
_CONFLICT = "the same text has another label elsewhere"


def _row(reason: str) -> Describe:
    """Say the reason of every unexpected row."""
    return lambda table, at: [(table.rows[i], reason) for i in at]


def _class(reason: str) -> Describe:
    """Say the reason once per label of the unexpected rows."""

    def describe(table: Table, at: tuple[int, ...]) -> list[tuple[int | None, str]]:
        rows: dict[str, list[int]] = defaultdict(list)
        for i in at:
            rows[table.labels[i]].append(table.rows[i])
        return [(None, reason.format(label=name, n=len(rows[name]), rows=_some(rows[name]))) for name in sorted(rows)]

    return describe


def _whole(reason: str) -> Describe:
    """Say the reason once for the table."""
    return lambda table, at: [(None, reason.format(n=len(at), rows=_some([table.rows[i] for i in at])))]


def _some(rows: list[int]) -> str:
    return "rows " + ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")


def _classes(table: Table, _: tuple[int, ...]) -> list[tuple[int | None, str]]:
    names = ", ".join(repr(name) for name in sorted(set(table.labels))) or "none"
    return [(None, f"usable rows have fewer than 2 labels ({names}); add rows of another label")]


def _largest(limit: float) -> Describe:
    def describe(table: Table, at: tuple[int, ...]) -> list[tuple[int | None, str]]:
        counts = Counter(table.labels[i] for i in at)
        return [
            (
                None,
                f"label {name!r} has a share of {n / len(table):.3f} of the rows, above {limit:g}; the model may favour it",
            )
            for name, n in counts.most_common()
        ]

    return describe


def _each_missing(known: list[str], reason: str) -> Describe:
    """Say the reason of every label without a row."""
    return lambda table, _: [(None, reason.format(label=name)) for name in sorted(set(known) - set(table.labels))]


def _missing(known: list[str]) -> Describe:
    def describe(table: Table, _: tuple[int, ...]) -> list[tuple[int | None, str]]:
        missing = sorted(set(known) - set(table.labels))
        return [(None, f"{len(missing)} labels of the training data have no row here: {', '.join(missing[:10])}")]

    return describe


# --- the table as Great Expectations sees it ------------------------------------------------------


def frame(table: Table, test_texts: tuple[str, ...]) -> DataFrame:
    """Return the table with the columns that the suites look at, one row per position.

    `test_texts` holds the texts of the test table. Rows without text or label are no copy and no conflict of
    any other, so their derived cells are empty, which every expectation passes over.
    """
    import pandas

    usable = [
        bool(re.search(_VISIBLE, a) and re.search(_VISIBLE, b)) for a, b in zip(table.texts, table.labels, strict=True)
    ]
    texts = [normalise(text) if fit else None for text, fit in zip(table.texts, usable, strict=True)]
    pairs = list(zip(texts, table.labels, strict=True))
    labels_of, spellings, rows_of = Counter(t for t, _ in set(pairs)), _spellings(table.labels), Counter(table.labels)
    in_test = frozenset(map(normalise, test_texts))
    return pandas.DataFrame(
        {
            "text": pandas.Series(table.texts, dtype="str"),
            "label": pandas.Series(table.labels, dtype="str"),
            "copy": [number if fit else None for number, fit in zip(_copies(pairs), usable, strict=True)],
            "labels_of_text": [labels_of[text] if text is not None else None for text in texts],
            "in_test": [text in in_test for text in texts],
            "rows_of_label": [rows_of[label] for label in table.labels],
            "share_of_label": [rows_of[label] / len(table) for label in table.labels],
            "spellings_of_label": [spellings[label] for label in table.labels],
            "label_is_clean": [_is_clean(label) for label in table.labels],
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


def _is_clean(label: str) -> bool:
    return label.isprintable() and unicodedata.is_normalized("NFC", label)
