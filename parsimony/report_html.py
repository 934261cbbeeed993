"""The report as one HTML page: no script, no address outside itself, every text escaped."""

from __future__ import annotations

import html as standard_html
import json
from collections.abc import Iterable, Mapping

from parsimony import report_grids as grids
from parsimony import speed
from parsimony import wording as say
from parsimony.plots import latency, size_against_quality
from parsimony.readings import ladder, open_gates, p99_of, short_names, size_of, times_smaller
from parsimony.records import Decision, GateResult, Judged, Measurement
from parsimony.report_grids import Grid
from parsimony.report_style import CSS
from parsimony.report_text import BADGES, headline, key_figures, metric_name, roles

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LADDER = (
    ("#", "number"),
    ("candidate", ""),
    ("family", ""),
    ("techniques", ""),
    ("size", "number"),
    ("× smaller", "number"),
    ("search", "number"),
    ("sealed diff", "number"),
    ("verdict", ""),
    ("p50 ms", "number"),
    ("reason", ""),
)


def html(decision: Decision, receipt: Mapping[str, object]) -> str:
    """Return the whole report of a decision; `receipt` is printed at its end."""
    sections = (
        _head(decision),
        _figures(decision),
        _size_plot(decision),
        _ladder(decision),
        _reasons(decision),
        _latency_plot(decision),
        _section("Step by step", "", grids.steps(decision)),
        _section("What changed, slice by slice", "", grids.slices(decision)),
        _section("What was asked", "", grids.promises(decision)),
        _section("Data", _data_words(decision), grids.data(decision)),
        _section("How fast", _speed_words(decision), grids.measurements(decision)),
        _section("Where it was measured", _machine_words(decision), grids.machines(decision)),
        _cost(decision),
        _receipt(receipt),
    )
    return _page(f"{decision.model}: {BADGES[decision.outcome]}", "".join(sections))


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{_text(title)}</title><style>{CSS}</style></head><body><main>{body}</main></body></html>\n"
    )


def _text(value: str) -> str:
    return standard_html.escape(say.printable(value), quote=True)


def _badge(word: str, kind: str = "") -> str:
    return f'<span class="badge {_text((kind or word).replace(" ", "-"))}">{_text(word)}</span>'


def _paragraph(value: str, kind: str = "") -> str:
    return f'<p class="{kind}">{_text(value)}</p>' if value else ""


# --- the decision ---------------------------------------------------------------------------------


def _head(decision: Decision) -> str:
    reason = decision.reason.strip().rstrip(".")
    about = (("model", decision.model), ("run", decision.run_id), ("started", decision.started_at))
    facts = "".join(f"<span>{label} <b>{_text(value)}</b></span>" for label, value in about)
    return (
        f'<header><p class="about">{facts}</p>'
        f"<h1>{_text(headline(decision))}.</h1>"
        f'<p class="lead"><span class="outcome">{_badge(BADGES[decision.outcome], decision.outcome)}</span> '
        f"{_text(reason[:1].upper() + reason[1:])}.</p></header>"
    )


def _figures(decision: Decision) -> str:
    cells = "".join(
        f'<div><dt>{_text(f.label)}</dt><dd>{_text(f.value)}</dd><dd class="against">{_text(f.note)}</dd></div>'
        for f in key_figures(decision)
    )
    return f'<dl class="figures">{cells}</dl>'


def _size_plot(decision: Decision) -> str:
    margin, sure = say.plain(decision.gates.margin), say.percent(decision.gates.confidence)
    caption = (
        f"Further left is smaller. A candidate keeps the quality when the lower end of its line, its {sure} bound on the "
        f"sealed split, stays above the lower edge of the band: the reference less {margin}. Triangles lie below the "
        "picture; a number is that of the ladder."
    )
    return _figure(
        "Size against quality", size_against_quality(decision), caption, "No candidate was built and scored."
    )


def _latency_plot(decision: Decision) -> str:
    caption = (
        "Dot: p50. Thin mark: p90. Thick mark: p99. Shaded: 95 % interval of p50 and p99. A hollow dot is an unstable "
        "timing, which passes no gate."
    )
    return _figure("Latency", latency(decision), caption, "Nothing was measured.")


def _figure(title: str, svg: str, caption: str, nothing: str) -> str:
    if not svg:
        return f"<h2>{_text(title)}</h2>{_paragraph(nothing)}"
    return f"<h2>{_text(title)}</h2><figure>{_scroll(title, svg)}<figcaption>{_text(caption)}</figcaption></figure>"


def _scroll(label: str, content: str) -> str:
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{_text(label)}">{content}</div>'


# --- the ladder -----------------------------------------------------------------------------------


def _ladder(decision: Decision) -> str:
    head = "".join(f'<th scope="col" class="{kind}">{_text(name)}</th>' for name, kind in LADDER)
    names = short_names(decision)
    rows = "".join(
        _rung(decision, judged, number, names[judged.candidate])
        for number, judged in enumerate(ladder(decision), start=1)
    )
    words = (
        f"Every candidate, smallest first. Behind ~ the size predicted before it was built; search and sealed are "
        f"{metric_name(decision)}; behind ≥ the {say.percent(decision.gates.confidence)} bound of the difference from the "
        "reference."
    )
    table = f'<table class="ladder"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f"<h2>The ladder</h2>{_paragraph(words, 'note')}{_scroll('The ladder', table)}"


