"""The figure of latency: p50, p90 and p99 of every measured candidate, a panel for each target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony.decision.records import Decision, Judged
from parsimony.measurement import quantiles
from parsimony.measurement.records import Measurement
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import ladder
from parsimony.reporting.figures.axes import log_ticks, quiet, ticks
from parsimony.reporting.figures.svg import FAIL, INK, MUTED, OPEN, PAPER, PASS, RULE, WIDTHS_IN, Format, inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


NAME_CHARACTERS = 44
CHARACTER_IN = 0.083  # of a name; DejaVu Sans is wider than what a page will use
ROW_IN: dict[Format, float] = {"wide": 0.27, "narrow": 0.44}

Row = tuple[Judged, Measurement]
Panel = tuple[str, list[Row]]  # a target with what was measured on it


def latency(decision: Decision, shape: Format = "wide") -> str:
    """Draw p50, p90 and p99 of every measured candidate, a panel for each target; empty when nothing was measured.

    A p99 of too few samples is left out.
    """
    panels = [(name, rows) for name in _target_names(decision) if (rows := _rows(decision, name))]
    if not panels:
        return ""
    description = "latency of the measured candidates, p50 to p99; the ladder table has the numbers"
    return inline_svg(f"latency {shape}", description, lambda: _figure(decision, panels, shape))


def _target_names(decision: Decision) -> list[str]:
    asked = [target.name for target in decision.targets]
    measured = [m.target for j in decision.judged for m in j.measurements]
    return list(dict.fromkeys((*asked, *measured)))


def _rows(decision: Decision, target: str) -> list[Row]:
    return [(j, m) for j in ladder(decision) for m in j.measurements if m.target == target]


def _figure(decision: Decision, panels: Sequence[Panel], shape: Format) -> Figure:
    from matplotlib.figure import Figure

    heights = [ROW_IN[shape] * len(rows) + 0.42 for _, rows in panels]
    height = sum(heights) + 0.62
    figure = Figure(figsize=(WIDTHS_IN[shape], height))
    left = _name_room(panels) if shape == "wide" else 0.03
    grid = figure.add_gridspec(len(panels), 1, height_ratios=heights, left=left, right=0.985, hspace=0.12,
                               bottom=0.52 / height, top=1 - 0.02 / len(panels))  # fmt: skip
    span = _range(decision, panels)
    for position, panel in enumerate(panels):
        axes = figure.add_subplot(grid[position])
        _panel(axes, decision, panel, span, shape)
        if position < len(panels) - 1:
            axes.tick_params(labelbottom=False)
    axes.set_xlabel("milliseconds from raw text to label, one text at a time")
    return figure


def _name_room(panels: Sequence[Panel]) -> float:
    """Return the share of the width that the longest name needs."""
    longest = max(len(judged.candidate) for _, rows in panels for judged, _ in rows)
    return (min(longest, NAME_CHARACTERS) * CHARACTER_IN + 0.15) / WIDTHS_IN["wide"]


def _range(decision: Decision, panels: Sequence[Panel]) -> tuple[float, float]:
    drawn = [(m.p50.low_ms, (quantiles.p99_of(m) or m.p90).high_ms) for _, rows in panels for _, m in rows]
    limits = [target.p99_ms for target in decision.targets if target.p99_ms]
    return max(min(low for low, _ in drawn), 1e-4) / 1.4, max(*(high for _, high in drawn), *limits, 1e-4) * 1.4


def _panel(axes: Axes, decision: Decision, panel: Panel, span: tuple[float, float], shape: Format) -> None:
    name, rows = panel
    axes.set_xscale("log")
    axes.set_xlim(*span)
    axes.set_ylim(len(rows) - 0.4, -1.3)
    quiet(axes)
    places = ticks(span, shape)
    log_ticks(axes, [say.significant(place, 1) for place in places], places)
    axes.grid(axis="x", color=RULE, linewidth=0.5, alpha=0.6)
    _names(axes, [judged.candidate for judged, _ in rows], shape)
    _write(axes, -0.85, f"target {say.shorten(name, 40)}", MUTED)
    for height, (judged, measurement) in enumerate(rows):
        _latency_row(axes, height, measurement, PASS if judged.candidate == decision.winner else INK)
    for target in decision.targets:
        if target.name == name and target.p99_ms is not None:
            _limit_line(axes, target.p99_ms)


def _names(axes: Axes, names: Sequence[str], shape: Format) -> None:
    """Write the names beside their rows, on a narrow figure above them."""
    texts = [say.shorten(name, NAME_CHARACTERS) for name in names]
    if shape == "wide":
        axes.set_yticks(range(len(texts)), texts, color=INK)
        return
    axes.set_yticks([])
    for height, text in enumerate(texts):
        _write(axes, height - 0.4, text, INK)


def _write(axes: Axes, height: float, text: str, colour: str) -> None:
    axes.text(0.0, height, text, transform=axes.get_yaxis_transform(), color=colour, va="center")


def _latency_row(axes: Axes, height: int, measurement: Measurement, colour: str) -> None:
    p50, p90, p99 = measurement.p50, measurement.p90, quantiles.p99_of(measurement)
    far = p90 if p99 is None else p99
    axes.plot([p50.low_ms, p50.high_ms], [height, height], color=colour, linewidth=7, alpha=0.25)
    axes.plot([p50.value_ms, far.value_ms], [height, height], color=colour, linewidth=1.4)
    axes.plot(p90.value_ms, height, "|", markersize=6, color=colour, markeredgewidth=1.2)
    if p99 is not None:
        axes.plot([p99.low_ms, p99.high_ms], [height, height], color=colour, linewidth=7, alpha=0.25)
        axes.plot(p99.value_ms, height, "|", markersize=11, color=colour, markeredgewidth=1.8)
    face = colour if measurement.stable else PAPER
    axes.plot(p50.value_ms, height, "o", markersize=6, color=colour, markerfacecolor=face)
    if not measurement.stable:
        axes.annotate("unsteady", (far.high_ms, height), (7, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=OPEN)  # fmt: skip


def _limit_line(axes: Axes, limit_ms: float) -> None:
    axes.axvline(limit_ms, color=FAIL, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(f"p99 limit {say.plain(limit_ms)} ms", (limit_ms, -0.85), (-6, 0), textcoords="offset points",
                  ha="right", va="center", color=FAIL, fontsize=8.5)  # fmt: skip
