"""The two figures of a report, as inline SVG: size against quality, and latency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony import wording as say
from parsimony.plot_axes import log_ticks, quiet, ticks
from parsimony.plot_labels import Label, place_labels
from parsimony.plot_latency import latency
from parsimony.plot_svg import BAND, FAIL, INK, MUTED, OPEN, PAPER, PASS, RULE, WIDTH_IN, inline_svg
from parsimony.readings import ladder, reference_quality, short_names, size_of
from parsimony.records import Certificate, Decision, Judged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["latency", "size_against_quality"]

DASHES = (0, (4, 3))
COLOURS = {"pass": PASS, "fail": FAIL, "inconclusive": OPEN}
VISIBLE_MARGINS = 3  # quality further below the reference than this many margins is drawn on the lower edge


def size_against_quality(decision: Decision) -> str:
    """Draw every built candidate by size (log) and quality; an empty string when none was built and scored."""
    shown = [j for j in ladder(decision) if j.bundle is not None and j.search is not None]
    if not shown:
        return ""
    description = f"{len(shown)} candidates by size and {decision.gates.metric}; the ladder table has the numbers"
    return inline_svg("size", description, lambda: _size_figure(decision, shown))


def _size_figure(decision: Decision, shown: Sequence[Judged]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 5.0))
    axes = figure.add_axes((0.075, 0.205, 0.91, 0.775))
    _frame_sizes(axes, shown)
    floor = _frame_quality(axes, decision, shown)
    _reference_band(axes, decision)
    marks = [mark for j in shown for mark in _draw_candidate(axes, decision, j, floor)]
    place_labels(axes, marks, _labels(decision, shown, floor), _level(decision))
    _size_legend(figure, axes, decision)
    return figure


def _frame_sizes(axes: Axes, shown: Sequence[Judged]) -> None:
    sizes = [size_of(j) for j in shown]
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    quiet(axes)
    log_ticks(axes, [say.size(round(t), 1) for t in ticks(axes.get_xlim())], ticks(axes.get_xlim()))
    axes.set_xlabel("size of the bundle")


def _frame_quality(axes: Axes, decision: Decision, shown: Sequence[Judged]) -> float:
    """Set the range of quality and return its lower end; what lies below is drawn on the edge."""
    values = [value for j in shown for value in _heights(decision, j)]
    level = _level(decision)
    margin = max(decision.gates.margin, 0.002)
    top = max(*values, level)
    low = max(min(*values, level - margin), level - VISIBLE_MARGINS * margin)
    room = 0.08 * (top - low)
    axes.set_ylim(low - room, top + room)
    axes.set_ylabel("accuracy" if decision.gates.metric == "accuracy" else "macro F1")
    axes.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.6)
    return low


def _heights(decision: Decision, judged: Judged) -> list[float]:
    search = [judged.search.value(decision.gates.metric)] if judged.search else []
    found = judged.certificate
    return search if found is None else [*search, _sealed(decision, found), _sealed_low(decision, found)]


def _sealed(decision: Decision, found: Certificate) -> float:
    return found.score.value(decision.gates.metric)


def _sealed_low(decision: Decision, found: Certificate) -> float:
    return _sealed(decision, found) - found.difference + found.lower_bound


def _level(decision: Decision) -> float:
    """Return the reference's sealed quality, its search quality, or the best search quality: the first that exists."""
    sealed = reference_quality(decision)
    if sealed is not None:
        return sealed
    metric = decision.gates.metric
    search = decision.of(decision.reference).search
    return search.value(metric) if search else max(j.search.value(metric) for j in decision.judged if j.search)


def _reference_band(axes: Axes, decision: Decision) -> None:
    level, margin = _level(decision), decision.gates.margin
    axes.axhspan(level - margin, level, color=BAND, alpha=0.13, linewidth=0)
    axes.axhline(level, color=BAND, linewidth=1.2)
    if decision.gates.floor > axes.get_ylim()[0]:
        axes.axhline(decision.gates.floor, color=FAIL, linewidth=1, linestyle=DASHES, label="floor")