def _rung(decision: Decision, judged: Judged, number: int, name: str) -> str:
    marks = "".join(_badge(role) for role in roles(decision, judged))
    kind = "winner" if judged.candidate == decision.winner else ""
    built = say.NONE if judged.bundle is None else say.size(judged.bundle.size_bytes)
    search = judged.search.value(decision.gates.metric) if judged.search else None
    cells = (
        _cell(str(number), "number"),
        f'<th scope="row"><span class="name">{_breakable(name)}</span>{marks and f"<br>{marks}"}</th>',
        _cell(judged.family),
        _cell(", ".join(judged.techniques) or "none"),
        f'<td class="number">{built}<small>~{say.size(judged.predicted_bytes)}</small></td>',
        _cell(say.times(times_smaller(decision, judged)), "number"),
        _cell(say.ratio(search), "number"),
        _difference_cell(judged),
        f"<td>{_badge(judged.verdict)}</td>",
        _latency_cell(judged, len(decision.targets) > 1),
        _cell(judged.reason),
    )
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _cell(value: str, kind: str = "") -> str:
    return f'<td class="{kind}">{_text(value)}</td>'


def _breakable(name: str) -> str:
    return _text(name).replace("+", "<wbr>+")


def _difference_cell(judged: Judged) -> str:
    found = judged.certificate
    if found is None:
        return _cell(say.NONE, "number")
    return f'<td class="number">{say.signed(found.difference)}<small>≥ {say.signed(found.lower_bound)}</small></td>'


def _latency_cell(judged: Judged, several: bool) -> str:
    lines = "".join(_latency_line(seen, several) for seen in judged.measurements)
    return f'<td class="number">{lines or say.NONE}</td>'


def _latency_line(seen: Measurement, several: bool) -> str:
    p50, found = say.bare_milliseconds(seen.p50.value_ms), p99_of(seen)
    p99 = speed.FEW if found is None else say.bare_milliseconds(found.value_ms)
    marks = ", ".join((*([seen.target] if several else []), *([] if seen.stable else ["unstable"])))
    return f"{p50}<small>p99 {p99}</small>{marks and f'<small>{_text(marks)}</small>'}"


def _reasons(decision: Decision) -> str:
    losers = [judged for judged in ladder(decision) if judged.candidate != decision.winner]
    names = short_names(decision)
    items = "".join(_reason(judged, names[judged.candidate]) for judged in losers)
    title = "Why not the others" if decision.winner else "Why none of them"
    return f'<h2>{title}</h2><ul class="reasons">{items}</ul>'


def _reason(judged: Judged, name: str) -> str:
    missed = "".join(_gate(gate) for gate in open_gates(judged))
    return (
        f'<li><span class="name">{_text(name)}</span> {_badge(judged.verdict)}'
        f"{_paragraph(f'{say.size(size_of(judged))}: {judged.reason}')}{missed}</li>"
    )


def _gate(gate: GateResult) -> str:
    return _paragraph(f"{gate.gate}, {gate.verdict}: {gate.reason}", "gate")


# --- the rest -------------------------------------------------------------------------------------


def _section(title: str, words: str, content: Iterable[Grid]) -> str:
    cells = "".join(_grid(grid) for grid in content)
    return f'<h2>{_text(title)}</h2>{_paragraph(words, "note")}<div class="grids">{cells}</div>'


def _grid(grid: Grid) -> str:
    table = _pairs(grid) if not grid.columns else _rows(grid)
    content = _scroll(grid.title, table) if grid.rows else ""
    kind = "wide" if "reason" in grid.columns or len(grid.columns) > 6 else ""
    return f'<section class="{kind}"><h3>{_text(grid.title)}</h3>{content}{_paragraph(grid.note, "note")}</section>'


def _pairs(grid: Grid) -> str:
    rows = "".join(f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>' for name, value in grid.rows)
    return f'<table class="pairs"><tbody>{rows}</tbody></table>'


def _rows(grid: Grid) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in grid.columns)
    rows = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in grid.rows)
    return f'<table class="rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _data_words(decision: Decision) -> str:
    margin = say.plain(round(decision.smallest_certifiable_margin, 4))
    return (
        f"With {say.count(decision.dataset.sealed)} sealed rows the smallest margin that can be certified is {margin}."
    )


def _speed_words(decision: Decision) -> str:
    return (
        "Median latencies are compared with the base line's in the same rounds, on the same texts; behind each ratio its "
        "95 % interval. Efficiency: the time that the matrix products of a text of median length would take at the "
        "machine's measured roofs, over p50."
        if _was_measured(decision)
        else "Nothing was measured."
    )


def _machine_words(decision: Decision) -> str:
    return "" if _was_measured(decision) else "Nothing was measured."


def _was_measured(decision: Decision) -> bool:
    return any(judged.measurements for judged in decision.judged)


def _cost(decision: Decision) -> str:
    total, stages = grids.cost(decision)
    spent = decision.cost
    longest = max((duration_s for _, duration_s in spent.stages), default=0.0) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{_text(stage)}</th><td class="number">{_text(time)}</td><td class="number">{share}</td>'
        f'<td class="track"><span class="bar" style="width:{100 * seconds / longest:.1f}%"></span></td></tr>'
        for (stage, time, share), (_, seconds) in zip(stages.rows, spent.stages, strict=True)
    )
    table = f"<table><tbody>{rows}</tbody></table>" if rows else _paragraph(stages.note)
    return f'<h2>Cost</h2><div class="grids">{_grid(total)}<section><h3>Stages</h3>{table}</section></div>'


def _receipt(receipt: Mapping[str, object]) -> str:
    text = json.dumps(receipt, indent=1, allow_nan=False)
    return f"<details><summary>The receipt, as JSON</summary><pre>{_text(text)}</pre></details>"
