"""The ladder for a terminal: its most telling rows, or all of it.

Printed with two spaces between the columns, no line is longer than 100 characters when no id is longer than 40.
"""

from __future__ import annotations

from parsimony.decision.records import Decision, Judged
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import (
    ladder,
    not_built,
    reference_quality,
    size_of,
    slowest,
    validation_difference,
)
from parsimony.reporting.sentences import metric_name, roles
from parsimony.reporting.tables import difference, p50

MOST_ROWS = 12
UNSTEADY = "*"
HEADER = ("candidate", "MB", "vs reference", "p50 ms", "verdict")


def table(decision: Decision) -> list[tuple[str, ...]]:
    """Return the most telling candidates as rows of text, the header first, then the smallest; at most 12 candidates.

    Reference, winner and champion come before what was tested on the test split, and that before the best of the rest
    on the validation split.
    """
    shown = _telling(decision)
    return [HEADER, *(_row(decision, judged) for judged in ladder(decision) if judged.candidate in shown)]


def ladder_table(decision: Decision) -> list[tuple[str, ...]]:
    """Return the whole ladder as rows of text, the header first, then the smallest; `~` marks a predicted size."""
    return [HEADER, *(_row(decision, judged) for judged in ladder(decision))]


def left_out(decision: Decision) -> str:
    """Return how many candidates `table` leaves out: `23 more candidates, 15 of them not built: --all shows them`."""
    shown = _telling(decision)
    more = len(decision.judged) - len(shown)
    if not more:
        return ""
    absent = sum(judged.candidate not in shown for judged in not_built(decision))
    if more == 1:
        return f"1 more candidate{', not built' if absent else ''}: --all shows it"
    share = "none of them built" if absent == more else f"{say.count(absent)} of them not built"
    return f"{say.count(more)} more candidates{f', {share}' if absent else ''}: --all shows them"


def unsteady(decision: Decision) -> str:
    """Return what the mark behind a latency means, "" where no candidate has one."""
    if not any(_is_unsteady(judged) for judged in decision.judged):
        return ""
    return (
        f"{UNSTEADY} unsteady: the machine was disturbed, or repeated blocks differ; it counts for no limit of latency"
    )


def _telling(decision: Decision) -> frozenset[str]:
    """Return the ids of the candidates that say most about the decision."""
    order = ladder(decision)
    with_role = [judged for judged in order if roles(decision, judged)]
    tested = [judged for judged in order if judged.certificate is not None]
    names = dict.fromkeys(judged.candidate for judged in (*with_role, *tested, *_near_misses(decision)))
    return frozenset(tuple(names)[:MOST_ROWS])


def _near_misses(decision: Decision) -> list[Judged]:
    """Return the candidates that are no larger than the reference, the best on the validation split first."""
    most_bytes, metric = size_of(decision.of(decision.reference)), decision.gates.metric
    scored = [
        (judged.validation.value(metric), judged)
        for judged in ladder(decision)
        if judged.bundle is not None and judged.validation is not None and size_of(judged) <= most_bytes
    ]
    return [judged for _, judged in sorted(scored, key=lambda pair: -pair[0])]


def _row(decision: Decision, judged: Judged) -> tuple[str, ...]:
    size = say.megabytes(size_of(judged)) if judged.bundle else f"~{say.megabytes(judged.predicted_bytes, 2)}"
    mark = UNSTEADY if _is_unsteady(judged) else ""
    return (judged.candidate, size, _quality(decision, judged), p50(judged) + mark, _short_verdict(decision, judged))


def _is_unsteady(judged: Judged) -> bool:
    measurement = slowest(judged)
    return measurement is not None and not measurement.stable


def _quality(decision: Decision, judged: Judged) -> str:
    """Return the test difference with its bound, else the validation difference; of the reference its own quality."""
    metric, validation = decision.gates.metric, judged.validation
    if judged.candidate != decision.reference:
        off = validation_difference(decision, judged)
        return difference(judged) if judged.certificate or off is None else f"{say.signed(off)} validation"
    if (quality := reference_quality(decision)) is not None:
        return f"{metric_name(decision)} {say.ratio(quality)}"
    return say.NONE if validation is None else f"{say.ratio(validation.value(metric))} validation"


def _short_verdict(decision: Decision, judged: Judged) -> str:
    """Return verdict and roles in 23 characters: one with a role and no verdict passes, or is an untested reference."""
    marks = roles(decision, judged)
    if not marks:
        return judged.verdict
    if judged.verdict == "pass" or (judged.verdict, marks) == ("not certified", ("reference",)):
        return ", ".join(marks if len(marks) < 3 else ("winner", "champion"))
    return f"{judged.verdict}, {marks[-1]}"
