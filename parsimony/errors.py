"""What is refused: three kinds of errors, each with the exit code of the command line, and findings about data."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

# Characters that break XML or UTF-8, split lines, steer a terminal, or turn the direction of what follows.
UNSAFE = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\u2028-\\u202e\\u2066-\\u2069\\ufffe\\uffff]"
)


class ParsimonyError(Exception):
    """A refusal with one line for a person: what was found, what was expected, what to do."""

    exit_code = 4


class PlanError(ParsimonyError):
    """The plan asks for something that cannot be done as written."""

    exit_code = 2


class DataError(ParsimonyError):
    """The data cannot be used; the message is one line, `findings` holds every reason, `rows` every row refused."""

    exit_code = 3

    def __init__(self, message: str, findings: tuple[Finding, ...] = (), rows: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.findings, self.rows = findings, rows


class InfrastructureError(ParsimonyError):
    """Something outside the plan and the data is missing or broken: disk, server, package."""

    exit_code = 4


class BundleError(InfrastructureError):
    """A bundle cannot be predicted with: it is refused, its logits are not finite, or it ended the process that held it."""


Severity = Literal["critical", "quarantine", "note"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with this message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_finite(name: str, value: float) -> None:
    """Raise ValueError unless a value is a finite number."""
    require(math.isfinite(value), f"{name} is {value}, expected a finite number")


def printable(text: str) -> str:
    """Return text from outside with every control character replaced by the replacement character."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def first_line(error: BaseException, most: int | None = None) -> str:
    """Return the first line of what a library says, at most so many characters; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found; `row` is None when it concerns the whole file."""

    severity: Severity
    check: str
    source: str
    row: int | None
    column: str
    reason: str

    def line(self) -> str:
        """Return the finding as one line: file, row, column, reason."""
        row = "" if self.row is None else f", row {self.row}"
        return f"{self.source}{row}, column {self.column}: {self.reason}"
