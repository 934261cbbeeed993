"""The figure of size against quality, as inline SVG: differences to the reference, each on its own split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony.decision.records import Certificate, Decision, Judged
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import built, numbers, reference_quality, size_of, validation_difference
from parsimony.reporting.figures.axes import log_ticks, quiet, ticks
from parsimony.reporting.figures.labels import Label, Point, place_labels
from parsimony.reporting.figures.svg import (
    BAND,
    FAIL,
    INK,
    MUTED,
    OPEN,
    PAPER,
    PASS,
    RULE,
    WIDTHS_IN,
    Format,
    inline_svg,
)
from parsimony.reporting.sentences import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


DASHES = (0, (4, 3))
COLOURS = {"pass": PASS, "fail": FAIL, "inconclusive": OPEN}
VISIBLE_MARGINS = 3  # a difference of more than this many margins is drawn on the lower edge


def size_against_quality(decision: Decision, shape: Format = "wide") -> str:
    """Draw every built candidate by size (log) and its difference to the reference on the same split.

    A validation split cut from train is easier than a test file from elsewhere; differences on the same rows can be
    compared, levels on different ones can not. Returns an empty string when there is no difference to draw.
    """
    shown = [judged for judged in built(decision) if _differences(decision, judged)]
    if not shown:
        return ""
    description = (
        f"{len(shown)} candidates by size and difference to the reference in {metric_name(decision)}; "
        "the ladder table has the numbers"
    )
    return inline_svg(f"size {shape}", description, lambda: _figure(decision, shown, shape))


def _differences(decision: Decision, judged: Judged) -> list[float]:
    """Return every difference that is drawn of one candidate: validation, test, and the bound of the latter."""
    validation, certificate = validation_difference(decision, judged), judged.certificate
    first = [] if validation is None else [validation]
    return first if certificate is None else [*first, certificate.difference, certificate.lower_bound]


def _figure(decision: Decision, shown: Sequence[Judged], shape: Format) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTHS_IN[shape], 5.0))
    left, bottom = (0.085, 0.205) if shape == "wide" else (0.165, 0.28)
    axes = figure.add_axes((left, bottom, 0.985 - left, 0.98 - bottom))
    _frame_sizes(axes, shown, shape)
    edge = _frame_differences(axes, decision, shown)
    _reference_band(axes, decision)
    marks = [mark for judged in shown for mark in _draw_candidate(axes, decision, judged, edge)]
    place_labels(axes, marks, _labels(decision, shown, edge), level=0.0)
    _legend(figure, axes, decision, columns=6 if shape == "wide" else 2)
    return figure


def _frame_sizes(axes: Axes, shown: Sequence[Judged], shape: Format) -> None:
    sizes = [size_of(judged) for judged in shown]
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.5, max(sizes) * 1.5)
    quiet(axes)
    places = ticks(axes.get_xlim(), shape)
    log_ticks(axes, [say.size(round(place), 1) for place in places], places)
    axes.set_xlabel("size of the bundle")


def _frame_differences(axes: Axes, decision: Decision, shown: Sequence[Judged]) -> float:
    """Set the range of the differences and return its lower edge; what lies below is drawn on it."""
    from matplotlib.ticker import FuncFormatter

    every = [value for judged in shown for value in _differences(decision, judged)]
    margin = max(decision.gates.margin, 0.002)
    top, low = max(*every, 0.0), max(min(*every, -margin), -VISIBLE_MARGINS * margin)
    room = 0.08 * (top - low)
    axes.set_ylim(low - room, top + room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    axes.set_ylabel(f"{metric_name(decision)}, difference to the reference")
    axes.grid(axis="y", color=RULE, linewidth=0.5, alpha=0.6)
    return low


def _tick(value: float) -> str:
    """Return a tick as `−0.01`, `0`, `+0.005`."""
    number = round(value, 6)
    return "0" if number == 0 else f"{'+' if number > 0 else ''}{say.plain(number)}"


def _reference_band(axes: Axes, decision: Decision) -> None:
    axes.axhspan(-decision.gates.margin, 0.0, color=BAND, alpha=0.13, linewidth=0)
    axes.axhline(0.0, color=BAND, linewidth=1.2)
    level, (low, high) = reference_quality(decision), axes.get_ylim()
    if level is not None and decision.gates.floor and low < decision.gates.floor - level < high:
        axes.axhline(decision.gates.floor - level, color=FAIL, linewidth=1, linestyle=DASHES, label="floor")


def _labels(decision: Decision, shown: Sequence[Judged], edge: float) -> list[Label]:
    """Name the certified candidates, or all when none is, the winner first; their numbers are those of the table."""
    number = numbers(decision)
    named = [judged for judged in shown if judged.certificate is not None] or list(shown)
    named.sort(key=lambda judged: judged.candidate != decision.winner)
    return [
        Label(
            anchors=_anchors(decision, judged, edge),
            text=_two_lines(judged.candidate),
            short=f"#{number[judged.candidate]}",
        )
        for judged in named
    ]


def _two_lines(name: str) -> str:
    line = say.shorten(name, 60)
    head, plus, tail = line.partition("+")
    return f"{head}\n+{tail}" if plus and len(line) > 16 else line


def _anchors(decision: Decision, judged: Judged, edge: float) -> tuple[Point, ...]:
    """Return the points where a label may hang: the test mark and the end of its bound, or the validation mark."""
    certificate = judged.certificate
    tested = () if certificate is None else (certificate.difference, certificate.lower_bound)
    heights = tested or _differences(decision, judged)
    return tuple((float(size_of(judged)), max(height, edge)) for height in heights)


def _draw_candidate(axes: Axes, decision: Decision, judged: Judged, edge: float) -> list[Point]:
    """Draw one candidate and return the points that labels must not cover."""
    x, points = float(size_of(judged)), []
    value = validation_difference(decision, judged)
    if value is not None:
        shape, height = ("o" if value >= edge else "v"), max(value, edge)
        axes.plot(x, height, shape, markersize=4.5, color=MUTED, markerfacecolor="none", markeredgewidth=0.9)
        points.append((x, height))
    if judged.certificate is not None:
        points += _draw_certified(axes, decision, judged, judged.certificate, edge)
    return points


def _draw_certified(
    axes: Axes, decision: Decision, judged: Judged, certificate: Certificate, edge: float
) -> list[Point]:
    x, colour = float(size_of(judged)), COLOURS[certificate.verdict]
    value, low = max(certificate.difference, edge), max(certificate.lower_bound, edge)
    axes.plot([x, x], [low, value], color=colour, linewidth=1.6)
    axes.plot(x, low, "_" if certificate.lower_bound >= edge else "v", markersize=8, color=colour, markeredgewidth=1.6)
    shape = "D" if judged.candidate == decision.reference else "o"
    axes.plot(x, value, shape, markersize=6.5, color=colour, markeredgecolor=PAPER, markeredgewidth=0.8)
    if judged.candidate == decision.winner:
        axes.plot(x, value, "o", markersize=15, color=INK, markerfacecolor="none", markeredgewidth=1.5)
    return [(x, low + (value - low) * step / 4) for step in range(5)]


def _legend(figure: Figure, axes: Axes, decision: Decision, columns: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    level = say.percent(decision.gates.confidence)
    handles = [
        _mark("o", MUTED, "validation split", "none", 4.5),
        *(_mark("o", COLOURS[verdict], f"test split: {verdict}") for verdict in _verdicts(decision)),
        Line2D([], [], color=MUTED, linewidth=1.6, label=f"down to its {level} bound"),
        *([_mark("o", INK, "winner", "none", 9)] if decision.winner else []),
        Patch(color=BAND, alpha=0.25, linewidth=0, label=f"allowed: down to {say.plain(-decision.gates.margin)}"),
        *(line for line in axes.lines if line.get_label() == "floor"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=min(len(handles), columns), frameon=False, fontsize=8.5,
                  handletextpad=0.4, columnspacing=1.3, handlelength=1.2)  # fmt: skip


def _mark(shape: str, colour: str, label: str, face: str | None = None, size: float = 6) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker=shape, color=colour, markerfacecolor=face or colour, markersize=size,
                  label=label)  # fmt: skip


def _verdicts(decision: Decision) -> list[str]:
    verdicts = {judged.certificate.verdict for judged in decision.judged if judged.certificate is not None}
    return [verdict for verdict in COLOURS if verdict in verdicts]
