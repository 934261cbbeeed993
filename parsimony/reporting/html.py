"""The report as one HTML page: no script, no address outside itself, every text escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from parsimony.decision.records import Decision, Judged
from parsimony.reporting import change, speed_tables, summary
from parsimony.reporting import formatting as say
from parsimony.reporting import tables as grids
from parsimony.reporting.facts import built, further_gates, size_of
from parsimony.reporting.figures.latency import latency
from parsimony.reporting.figures.size_quality import size_against_quality
from parsimony.reporting.figures.svg import Format
from parsimony.reporting.html_ladder import gate, ladder
from parsimony.reporting.markup import badge, grid, paragraph, scroll, section, text
from parsimony.reporting.sentences import BADGES, key_figures, sentence, why
from parsimony.reporting.style import CSS

Draw = Callable[[Decision, Format], str]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
UNIT = re.compile(r"(?<=\d) (?=(?:[kMG]B|m?s|%)\b|%)")


def html(decision: Decision, receipt: Mapping[str, object]) -> str:
    """Return the whole report of a decision; `receipt` is printed at its end."""
    sections = (
        _head(decision),
        _figures(decision),
        _change(decision),
        _size_plot(decision),
        ladder(decision),
        _reasons(decision),
        _latency_plot(decision),
        section("Step by step", "", grids.steps(decision)),
        section("What changed, slice by slice", _slice_words(decision), grids.slices(decision)),
        section("What was asked", "", grids.promises(decision)),
        section("Data", _data_words(decision), grids.data(decision)),
        section("How fast", _speed_words(decision), speed_tables.measurements(decision)),
        section("Where it was measured", _machine_words(decision), speed_tables.machines(decision)),
        _cost(decision),
        _receipt(receipt),
    )
    return _page(f"{decision.model}: {BADGES[decision.outcome]}", "".join(sections))


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{text(title)}</title><style>{CSS}</style></head><body><main>{body}</main></body></html>\n"
    )


# --- the decision ---------------------------------------------------------------------------------


def _head(decision: Decision) -> str:
    about = (("model", decision.model), ("run", decision.run_id), ("started", decision.started_at))
    facts = "".join(f"<span>{label} <b>{text(value)}</b></span>" for label, value in about)
    words = "".join(paragraph(_unbroken(words), "lead") for words in summary.in_plain_words(decision))
    return (
        f'<header><p class="about">{facts}{badge(BADGES[decision.outcome], decision.outcome)}</p>'
        f"<h1>{text(summary.title(decision))}</h1>{words}{paragraph(_unbroken(sentence(decision)), 'exact')}</header>"
    )


def _unbroken(words: str) -> str:
    """Return words in which no line ends between a number and its unit."""
    return UNIT.sub("\N{NO-BREAK SPACE}", words)


def _figures(decision: Decision) -> str:
    cells = "".join(
        f'<div><dt>{text(f.label)}</dt><dd>{text(f.value)}</dd><dd class="against">{text(f.note)}</dd></div>'
        for f in key_figures(decision)
    )
    return f'<dl class="figures">{cells}</dl>'


def _change(decision: Decision) -> str:
    words, tables = change.in_words(decision), change.grids(decision)
    return section("Against the champion before", " ".join(words), tables) if words else ""


def _size_plot(decision: Decision) -> str:
    margin, level = say.plain(decision.gates.margin), say.percent(decision.gates.confidence)
    caption = (
        "Further left is smaller; the line at 0 is the reference. Hollow dots compare a candidate with the reference on "
        f"the validation split, filled ones on the test split, with a line down to the {level} bound. A candidate keeps "
        f"the quality when that bound stays inside the band, which reaches down to −{margin}. Triangles lie below the "
        "picture; a number is that of the ladder."
    )
    nothing = "No candidate was built and compared with the reference."
    return _figure("Size against quality", size_against_quality, decision, caption, nothing)


def _latency_plot(decision: Decision) -> str:
    caption = (
        "Dot: p50. Thin mark: p90. Thick mark: p99. Shaded: 95 % interval of p50 and p99. A hollow dot is an unsteady "
        "timing, which passes no gate."
    )
    return _figure("Latency", latency, decision, caption, "Nothing was measured.")


def _figure(title: str, draw: Draw, decision: Decision, caption: str, nothing: str) -> str:
    """Return a figure drawn twice, for a screen and for a phone; the style sheet shows one of them."""
    wide, narrow = draw(decision, "wide"), draw(decision, "narrow")
    if not wide:
        return f"<h2>{text(title)}</h2>{paragraph(nothing)}"
    both = f'<div class="screen">{wide}</div><div class="phone">{narrow}</div>'
    return f"<h2>{text(title)}</h2><figure>{both}<figcaption>{text(caption)}</figcaption></figure>"


def _reasons(decision: Decision) -> str:
    """Return why nothing smaller won, or why nothing did; the reasons of the others stand in the ladder."""
    candidates = built(decision)
    if decision.winner is None:
        title, nothing = "Why none of them", "No candidate was built, so none could be tested."
    else:
        title, nothing = "Why not a smaller one", "No smaller candidate was built."
        candidates = candidates[: candidates.index(decision.of(decision.winner))]
    items = "".join(_reason(decision, judged) for judged in candidates)
    return f"<h2>{title}</h2>" + (f'<ul class="reasons">{items}</ul>' if items else paragraph(nothing))


def _reason(decision: Decision, judged: Judged) -> str:
    gates = "".join(gate(result) for result in further_gates(judged))
    reason = paragraph(f"{say.size(size_of(judged))}: {why(decision, judged)}")
    return f'<li><span class="name">{text(judged.candidate)}</span> {badge(judged.verdict)}{reason}{gates}</li>'


# --- the rest -------------------------------------------------------------------------------------


def _slice_words(decision: Decision) -> str:
    return "" if any(judged.certificate for judged in decision.judged) else "Nothing was tested on the test split."


def _data_words(decision: Decision) -> str:
    margin = say.plain(round(decision.smallest_certifiable_margin, 4))
    rows = say.counted(decision.dataset.test_rows, "test row")
    return f"With {rows} the smallest margin that can be certified is {margin}."


def _speed_words(decision: Decision) -> str:
    if not _was_measured(decision):
        return "Nothing was measured."
    return (
        "Each median latency is compared with that of the baseline in the same rounds, on the same texts; its ratio "
        "stands before its 95 % interval. Roofline efficiency is the time that the matrix products of a text of median "
        "length would take at the machine's measured peaks, divided by p50."
    )


def _machine_words(decision: Decision) -> str:
    return "" if _was_measured(decision) else "Nothing was measured."


def _was_measured(decision: Decision) -> bool:
    return any(judged.measurements for judged in decision.judged)


def _cost(decision: Decision) -> str:
    total, stages = grids.cost(decision)
    cost = decision.cost
    longest = max((duration_s for _, duration_s in cost.stages), default=0.0) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{text(stage)}</th><td class="number">{text(time)}</td><td class="number">{share}</td>'
        f'<td class="track"><span class="bar" style="width:{100 * seconds / longest:.1f}%"></span></td></tr>'
        for (stage, time, share), (_, seconds) in zip(stages.rows, cost.stages, strict=True)
    )
    table = scroll("Stages", f"<table><tbody>{rows}</tbody></table>") if rows else paragraph(stages.note)
    return f'<h2>Cost</h2><div class="grids">{grid(total)}<section><h3>Stages</h3>{table}</section></div>'


def _receipt(receipt: Mapping[str, object]) -> str:
    content = json.dumps(receipt, indent=1, allow_nan=False)
    return f'<details class="receipt"><summary>The receipt, as JSON</summary><pre>{text(content)}</pre></details>'