def _labels(decision: Decision, shown: Sequence[Judged], floor: float) -> list[Label]:
    """Name the certified candidates, or all when none is, the winner first; their numbers are those of the ladder table."""
    names, numbers = short_names(decision), {j.candidate: i for i, j in enumerate(ladder(decision), start=1)}
    named = [j for j in shown if j.certificate is not None] or list(shown)
    named.sort(key=lambda j: j.candidate != decision.winner)
    return [
        Label(
            anchors=_anchors(decision, j, floor), text=_two_lines(names[j.candidate]), short=f"#{numbers[j.candidate]}"
        )
        for j in named
    ]


def _two_lines(name: str) -> str:
    line = say.shorten(name, 60)
    head, plus, tail = line.partition("+")
    return f"{head}\n+{tail}" if plus and len(line) > 16 else line


def _anchors(decision: Decision, judged: Judged, floor: float) -> tuple[tuple[float, float], ...]:
    """Return the points where a label may hang: the sealed mark and the end of its bound, or the search mark."""
    found = judged.certificate
    heights = _heights(decision, judged) if found is None else [_sealed(decision, found), _sealed_low(decision, found)]
    return tuple((float(size_of(judged)), max(height, floor)) for height in heights)


def _draw_candidate(axes: Axes, decision: Decision, judged: Judged, floor: float) -> list[tuple[float, float]]:
    """Draw one candidate and return the points that labels must not cover."""
    x, points = float(size_of(judged)), []
    if judged.search is not None:
        value = judged.search.value(decision.gates.metric)
        shape = "o" if value >= floor else "v"
        axes.plot(x, max(value, floor), shape, markersize=4.5, color=MUTED, markerfacecolor="none", markeredgewidth=0.9)
        points.append((x, max(value, floor)))
    if judged.certificate is not None:
        points += _draw_sealed(axes, decision, judged, judged.certificate, floor)
    return points


def _draw_sealed(
    axes: Axes, decision: Decision, judged: Judged, found: Certificate, floor: float
) -> list[tuple[float, float]]:
    x, colour = float(size_of(judged)), COLOURS[found.verdict]
    value, low = max(_sealed(decision, found), floor), max(_sealed_low(decision, found), floor)
    axes.plot([x, x], [low, value], color=colour, linewidth=1.6)
    axes.plot(x, low, "_", markersize=8, color=colour, markeredgewidth=1.6)
    shape = "D" if judged.candidate == decision.reference else "o"
    axes.plot(x, value, shape, markersize=6.5, color=colour, markeredgecolor=PAPER, markeredgewidth=0.8)
    if judged.candidate == decision.winner:
        axes.plot(x, value, "o", markersize=15, color=INK, markerfacecolor="none", markeredgewidth=1.5)
    return [(x, low + (value - low) * step / 4) for step in range(5)]


def _size_legend(figure: Figure, axes: Axes, decision: Decision) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(shape: str, colour: str, label: str, face: str | None = None, size: float = 6) -> Line2D:
        return Line2D([], [], linestyle="", marker=shape, color=colour, markerfacecolor=face or colour,
                      markersize=size, label=label)  # fmt: skip

    sure = say.percent(decision.gates.confidence)
    handles = [
        mark("o", MUTED, "search split", "none", 4.5),
        *(mark("o", COLOURS[v], f"sealed: {v}") for v in _verdicts(decision)),
        Line2D([], [], color=MUTED, linewidth=1.6, label=f"down to its {sure} bound"),
        *([mark("o", INK, "winner", "none", 9)] if decision.winner else []),
        Patch(color=BAND, alpha=0.25, linewidth=0, label=f"reference, less {say.plain(decision.gates.margin)}"),
        *(line for line in axes.lines if line.get_label() == "floor"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), 6), frameon=False, fontsize=8.5,
                  handletextpad=0.4, columnspacing=1.3, handlelength=1.2)  # fmt: skip


def _verdicts(decision: Decision) -> list[str]:
    found = {j.certificate.verdict for j in decision.judged if j.certificate is not None}
    return [verdict for verdict in COLOURS if verdict in found]
