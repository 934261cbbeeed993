"""Axes that stay quiet: few ticks on a logarithmic scale, no frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from parsimony.reporting.figures.svg import Format

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_TICKS: dict[Format, int] = {"wide": 12, "narrow": 6}


def quiet(axes: Axes) -> None:
    """Take away frame and tick marks; the grid lies behind the data."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.set_axisbelow(True)


def ticks(span: tuple[float, float], shape: Format = "wide") -> list[float]:
    """Return 1, 2 and 5 times the powers of ten inside the range, or only the powers when there is no room for these."""
    low, high = span
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    return (
        fine
        if len(fine) <= MOST_TICKS[shape]
        else [t for t in fine if math.isclose(math.log10(t) % 1, 0, abs_tol=1e-9)]
    )


def log_ticks(axes: Axes, labels: Sequence[str], ticks: Sequence[float]) -> None:
    """Set the ticks of a logarithmic horizontal axis, and no others."""
    from matplotlib.ticker import NullLocator

    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, labels)
