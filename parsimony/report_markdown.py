"""The report as Markdown, for the artifacts of a run and for people without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from parsimony import report_grids as grids
from parsimony import wording as say
from parsimony.readings import ladder, open_gates, short_names
from parsimony.records import Decision, Judged
from parsimony.report_grids import Grid
from parsimony.report_text import BADGES, key_figures, sentence, table

SPECIAL = re.compile(r"([\\`*_\[\]#|~])")


def markdown(decision: Decision) -> str:
    """Return the substance of the report, compact: sentence, figures, ladder, reasons, promises, data, speed, machine, cost."""
    blocks = (
        f"# {escape(decision.model)}: {BADGES[decision.outcome]}",
        escape(sentence(decision)),
        _figures(decision),
        "## The ladder",
        grid_table(table(decision)[0], table(decision)[1:]),
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
        *(_grids(grids.measurements(decision)) or ("Nothing was measured.",)),
        "## Where it was measured",
        *(_grids(grids.machines(decision)) or ("Nothing was measured.",)),
        "## Cost",
        *_grids(grids.cost(decision)),
        f"Run {escape(decision.run_id)}, started {escape(decision.started_at)}.",
    )
    return "\n\n".join(blocks) + "\n"


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


def _figures(decision: Decision) -> str:
    rows = [(figure.label, figure.value, figure.note) for figure in key_figures(decision)]
    return grid_table(("figure", "value", "against"), rows)


def _reasons(decision: Decision) -> str:
    names = short_names(decision)
    losers = [judged for judged in ladder(decision) if judged.candidate != decision.winner]
    return "\n".join(f"- {_reason(judged, names[judged.candidate])}" for judged in losers) or "No other candidate."


def _reason(judged: Judged, name: str) -> str:
    gates = "; ".join(f"{gate.gate} {gate.verdict}: {gate.reason}" for gate in open_gates(judged))
    detail = f" ({escape(gates)})" if gates else ""
    return f"**{escape(name)}** {judged.verdict}: {escape(judged.reason)}{detail}"


def _grids(content: Iterable[Grid]) -> tuple[str, ...]:
    return tuple(block for grid in content for block in _grid(grid))


def _grid(grid: Grid) -> list[str]:
    columns = grid.columns or (grid.title, "")
    title = [f"**{escape(grid.title)}**"] if grid.columns else []
    body = [grid_table(columns, grid.rows)] if grid.rows else []
    return [*title, *body, *([escape(grid.note)] if grid.note else [])]
