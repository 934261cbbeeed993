"""Numbers as people read them: sizes, ratios, differences, times. Arithmetic and strings only."""

from __future__ import annotations

import math

from parsimony.errors import UNSAFE as UNSAFE
from parsimony.errors import printable as printable

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def significant(value: float, digits: int = 3) -> str:
    """Return a number with this many significant digits and no exponent: 91.03 -> 91.0, 0.0712 -> 0.0712."""
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits - 1}e}")
    if rounded == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}".replace("-", MINUS)


def plain(value: float) -> str:
    """Return a setting as it was written, without trailing zeros: 20.0 -> 20, 0.0100 -> 0.01."""
    return f"{value:,.6g}".replace("-", MINUS)


def size(size_bytes: int | None, digits: int = 3) -> str:
    """Return a size in GB, MB or kB (powers of ten); kB below 0.1 MB, a dash for an unknown size."""
    if size_bytes is None:
        return NONE
    if size_bytes >= 1_000_000_000:
        return f"{significant(size_bytes / 1e9, digits)} GB"
    if size_bytes >= 100_000:
        return f"{significant(size_bytes / 1e6, digits)} MB"
    return f"{significant(size_bytes / 1e3, digits)} kB"


def milliseconds(value_ms: float | None, digits: int = 3) -> str:
    """Return a latency in ms, in seconds from ten seconds on, a dash when unknown."""
    if value_ms is None:
        return NONE
    if value_ms >= 10_000:
        return f"{significant(value_ms / 1000, digits)} s"
    return f"{bare_milliseconds(value_ms, digits)} ms"


def bare_milliseconds(value_ms: float | None, digits: int = 3) -> str:
    """Return a latency without its unit; the third digit below 0.1 ms is noise and left out."""
    if value_ms is None:
        return NONE
    return significant(value_ms, digits if value_ms >= 0.1 else 2)


def duration(seconds: float) -> str:
    """Return a duration the way one says it: 2.4 s, 38 s, 4 min 12 s, 1 h 05 min."""
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def ratio(value: float | None) -> str:
    """Return a quality between 0 and 1 with four decimals, a dash when unknown."""
    return NONE if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """Return a difference with its sign and four decimals; an exact zero has no sign."""
    if value is None:
        return NONE
    text = f"{value:+.4f}"
    return "0.0000" if float(text) == 0 else text.replace("-", MINUS)


def times(value: float | None) -> str:
    """Return a factor: 24.3×, 411×; a dash when unknown."""
    if value is None:
        return NONE
    return f"{significant(value, 3 if value >= 10 else 2)}×"


def percent(value: float) -> str:
    """Return a confidence for people: 0.95 -> 95 %."""
    return f"{significant(100 * value, 3).removesuffix('.0')} %"


def count(value: int) -> str:
    """Return a whole number with thousands separators: 3,080."""
    return f"{value:,}"


def counted(value: float, noun: str) -> str:
    """Return a number with its noun, which gets an s for every number but one: 1 core, 2 cores."""
    number = count(int(value)) if value == int(value) else plain(value)
    return f"{number} {noun}{'' if value == 1 else 's'}"


def megabytes(size_bytes: int, digits: int = 3) -> str:
    """Return a size in MB for a column of sizes, without unit and separators: 0.221, 3.74, 91.0, 1320."""
    return significant(size_bytes / 1e6, digits if size_bytes >= 100_000 else 1).replace(",", "")


def clip(text: str, limit: int) -> str:
    """Return the text on one line, cut to `limit` characters with an ellipsis."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def shorten(text: str, limit: int) -> str:
    """Return the text on one line, its middle left out where it is longer than `limit` characters."""
    line = " ".join(printable(text).split())
    if len(line) <= limit:
        return line
    tail = (limit - 1) // 2
    return f"{line[: limit - 1 - tail]}…{line[-tail:]}"
