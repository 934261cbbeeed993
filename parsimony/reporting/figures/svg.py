"""A matplotlib figure as SVG that stands inside a page: no address, no clip, colours that follow the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Format = Literal["wide", "narrow"]  # for a screen, for a phone

# matplotlib needs real colours; each stands for a custom property of the page, with a value that reads on both grounds.
INK, MUTED, RULE, PAPER = "#000001", "#000002", "#000003", "#000004"
PASS, FAIL, OPEN, BAND = "#000005", "#000006", "#000007", "#000008"
WIDTH_IN = 9.0
WIDTHS_IN: dict[Format, float] = {"wide": WIDTH_IN, "narrow": 4.6}
PROPERTIES = {
    INK: "var(--ink, #6f6f6f)",
    MUTED: "var(--muted, #7a7a7a)",
    RULE: "var(--rule, #b0b0b0)",
    PAPER: "var(--paper, #ffffff)",
    PASS: "var(--pass, #2b8a5e)",
    FAIL: "var(--fail, #cc4b3e)",
    OPEN: "var(--open, #a9760f)",
    BAND: "var(--reference, #4a7fc1)",
}
SETTINGS: dict[Any, object] = {  # matplotlib types its keys as 320 literals
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.linewidth": 0.8,
}


def inline_svg(name: str, description: str, draw: Callable[[], Figure]) -> str:
    """Draw with fixed settings and return the figure as one `<svg>` element.

    `name` salts the ids, so that two figures can stand in one page; equal figures give equal text.
    """
    import matplotlib

    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}):
        figure, buffer = draw(), io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _clean(root)
    _make_responsive(root, description)
    return ElementTree.tostring(root, encoding="unicode").replace("\n", " ")


def _clean(element: ElementTree.Element) -> None:
    element.tag = _local(element.tag)
    attributes = {_local(key): _themed(value) for key, value in element.attrib.items()}
    element.attrib.clear()
    element.attrib.update({k: v for k, v in attributes.items() if k != "clip-path" and not _group_id(element, k)})
    for child in list(element):
        if _local(child.tag) in ("metadata", "style", "clipPath"):
            element.remove(child)
        else:
            _clean(child)


def _group_id(element: ElementTree.Element, attribute: str) -> bool:
    # Groups are numbered alike in every figure; only the marks that <use> refers to have salted ids.
    return attribute == "id" and element.tag == "g"


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _themed(value: str) -> str:
    for colour, custom_property in PROPERTIES.items():
        value = value.replace(colour, custom_property)
    return value.replace("font-family: 'DejaVu Sans'", "font-family: inherit").replace("'DejaVu Sans'", "inherit")


def _make_responsive(root: ElementTree.Element, description: str) -> None:
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"role": "img", "aria-label": description, "stroke-linejoin": "round", "stroke-linecap": "butt"})
