"""What is expected of the data: one suite of Great Expectations per table, declared as data.

A failed expectation is critical (the run is refused), a quarantine (its rows are set aside) or a note.
Where no built-in expectation can see the matter, frame.py adds a column that one can look at.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from parsimony.data.normalise import CONTROL, VISIBLE
from parsimony.data.table import Table
from parsimony.errors import Finding, Severity
from parsimony.tasks.validation.frame import spelling

_LONGEST_LABEL, _SHOWN = 200, 60

Expected = tuple[str, dict[str, object]]
Describe = Callable[[Table, tuple[int, ...]], list[tuple[int | None, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The limits of the checks. Shares are 0 to 1; `max_quarantined_share` counts damaged rows only.

    `near_duplicates` says what becomes of texts that differ in numbers only: nothing but a note, or one split for all.
    """

    max_chars: int
    min_rows_per_class: int
    max_class_share: float
    max_quarantined_share: float
    near_duplicates: Literal["note", "group"] = "note"

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
    unexpected rows (none when the expectation looks at a whole column) and returns (row, reason) pairs. `row_reason`
    is what the file of refused rows says of each row where `describe` speaks of labels.
    """

    name: str
    severity: Severity
    column: str
    expected: Expected
    describe: Describe
    row_reason: str = ""

    def rows(self, table: Table, unexpected: tuple[int, ...]) -> tuple[Finding, ...]:
        """Return every unexpected row with its reason; none for a check that speaks of no rows."""
        return tuple(
            Finding(
                severity=self.severity,
                check=self.name,
                source=table.source,
                row=table.rows[i],
                column=self.column,
                reason=self.row_reason,
            )
            for i in (unexpected if self.row_reason else ())
        )

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
    known = sorted({label for label in labels if re.search(VISIBLE, label)})
    least, most = rules.min_rows_per_class, rules.max_class_share
    where = "near_test" if rules.near_duplicates == "group" else "in_test"
    in_test = f"the same text{', but for its numbers,' if where == 'near_test' else ''} is in the test data"
    few = f"label {{label!r}} has {{n}} usable rows, expected at least {least}; add rows or merge it with another label"
    return (
        *_for_both(),
        Check(
            "control characters",
            "quarantine",
            "text",
            _without("text", CONTROL),
            _row("the text has control characters"),
        ),
        Check("conflicting labels", "quarantine", "label", _at_most("labels_of_text", 1), _row(_CONFLICT)),
        Check("duplicate", "quarantine", "text", _at_most("copy", 1), _row("repeats an earlier row, label included")),
        Check("in test", "quarantine", "text", _among(where, [False]), _row(in_test)),
        Check("lost labels", "critical", "label", _containing("label", known), _each_missing(known, _LOST)),
        Check("rows per class", "critical", "label", _at_least("rows_of_label", least), _class(few)),
        Check("class share", "note", "label", _at_most("share_of_label", most), _largest(most)),
    )


def for_test(train_labels: tuple[str, ...]) -> tuple[Check, ...]:
    """Return what is expected of a test table: only rows that cannot be judged are set aside."""
    known = sorted(set(train_labels))
    unknown = (
        "label {label!r} is not in the training data but in {n} rows here ({rows}); add it there or remove it here"
    )
    row = "the label is not in the training data"
    return (
        *_for_both(),
        Check(
            "control characters",
            "note",
            "text",
            _without("text", CONTROL),
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
        Check("unknown labels", "critical", "label", _among("label", known), _class(unknown, known), row),
        Check("missing labels", "note", "label", _containing("label", known), _missing(known)),
    )


def _for_both() -> tuple[Check, ...]:
    unclean = "label {label!r} has invisible or decomposed characters, {n} rows ({rows}); rename it"
    spelt = "label {label!r} ({n} rows) differs from another one only by case, width or spaces"
    written = "label {label!r} ({n} rows) is another one with a number or a joiner written otherwise"
    many = "label {label!r} ({n} rows) seems to hold several labels; a row has one: the model learns it as a label of its own"
    long = (
        f"{{n}} rows have a label of more than {_LONGEST_LABEL} characters ({{rows}}): is it the text? "
        "Check data.text and data.label"
    )
    clean, short = (
        "the label has invisible or decomposed characters",
        f"the label is longer than {_LONGEST_LABEL} characters",
    )
    return (
        Check(
            "rows",
            "critical",
            "*",
            ("ExpectTableRowCountToBeBetween", {"min_value": 1}),
            _whole("no usable row is left; expected rows that are neither damaged nor copies"),
        ),
        Check("classes", "critical", "label", _two_values("label"), _classes),
        Check("label length", "critical", "label", _length("label", _LONGEST_LABEL), _whole(long), short),
        Check("label characters", "critical", "label", _among("label_is_clean", [True]), _class(unclean), clean),
        Check("label spelling", "note", "label", _at_most("spellings_of_label", 1), _class(spelt)),
        Check("label writing", "note", "label", _at_most("writings_of_label", 1), _class(written)),
        Check("several labels", "note", "label", _at_most("labels_in_cell", 1), _class(many)),
        Check("blank text", "quarantine", "text", _with("text", VISIBLE), _row("the text is blank")),
        Check("blank label", "quarantine", "label", _with("label", VISIBLE), _row("the label is blank")),
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


def _class(reason: str, known: list[str] | None = None) -> Describe:
    """Say the reason once per label of the unexpected rows, and which known label is spelt nearly so."""
    near = {spelling(label): label for label in known or ()}

    def describe(table: Table, at: tuple[int, ...]) -> list[tuple[int | None, str]]:
        rows: dict[str, list[int]] = defaultdict(list)
        for i in at:
            rows[table.labels[i]].append(table.rows[i])
        hints = {name: near.get(spelling(name)) for name in rows}
        return [
            (
                None,
                reason.format(label=_short(name), n=len(rows[name]), rows=_some(rows[name]))
                + (f"; did you mean {hints[name]!r}?" if hints[name] else ""),
            )
            for name in sorted(rows)
        ]

    return describe


def _short(label: str) -> str:
    """Cut a label that may be a customer's text, given in the wrong column."""
    return label if len(label) <= _SHOWN else label[:_SHOWN] + "…"


