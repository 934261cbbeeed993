"""The figure of latency: p50, p90 and p99 of every measured candidate, a panel for each target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony import wording as say
from parsimony.plot_axes import log_ticks, quiet, ticks
from parsimony.plot_svg import FAIL, INK, MUTED, OPEN, PAPER, PASS, RULE, WIDTH_IN, inline_svg
from parsimony.readings import ladder, p99_of, short_names
from parsimony.records import Decision, Judged, Measurement, TargetSettings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME_CHARACTERS = 44
CHARACTER_IN = 0.083  # of a name; DejaVu Sans is wider than what a page will use

Row = tuple[Judged, Measurement]


def latency(decision: Decision) -> str:
    """Draw p50, p90 and p99 of every measured candidate, a panel for each target; empty when nothing was measured.

    A p99 of too few samples is left out.
    """
    panels = [(name, rows) for name in _target_names(decision) if (rows := _rows(decision, name))]
    if not panels:
        return ""
    description = "latency of the measured candidates, p50 to p99; the ladder table has the numbers"
    return inline_svg("latency", description, lambda: _latency_figure(decision, panels))


def _target_names(decision: Decision) -> list[str]:
    asked = [target.name for target in decision.targets]
    seen = [m.target for j in decision.judged for m in j.measurements]
    return list(dict.fromkeys((*asked, *seen)))


def _rows(decision: Decision, target: str) -> list[Row]:
    return [(j, m) for j in ladder(decision) for m in j.measurements if m.target == target]


def _latency_figure(decision: Decision, panels: Sequence[tuple[str, list[Row]]]) -> Figure:
    from matplotlib.figure import Figure

    heights = [0.27 * len(rows) + 0.42 for _, rows in panels]
    figure = Figure(figsize=(WIDTH_IN, sum(heights) + 0.62))
    grid = figure.add_gridspec(len(panels), 1, height_ratios=heights, left=_name_room(decision, panels), right=0.985, hspace=0.12,
                               bottom=0.52 / (sum(heights) + 0.62), top=1 - 0.02 / len(panels))  # fmt: skip
    limits = {target.name: target for target in decision.targets}
    span = _latency_range(decision, panels)
    for position, (name, rows) in enumerate(panels):
        axes = figure.add_subplot(grid[position])
        _latency_panel(axes, decision, name, rows, limits.get(name), span)
        if position < len(panels) - 1:
            axes.tick_params(labelbottom=False)
    axes.set_xlabel("milliseconds from raw text to label, one text at a time")
    return figure


def _name_room(decision: Decision, panels: Sequence[tuple[str, list[Row]]]) -> float:
    """Return the share of the width that the longest name needs."""
    names = short_names(decision)
    longest = max(len(names[j.candidate]) for _, rows in panels for j, _ in rows)
    return (min(longest, NAME_CHARACTERS) * CHARACTER_IN + 0.15) / WIDTH_IN


def _latency_range(decision: Decision, panels: Sequence[tuple[str, list[Row]]]) -> tuple[float, float]:
    seen = [value for _, rows in panels for _, m in rows for value in (m.p50.low_ms, (p99_of(m) or m.p90).high_ms)]
    asked = [target.p99_ms for target in decision.targets if target.p99_ms]
    return max(min(seen), 1e-4) / 1.4, max(*seen, *asked) * 1.4


def _latency_panel(
    axes: Axes, decision: Decision, name: str, rows: list[Row], target: TargetSettings | None, span: tuple[float, float]
) -> None:
    names = short_names(decision)
    axes.set_xscale("log")
    axes.set_xlim(*span)
    axes.set_ylim(len(rows) - 0.4, -1.3)
    quiet(axes)
    log_ticks(axes, [say.significant(t, 1) for t in ticks(span)], ticks(span))
    axes.grid(axis="x", color=RULE, linewidth=0.5, alpha=0.6)
    axes.text(
        0.0, -0.85, f"target {say.shorten(name, 40)}", transform=axes.get_yaxis_transform(), color=MUTED, va="center"
    )
    axes.set_yticks(range(len(rows)), [say.shorten(names[j.candidate], NAME_CHARACTERS) for j, _ in rows], color=INK)
    for height, (judged, seen) in enumerate(rows):
        _latency_row(axes, height, seen, PASS if judged.candidate == decision.winner else INK)
    if target is not None and target.p99_ms is not None:
        _limit_line(axes, target.p99_ms)


def _latency_row(axes: Axes, height: int, seen: Measurement, colour: str) -> None:
    p50, p90, p99 = seen.p50, seen.p90, p99_of(seen)
    far = p90 if p99 is None else p99
    axes.plot([p50.low_ms, p50.high_ms], [height, height], color=colour, linewidth=7, alpha=0.25)
    axes.plot([p50.value_ms, far.value_ms], [height, height], color=colour, linewidth=1.4)
    axes.plot(p90.value_ms, height, "|", markersize=6, color=colour, markeredgewidth=1.2)
    if p99 is not None:
        axes.plot([p99.low_ms, p99.high_ms], [height, height], color=colour, linewidth=7, alpha=0.25)
        axes.plot(p99.value_ms, height, "|", markersize=11, color=colour, markeredgewidth=1.8)
    face = colour if seen.stable else PAPER
    axes.plot(p50.value_ms, height, "o", markersize=6, color=colour, markerfacecolor=face)
    if not seen.stable:
        axes.annotate("unstable", (far.high_ms, height), (7, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=OPEN)  # fmt: skip


def _limit_line(axes: Axes, limit_ms: float) -> None:
    axes.axvline(limit_ms, color=FAIL, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(f"p99 limit {say.plain(limit_ms)} ms", (limit_ms, -0.85), (-6, 0), textcoords="offset points",
                  ha="right", va="center", color=FAIL, fontsize=8.5)  # fmt: skip
