"""Judge the data with Great Expectations before anything is trained on it.

The suite of a table runs twice: to find the rows to set aside, then on what is left, where nothing but
notes may fail; once where no row was set aside. A check that could not be made counts as failed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parsimony.bundle.predict import MAX_CHARS
from parsimony.data.table import Table
from parsimony.errors import DataError, Finding, Severity
from parsimony.tasks.validation.cleaning import cleaned, cut
from parsimony.tasks.validation.frame import frame
from parsimony.tasks.validation.quarantine import write_quarantine
from parsimony.tasks.validation.suites import Check, Rules, for_test, for_train

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationValidationResult
    from pandas import DataFrame


__all__ = ["Checked", "Rules", "check", "validate", "write_quarantine"]

_DAMAGE = frozenset({"blank text", "blank label", "control characters", "conflicting labels"})
_GX_SEVERITY: dict[Severity, str] = {"critical": "critical", "quarantine": "warning", "note": "info"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The tables without the rows set aside, those rows with their reasons, and what a person should know."""

    train: Table
    test: Table | None
    quarantined: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def check(train: Table, test: Table | None, rules: Rules) -> Checked:
    """Set aside the rows that cannot be used and return the rest, which meets every critical expectation.

    Texts that are also in the test table leave the training table, never the other way round. Long texts are cut:
    those of the test where a bundle cuts them, so that predictions are those of the whole text.
    Raises DataError when what is left fails, when more rows are damaged than the rules allow, or when an
    expectation could not be evaluated; the message is the first finding, `findings` are all of them, `rows` every row.
    """
    train, test = cleaned(cut(train, rules.max_chars)), None if test is None else cut(test, MAX_CHARS)
    usable_test = None if test is None else _usable(test, for_test(train.labels))
    test_texts = () if usable_test is None else usable_test.table.texts
    suite = for_train(rules, train.labels)
    usable = _usable(train, suite, test_texts)
    judged = [_left(usable, suite, test_texts)]
    findings = [*_too_damaged(train, usable.aside, rules), *judged[0].findings]
    if test is not None and usable_test is not None:
        labels = usable.table.labels or train.labels
        suite = for_test(labels)
        same = set(labels) == set(train.labels)
        judged.append(_left(usable_test, suite) if same else _judge(usable_test.table, suite))
        findings += [*_too_damaged(test, usable_test.aside, rules), *judged[1].findings]
    read = (*train.findings, *(() if test is None else test.findings))
    aside = (*_of("quarantine", read), *usable.aside, *(() if usable_test is None else usable_test.aside))
    critical = tuple(replace(finding, severity="critical") for finding in findings if finding.severity != "note")
    _refuse(critical, (*aside, *(row for each in judged for row in each.rows)))
    kept_test = None if usable_test is None else usable_test.table
    notes = (*_of("note", read), *_counts(aside), *findings)
    return Checked(train=usable.table, test=kept_test, quarantined=aside, notes=notes)


def _of(severity: Severity, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.severity == severity)


