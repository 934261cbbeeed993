"""The figure of the simulation: how often each rule promotes a worse model, and how often an equal one is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from parsimony.reporting.figures.axes import log_ticks, quiet
from parsimony.reporting.figures.svg import BAND, FAIL, INK, MUTED, OPEN, PASS, RULE, WIDTH_IN, inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from parsimony.audit.ladder_simulation import LadderCell
    from parsimony.audit.simulation import Cell


# One line: a name, its colour, and the share of worlds for each number of candidates.
Line = tuple[str, str, Mapping[int, float]]

_SAVINGS = (1, 3, 10, 30, 100)
_LADDER_COLOURS = {
    "fixed sequence": FAIL,
    "equal shares": BAND,
    "step-down": OPEN,
    "shared": PASS,
    "the truth known": INK,
}
_COLOURS = {"parsimony": PASS, "greater or equal": OPEN, "fixed drop": FAIL, "smallest first": BAND}


def simulated(cells: Sequence[Cell], level: float) -> str:
    """Return the figure as the text of an SVG file; `level` is the rate of false promotions that was promised."""
    description = "rates of false promotion of four rules and the power of the first, by candidates and test rows"
    drawn = inline_svg("simulation", description, lambda: _figure(cells, level))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1) + "\n"


def simulated_ladders(cells: Sequence[LadderCell]) -> str:
    """Return the savings on ladders as the text of an SVG file: for each cell and rule the mean, down to the 10th percentile."""
    description = "mean saving of each rule on simulated ladders, down to the 10th percentile"
    drawn = inline_svg("ladders", description, lambda: _ladders(cells))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ', 1) + "\n"


def _ladders(cells: Sequence[LadderCell]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(WIDTH_IN, 3.4), layout="constrained")
    axes: Axes = figure.subplots()
    for place, (name, colour) in enumerate(_LADDER_COLOURS.items()):
        spots = [number + 0.16 * (place - (len(_LADDER_COLOURS) - 1) / 2) for number in range(len(cells))]
        means = [float(cell.savings[name].mean()) for cell in cells]
        axes.vlines(
            spots, [float(np.quantile(cell.savings[name], 0.1)) for cell in cells], means, colour, linewidth=1.4
        )
        axes.plot(spots, means, "o", color=colour, label=name, markersize=4.5)
    axes.set_yscale("log")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(_SAVINGS, [f"{saving}" for saving in _SAVINGS])
    axes.set_xticks(range(len(cells)), [_name_of(cell) for cell in cells], fontsize=8)
    axes.set_ylabel("reference's bytes over the winner's")
    axes.grid(axis="y", color=RULE, linewidth=0.4)
    quiet(axes)
    figure.legend(loc="outside lower center", ncols=len(_LADDER_COLOURS), frameon=False, columnspacing=1.2)
    return figure


def _name_of(cell: LadderCell) -> str:
    what = "harder,\nnew words" if cell.setting.new_words else "harder" if cell.setting.shifted else "as validation"
    return f"{cell.setting.rows:,}\n{what}"


def _figure(cells: Sequence[Cell], level: float) -> Figure:
    from matplotlib.figure import Figure

    sizes = sorted({cell.rows for cell in cells})
    figure = Figure(figsize=(WIDTH_IN, 3.2), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, rows in zip(panels, sizes, strict=True):
        _panel(axes, [cell for cell in cells if cell.rows == rows], level)
        axes.set_title(f"{rows:,} test rows", color=INK, fontsize=9.5)
    panels[0].set_ylabel("percent of worlds")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, columnspacing=1.2)
    return figure


def _panel(axes: Axes, cells: Sequence[Cell], level: float) -> None:
    counts = sorted({cell.candidates for cell in cells})
    for name, colour, rates in _lines(cells, counts):
        style = (0, (1, 1.5)) if colour == INK else "solid"
        axes.plot(counts, [100 * rates[k] for k in counts], color=colour, label=name, linestyle=style, linewidth=1.8)
    axes.axhline(100 * level, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    log_ticks(axes, [f"{k}" for k in counts], counts)
    axes.set_xlabel("candidates")
    axes.grid(axis="y", color=RULE, linewidth=0.4)
    quiet(axes)


def _lines(cells: Sequence[Cell], counts: Sequence[int]) -> list[Line]:
    """Return each rule's worst rate over the discordances, and the power, their mean over them."""
    here = {k: [cell for cell in cells if cell.candidates == k] for k in counts}
    rules: list[Line] = [
        (f"false: {rule}", colour, {k: max(cell.false[rule] for cell in here[k]) for k in counts})
        for rule, colour in _COLOURS.items()
    ]
    power: Line = ("power of parsimony", INK, {k: float(np.mean([cell.power for cell in here[k]])) for k in counts})
    return [*rules, power]