def _whole(reason: str) -> Describe:
    """Say the reason once for the table."""
    return lambda table, at: [(None, reason.format(n=len(at), rows=_some([table.rows[i] for i in at])))]


def _some(rows: list[int]) -> str:
    return "rows " + ", ".join(map(str, rows[:5])) + (", …" if len(rows) > 5 else "")


def _classes(table: Table, _: tuple[int, ...]) -> list[tuple[int | None, str]]:
    names = ", ".join(repr(_short(name)) for name in sorted(set(table.labels))) or "none"
    return [(None, f"usable rows have fewer than 2 labels ({names}); add rows of another label")]


def _largest(limit: float) -> Describe:
    def describe(table: Table, at: tuple[int, ...]) -> list[tuple[int | None, str]]:
        counts = Counter(table.labels[i] for i in at)
        return [
            (
                None,
                f"label {_short(name)!r} has a share of {n / len(table):.3f} of the rows, above {limit:g}; the model may favour it",
            )
            for name, n in counts.most_common()
        ]

    return describe


def _each_missing(known: list[str], reason: str) -> Describe:
    """Say the reason of every label without a row."""
    return lambda table, _: [
        (None, reason.format(label=_short(name))) for name in sorted(set(known) - set(table.labels))
    ]


def _missing(known: list[str]) -> Describe:
    def describe(table: Table, _: tuple[int, ...]) -> list[tuple[int | None, str]]:
        missing = sorted(set(known) - set(table.labels))
        return [
            (
                None,
                f"{len(missing)} labels of the training data have no row here: {', '.join(map(_short, missing[:10]))}",
            )
        ]

    return describe
