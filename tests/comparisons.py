"""Comparisons to choose from: made-up candidates beside the reference on the validation split."""

from __future__ import annotations

from parsimony.decision.chances import Comparison
from parsimony.decision.records import GateSettings

ROWS = 3000
GATES = GateSettings(metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0)


def compared(
    candidate: str, size: int, difference: float = 0.0, discordance: float = 0.0, *, rows: int = 1000
) -> Comparison:
    return Comparison(
        candidate=candidate,
        size_bytes=size,
        rows=rows,
        difference=difference,
        discordance=discordance,
        is_reference=candidate == "reference",
    )


REFERENCE = compared("reference", 90_000_000)


def ladder(count: int) -> list[Comparison]:
    """Return candidates of which each is half as large as the one before and less likely to be certified."""
    return [compared(f"c{i}", 80_000_000 >> i, -0.003 * (i - 1), 0.01) for i in range(1, count + 1)]
