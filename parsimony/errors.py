"""The three ways a run can be refused; each carries the exit code that the command line returns."""

from __future__ import annotations

from parsimony.records import Finding


class ParsimonyError(Exception):
    """A refusal with one line for a person: what was found, what was expected, what to do."""

    exit_code = 4


class PlanError(ParsimonyError):
    """The plan asks for something that cannot be done as written."""

    exit_code = 2


class DataError(ParsimonyError):
    """The data cannot be used; the message is one line, `findings` holds every reason."""

    exit_code = 3

    def __init__(self, message: str, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class InfrastructureError(ParsimonyError):
    """Something outside the plan and the data is missing or broken: disk, server, package."""

    exit_code = 4
