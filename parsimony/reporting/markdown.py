"""The report as Markdown, for the artifacts of a run and for people without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from parsimony.decision.records import Decision, Judged
from parsimony.reporting import change, speed_tables, summary
from parsimony.reporting import formatting as say
from parsimony.reporting import tables as grids
from parsimony.reporting.facts import further_gates, ladder
from parsimony.reporting.sentences import BADGES, key_figures, sentence, why
from parsimony.reporting.tables import Grid

_LINES = 5
_IN_THE_TITLE = ("smaller than", "difference")
SPECIAL = re.compile(r"([\\`*_\[\]#|~])")


def markdown(decision: Decision) -> str:
    """Return the substance of the report, compact: summary, figures, ladder, reasons, promises, data, speed, machine, cost."""
    candidates = grids.candidates(decision)
    blocks = (
        f"# {escape(decision.model)}: {BADGES[decision.outcome]}",
        *(escape(words) for words in summary.in_plain_words(decision)),
        escape(sentence(decision)),
        *_change(decision),
        _figures(decision),
        "## The ladder",
        grid_table(candidates.columns, candidates.rows),
        "## Why not the others" if decision.winner else "## Why none of them",
        _reasons(decision),
        "## Step by step",
        *_grids(grids.steps(decision)),
        "## What changed, slice by slice",
        *(_grids(grids.slices(decision)) or ("Nothing was certified.",)),
        "## What was asked",
        *_grids(grids.promises(decision)),
        "## Data",
        *_grids(grids.data(decision)),
        "## How fast",
        *(_grids(speed_tables.measurements(decision)) or ("Nothing was measured.",)),
        "## Where it was measured",
        *(_grids(speed_tables.machines(decision)) or ("Nothing was measured.",)),
        "## Cost",
        *_grids(grids.cost(decision)),
        f"Run {escape(decision.run_id)}, started {escape(decision.started_at)}.",
    )
    return "\n\n".join(blocks) + "\n"


def folded(decision: Decision, links: Mapping[str, str]) -> str:
    """Return the report for a run's page: five lines, and the rest behind a fold; `links` maps words to addresses."""
    told = [figure for figure in key_figures(decision) if not figure.label.startswith(_IN_THE_TITLE)][: _LINES - 2]
    figures = [f"- {escape(figure.label)}: **{escape(figure.value)}** ({escape(figure.note)})" for figure in told]
    led = " · ".join(f"[{escape(words)}]({address})" for words, address in links.items())
    lines = [f"**{escape(decision.model)}: {escape(summary.title(decision))}.**", *figures]
    front = "\n".join([lines[0], "", *lines[1:], f"- {led or f'run {escape(decision.run_id)}'}"])
    return f"{front}\n\n<details><summary>The whole report</summary>\n\n{markdown(decision)}\n</details>\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is: one line, no markup, no HTML."""
    line = " ".join(say.printable(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _no_autolink(SPECIAL.sub(r"\\\1", line))


def _no_autolink(line: str) -> str:
    # Renderers make links of bare addresses; text from data or models must not become one.
    return line.replace("://", ":&#8203;//").replace("www.", "www&#8203;.")


def grid_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table with every cell escaped."""
    rule = ["---"] * len(columns)
    body = [[escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in ([escape(c) for c in columns], rule, *body))


def _change(decision: Decision) -> tuple[str, ...]:
    words = change.in_words(decision)
    if not words:
        return ()
    return ("## Against the champion before", *map(escape, words), *_grids(change.grids(decision)))


def _figures(decision: Decision) -> str:
    rows = [(figure.label, figure.value, figure.note) for figure in key_figures(decision)]
    return grid_table(("figure", "value", "compare with"), rows)


def _reasons(decision: Decision) -> str:
    losers = [judged for judged in ladder(decision) if judged.candidate != decision.winner and why(decision, judged)]
    return "\n".join(f"- {_reason(decision, judged)}" for judged in losers) or "No other candidate."


def _reason(decision: Decision, judged: Judged) -> str:
    gates = "; ".join(f"{gate.gate} {gate.verdict}: {gate.reason}" for gate in further_gates(judged))
    detail = f" ({escape(gates)})" if gates else ""
    return f"**{escape(judged.candidate)}** {judged.verdict}: {escape(why(decision, judged))}{detail}"


def _grids(content: Iterable[Grid]) -> tuple[str, ...]:
    return tuple(block for grid in content for block in _grid(grid))


def _grid(grid: Grid) -> list[str]:
    columns = grid.columns or (grid.title, "")
    title = [f"**{escape(grid.title)}**"] if grid.columns else []
    body = [grid_table(columns, grid.rows)] if grid.rows else []
    return [*title, *body, *([escape(grid.note)] if grid.note else [])]