def _refuse(critical: tuple[Finding, ...], rows: tuple[Finding, ...] = ()) -> None:
    if critical:
        more = f" (and {len(critical) - 1} more)" if len(critical) > 1 else ""
        raise DataError(critical[0].line() + more, critical, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What a suite found in a table, and every row that is refused for its label."""

    findings: tuple[Finding, ...]
    rows: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Usable:
    """The rows of a table that stay, a finding for every row and reason that does not, and all that was found."""

    table: Table
    aside: tuple[Finding, ...]
    judged: _Judged


def _usable(table: Table, suite: tuple[Check, ...], test_texts: tuple[str, ...] = ()) -> _Usable:
    """Set aside the rows that the suite finds unusable."""
    judged = _judge(table, suite, test_texts)
    aside = _of("quarantine", judged.findings)
    rows = {finding.row for finding in aside}
    kept = table.take(tuple(i for i, row in enumerate(table.rows) if row not in rows))
    return _Usable(table=kept, aside=aside, judged=judged)


def _left(usable: _Usable, suite: tuple[Check, ...], test_texts: tuple[str, ...] = ()) -> _Judged:
    """Return what the suite finds in the rows that stay; where that is the whole table, it is known already."""
    return _judge(usable.table, suite, test_texts) if usable.aside else usable.judged


def _too_damaged(table: Table, aside: tuple[Finding, ...], rules: Rules) -> tuple[Finding, ...]:
    """Compare the share of damaged rows with the cap; copies and overlaps are no damage."""
    damaged = [finding for finding in aside if finding.check in _DAMAGE]
    rows = len({finding.row for finding in damaged})
    if rows <= rules.max_quarantined_share * len(table):
        return ()
    kinds = ", ".join(f"{count} {name}" for name, count in Counter(finding.check for finding in damaged).most_common())
    damage = f"{rows} of {len(table)} rows are damaged, a share of {rows / len(table):.3f} ({kinds})"
    return (
        _finding(
            "critical",
            table.source,
            "damaged rows",
            "*",
            f"{damage}; expected at most {rules.max_quarantined_share:g}: mend the file",
        ),
    )


def _counts(aside: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return one note per table and check that set rows aside."""
    counts = Counter((finding.source, finding.check, finding.column) for finding in aside)
    return tuple(_finding("note", *key, f"{rows} rows set aside: {key[1]}") for key, rows in counts.items())


# --- running a suite ------------------------------------------------------------------------------


def validate(table: Table, suite: tuple[Check, ...], test_texts: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Return what the suite finds in the table; `test_texts` holds the texts of the test table.

    Raises DataError when an expectation raised, was left out of the results, or when there is none at all.
    """
    return _judge(table, suite, test_texts).findings


def _judge(table: Table, suite: tuple[Check, ...], test_texts: tuple[str, ...] = ()) -> _Judged:
    results = _evaluate(frame(table, test_texts), suite) if suite else {}
    problems = [(each, _problem(results.get(each.name))) for each in suite]
    _refuse(tuple(_finding("critical", table.source, each.name, each.column, why) for each, why in problems if why))
    if not results:
        raise DataError(f"{table.source}: nothing was checked, because the suite is empty; expected checks")
    findings: list[Finding] = []
    rows: list[Finding] = []
    for each in suite:
        if not (result := results[each.name]).success:
            at = tuple(sorted(result.result.get("unexpected_index_list") or ()))
            findings += each.findings(table, at)
            rows += each.rows(table, at)
    return _Judged(findings=tuple(findings), rows=tuple(rows))


def _evaluate(data: DataFrame, suite: tuple[Check, ...]) -> dict[str, ExpectationValidationResult]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the library is imported
    import great_expectations as gx
    from great_expectations.data_context.types import base

    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=base.ProgressBarsConfig(globally=False, metric_calculations=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": data})
    expectations = [
        getattr(gx.expectations, each.expected[0])(
            **each.expected[1], severity=_GX_SEVERITY[each.severity], meta={"check": each.name}
        )
        for each in suite
    ]
    outcome = batch.validate(
        gx.ExpectationSuite(name="table", expectations=expectations),
        result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
    )
    return {_name(result): result for result in outcome.results}


def _name(result: ExpectationValidationResult) -> str:
    meta = result.expectation_config.meta if result.expectation_config else None
    return str((meta or {}).get("check"))


def _problem(result: ExpectationValidationResult | None) -> str:
    """Return why an expectation counts as not evaluated, or nothing when it was."""
    if result is None:
        return "the check is missing from the results; run it again"
    info = result.exception_info or {}
    for entry in (info, *info.values()):  # one entry, or one for each metric that failed
        if isinstance(entry, dict) and entry.get("raised_exception"):
            return f"the check could not be made: {entry.get('exception_message')}"
    return ""


def _finding(severity: Severity, source: str, name: str, column: str, reason: str) -> Finding:
    return Finding(severity=severity, check=name, source=source, row=None, column=column, reason=reason)
