"""Place the labels of a scatter plot so that none covers another one, a mark, or the edge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from parsimony.reporting.figures.svg import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels
Boxes = np.ndarray  # float [boxes, 4]
Horizontal = Literal["left", "right", "center"]
Vertical = Literal["bottom", "top", "center"]

RINGS = (9.0, 16.0, 24.0, 34.0, 46.0, 60.0)  # distances from the anchor, in points
NEAR = RINGS[:3]  # a whole name stands no further away: long lines across other marks tell less than a number
MARK = 5.0  # half the room that a mark needs, in points
WAYS = (90, 270, 0, 180, 60, 120, 300, 240, 30, 150, 330, 210)  # degrees around an anchor, the best first
FONT_SIZE, LINE_SPACING = 8.5, 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words for one mark; `anchors` are the points, in data units, from which they may hang."""

    anchors: tuple[Point, ...]
    text: str
    short: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where words may stand: at this offset in points from this anchor, with this box and this line to it."""

    anchor: Point
    offset: Point
    box: Box
    line: tuple[Box, ...]


def place_labels(axes: Axes, marks: Sequence[Point], labels: Sequence[Label], level: float) -> None:
    """Write the labels near their anchors, the first ones with the best places, none across the line at `level`.

    A label goes to the nearest free place, with a thin line to it when that is far; where the text finds none near
    by the short text is tried, and then nothing is written.
    """
    taken = _obstacles(axes, marks)
    for label in labels:
        for words, rings in ((label.text, NEAR), (label.short, RINGS)):
            places = _places(axes, label.anchors, words, rings)
            place = next((p for p in places if _free(p, taken) and _readable(axes, p.box, level)), None)
            if place is not None:
                taken = np.vstack((taken, place.box, *place.line))
                _write(axes, place, words)
                break


def _obstacles(axes: Axes, marks: Sequence[Point]) -> Boxes:
    half = MARK * _scale(axes)
    centres = [_pixels(axes, mark) for mark in marks]
    return np.array([_around(centre, half) for centre in centres]).reshape(-1, 4)


def _around(centre: Point, half: float) -> Box:
    return (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)


def _pixels(axes: Axes, point: Point) -> Point:
    x, y = axes.transData.transform(point)
    return float(x), float(y)


def _scale(axes: Axes) -> float:
    """Return the pixels of one point."""
    return float(axes.figure.dpi) / 72


def _places(axes: Axes, anchors: Sequence[Point], words: str, rings: Sequence[float]) -> Iterator[Place]:
    """Yield the places for the words, the nearest first: rings around every anchor."""
    extent, scale = _extent(axes, words), _scale(axes)
    starts = [(anchor, _pixels(axes, anchor)) for anchor in anchors]
    for ring in rings:
        for degrees in WAYS:
            for anchor, start in starts:
                angle = math.radians(degrees)
                offset = (round(ring * math.cos(angle), 6), round(ring * math.sin(angle), 6))
                end = (start[0] + offset[0] * scale, start[1] + offset[1] * scale)
                line = _line(start, end) if ring > RINGS[0] else ()
                yield Place(anchor=anchor, offset=offset, box=_box(end, offset, extent), line=line)


def _line(start: Point, end: Point) -> tuple[Box, ...]:
    """Return small boxes along the line that leads to far words, without the part at the mark itself."""
    steps = [0.5 + 0.1 * step for step in range(6)]
    points = [(start[0] + s * (end[0] - start[0]), start[1] + s * (end[1] - start[1])) for s in steps]
    return tuple(_around(point, 1.0) for point in points)


def _free(place: Place, taken: Boxes) -> bool:
    """Return whether neither the words nor their line touch what is taken."""
    ours = np.array((place.box, *place.line))[:, None, :]
    disjoint = (ours[..., 2:] <= taken[:, :2]) | (ours[..., :2] >= taken[:, 2:])
    return bool(disjoint.any(axis=-1).all())


def _readable(axes: Axes, box: Box, level: float) -> bool:
    """Return whether a box lies inside the axes and off the horizontal line at `level`."""
    frame, height = axes.get_window_extent(), _pixels(axes, (1.0, level))[1]
    inside = frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1
    return bool(inside) and not (box[1] < height + 1 and height - 1 < box[3])


def _alignment(offset: Point) -> tuple[Horizontal, Vertical]:
    dx, dy = offset
    horizontal: Horizontal = "left" if dx > 1 else "right" if dx < -1 else "center"
    vertical: Vertical = "center" if abs(dy) < 1 else "bottom" if dy > 0 else "top"
    return horizontal, vertical


def _box(at: Point, offset: Point, extent: Point) -> Box:
    (x, y), (width, height), (horizontal, vertical) = at, extent, _alignment(offset)
    left = {"left": x, "right": x - width, "center": x - width / 2}[horizontal]
    bottom = {"bottom": y, "top": y - height, "center": y - height / 2}[vertical]
    return (left - 1, bottom - 1, left + width + 1, bottom + height + 1)


def _extent(axes: Axes, words: str) -> tuple[float, float]:
    probe = axes.text(0, 0, words, fontsize=FONT_SIZE, linespacing=LINE_SPACING)
    box = probe.get_window_extent()
    probe.remove()
    return box.width, box.height


def _write(axes: Axes, place: Place, words: str) -> None:
    horizontal, vertical = _alignment(place.offset)
    line = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 5}
    axes.annotate(
        words,
        place.anchor,
        place.offset,
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        multialignment=horizontal,
        fontsize=FONT_SIZE,
        linespacing=LINE_SPACING,
        color=INK,
        arrowprops=line if place.line else None,
    )
