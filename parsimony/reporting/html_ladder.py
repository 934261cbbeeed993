"""The ladder in the HTML report: one line a candidate, one line for all that were not built, reasons folded."""

from __future__ import annotations

from collections.abc import Sequence

from parsimony.decision.records import Decision, GateResult, Judged
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import built, further_gates, not_built, numbers, size_of, slowest, times_smaller
from parsimony.reporting.markup import badge, breakable, cell, paragraph, scroll, text
from parsimony.reporting.sentences import metric_name, roles, why
from parsimony.reporting.tables import difference, p50

COLUMNS = (
    ("#", "number"),
    ("candidate", ""),
    ("size", "number"),
    ("× smaller", "number"),
    ("validation", "number"),
    ("test difference", "number"),
    ("p50 ms", "number"),
    ("verdict", ""),
)


def ladder(decision: Decision) -> str:
    """Return the section with every candidate, smallest first."""
    head = "".join(f'<th scope="col" class="{kind}">{text(name)}</th>' for name, kind in COLUMNS)
    number = numbers(decision)
    rows = "".join(_row(decision, judged, number[judged.candidate]) for judged in built(decision))
    table = f'<table class="ladder"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return (
        f"<h2>The ladder</h2>{paragraph(_words(decision), 'note')}{scroll('The ladder', table) if rows else ''}"
        f"{_not_built(decision)}"
    )


def _words(decision: Decision) -> str:
    slowest_target = ", on the slowest target" if len(decision.targets) > 1 else ""
    return (
        f"Every candidate, smallest first. Validation is {metric_name(decision)} on the split that chooses; the test "
        f"difference is that from the reference on the split that decides, behind ≥ with its "
        f"{say.percent(decision.gates.confidence)} bound; p50 is the median latency{slowest_target}. Each verdict opens "
        "to its reason."
    )


def _row(decision: Decision, judged: Judged, number: int) -> str:
    marks = "".join(badge(role) for role in roles(decision, judged))
    kind = "winner" if judged.candidate == decision.winner else ""
    validation = judged.validation.value(decision.gates.metric) if judged.validation else None
    cells = (
        cell("#", str(number), "number"),
        f'<th scope="row"><span class="name">{breakable(judged.candidate)}</span>{marks}</th>',
        cell("size", say.size(size_of(judged)), "number"),
        cell("× smaller", say.times(times_smaller(decision, judged)), "number"),
        cell("validation", say.ratio(validation), "number"),
        cell("test difference", difference(judged), "number"),
        cell("p50 ms", _p50(judged), "number"),
        f"<td>{_verdict(decision, judged)}</td>",
    )
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _p50(judged: Judged) -> str:
    measurement = slowest(judged)
    return f"{p50(judged)}{'' if measurement is None or measurement.stable else ' unsteady'}"


def _verdict(decision: Decision, judged: Judged) -> str:
    gates = "".join(gate(result) for result in further_gates(judged))
    if not (gates or why(decision, judged)):
        return badge(judged.verdict)
    return (
        f'<details class="why"><summary>{badge(judged.verdict)}<span>why</span></summary>'
        f"{paragraph(why(decision, judged))}{gates}</details>"
    )


def gate(result: GateResult) -> str:
    """Return one gate that was not passed, with its reason."""
    return paragraph(f"{result.gate}, {result.verdict}: {result.reason}", "gate")


def _not_built(decision: Decision) -> str:
    """Return one line for all candidates that were not built; it opens to their names under their reasons."""
    absent = not_built(decision)
    if not absent:
        return ""
    reasons = dict.fromkeys(judged.reason for judged in absent)
    items = "".join(_absent(decision, reason, [j for j in absent if j.reason == reason]) for reason in reasons)
    were = "was" if len(absent) == 1 else "were"
    return (
        f'<details class="unbuilt"><summary>{say.counted(len(absent), "candidate")} {were} not built</summary>'
        f"<ul>{items}</ul></details>"
    )


def _absent(decision: Decision, reason: str, absent: Sequence[Judged]) -> str:
    names = "".join(
        f'<li><span class="name">{breakable(judged.candidate)}</span>'
        f"{''.join(badge(role) for role in roles(decision, judged))}"
        f"<small>~{say.size(judged.predicted_bytes)}</small></li>"
        for judged in absent
    )
    return f"<li>{paragraph(reason)}<ul>{names}</ul></li>"
