"""How often the procedure promotes a model that is really worse, and how often it finds one that is not: by simulation.

A world is a reference and some candidates with true rates of rows that only one of the two gets right. Search and sealed
answers are drawn from them, and the procedure runs on the counts: shortlist, fixed sequence, exact paired test, smallest
certified. Beside it run, on the same worlds, three rules that are common elsewhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parsimony import exact, selection, stats
from parsimony.records import GateSettings

ROWS = (300, 1_000, 3_000, 10_000)
DISCORDANCES = (0.01, 0.02, 0.05, 0.10)
CANDIDATES = (1, 3, 10, 30)
GATES = GateSettings(metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=1.0, slice_floor=0.0)
RULES = ("parsimony", "greater or equal", "fixed drop", "smallest first")
_SEARCH_SHARE = 0.33
_LARGEST = 90_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One setting and what came of it. Rates are shares of worlds.

    `false` is the rate of promotions of a truly worse candidate, in the worse of two kinds of worlds (every candidate
    loses just the margin; one is equal to the reference), per rule; `power` that of worlds with an equal candidate in
    which it is certified by the procedure.
    """

    rows: int
    discordance: float
    candidates: int
    worlds: int
    false: dict[str, float]
    power: float


def simulate(
    worlds: int,
    rows: Sequence[int] = ROWS,
    discordances: Sequence[float] = DISCORDANCES,
    candidates: Sequence[int] = CANDIDATES,
    seed: int = 0,
) -> list[Cell]:
    """Return one cell per combination; discordances are shares of rows, at least the margin."""
    chance = np.random.default_rng(seed)
    return [_cell(n, d, k, worlds, chance) for n in rows for d in discordances for k in candidates]


def _cell(rows: int, discordance: float, count: int, worlds: int, chance: np.random.Generator) -> Cell:
    false = dict.fromkeys(RULES, 0.0)
    found = 0
    for equal in (False, True):
        wrong = dict.fromkeys(RULES, 0)
        for _ in range(worlds):
            promoted, good = _world(rows, discordance, count, chance, equal=equal)
            for rule, winner in promoted.items():
                wrong[rule] += winner is not None and winner != good
            found += equal and promoted["parsimony"] == good
        false = {rule: max(false[rule], wrong[rule] / worlds) for rule in RULES}
    return Cell(rows=rows, discordance=discordance, candidates=count, worlds=worlds, false=false, power=found / worlds)


def _world(
    rows: int, discordance: float, count: int, chance: np.random.Generator, *, equal: bool
) -> tuple[dict[str, int | None], int | None]:
    """Draw one world; return whom each rule promotes (None: nobody but the reference) and the good candidate."""
    margin = GATES.margin
    good = int(chance.integers(count)) if equal else None
    losses = np.full(count, margin)
    if good is not None:
        losses[good] = 0.0
    sizes = np.sort(chance.integers(100_000, _LARGEST, count))
    searched, sealed = (_draw(n, discordance, losses, chance) for n in (max(1, round(rows * _SEARCH_SHARE)), rows))
    return {
        "parsimony": _procedure(sizes, searched, sealed, rows),
        "greater or equal": _first(sealed[:, 1] >= sealed[:, 0]),
        "fixed drop": _first(sealed[:, 0] - sealed[:, 1] <= margin * rows),
        "smallest first": _first(_passing(sealed, rows, stats.z_of(GATES.confidence))),
    }, good


def _draw(n: int, discordance: float, losses: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return (only the reference right, only the candidate right) for each candidate, [candidates, 2]."""
    cells = np.column_stack(
        ((discordance + losses) / 2, (discordance - losses) / 2, np.full(len(losses), 1 - discordance))
    )
    return np.array([chance.multinomial(n, cell)[:2] for cell in np.clip(cells, 0.0, 1.0)])


def _procedure(sizes: np.ndarray, searched: np.ndarray, sealed: np.ndarray, rows: int) -> int | None:
    """Return the smallest candidate that the project's own selection and test certify."""
    n = max(1, round(rows * _SEARCH_SHARE))
    reference = selection.Searched(
        candidate="reference", size_bytes=_LARGEST, rows=n, difference=0.0, discordance=0.0, is_reference=True
    )
    entries = [
        selection.Searched(
            candidate=str(i),
            size_bytes=int(size),
            rows=n,
            difference=float(c - b) / n,
            discordance=float(b + c) / n,
        )
        for i, (size, (b, c)) in enumerate(zip(sizes, searched, strict=True))
    ]
    passing = _passing(sealed, rows, exact.critical_value(rows, GATES.margin, GATES.confidence))
    winner = None
    for name in selection.shortlist((reference, *entries), rows, GATES).order[1:]:
        if not passing[int(name)]:
            break
        winner = int(name) if winner is None else min(winner, int(name))  # numbered by size
    return winner


def _passing(sealed: np.ndarray, rows: int, critical: float) -> np.ndarray:
    return -exact.scores(sealed[:, 0], sealed[:, 1], rows, GATES.margin) > critical


def _first(passing: np.ndarray) -> int | None:
    """Return the smallest candidate that passes; candidates are numbered by size."""
    places = np.flatnonzero(passing)
    return int(places[0]) if len(places) else None


def summary(cells: Sequence[Cell]) -> dict[str, object]:
    """Return the number of cells and worlds, the worst false-promotion rate with its bound, and the mean power.

    The bound is the upper 99.9 % limit of that cell's rate if the true one were 5 %: beyond it, chance is no excuse.
    """
    worst = max(cells, key=lambda cell: cell.false["parsimony"])
    level = 1 - GATES.confidence
    bound = level + 3.09 * (level * (1 - level) / worst.worlds) ** 0.5
    return {
        "cells": len(cells),
        "worlds": sum(2 * cell.worlds for cell in cells),
        "worst_false_promotion_rate": worst.false["parsimony"],
        "bound": round(bound, 5),
        "mean_power": round(float(np.mean([cell.power for cell in cells])), 4),
        "holds": worst.false["parsimony"] <= bound,
    }


def table(cells: Sequence[Cell]) -> str:
    """Return the cells as a Markdown table, in percent."""
    head = "| rows | apart | candidates | " + " | ".join(f"false: {rule}" for rule in RULES) + " | power |"
    lines = [head, "|" + "---:|" * (len(RULES) + 4)]
    for cell in cells:
        rates = " | ".join(f"{100 * cell.false[rule]:.1f}" for rule in RULES)
        lines.append(
            f"| {cell.rows:,} | {100 * cell.discordance:g} | {cell.candidates} | {rates} | {100 * cell.power:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Simulate, write page and figure to the file named, print one JSON line; 1 when the level is not kept."""
    from parsimony.plot_simulation import simulated

    worlds, path = int(arguments[0]), Path(arguments[1])
    cells, drawing = simulate(worlds), path.with_suffix(".svg")
    drawing.write_text(simulated(cells, 1 - GATES.confidence), encoding="utf-8")
    path.write_text(_PAGE.format(worlds=worlds, figure=drawing.name, table=table(cells)), encoding="utf-8")
    found = summary(cells)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["holds"] else 1


_PAGE = """# Simulation of the promise

`make simulate` wrote this page: {worlds:,} worlds of each kind per cell, margin 0.01, confidence 0.95; a third as many rows to
choose on as are sealed. In the worlds of the first kind every candidate loses just the margin, in those of the second one
candidate is equal to the reference. *False*: a model is promoted that is really worse by the margin, in the worse of the two
kinds, in percent of worlds. *Power*: the equal candidate is found and certified. "Greater or equal" and "fixed drop" compare two
accuracies, as most systems do; "smallest first" tests from the smallest upwards and takes the first that passes.

![False promotions and power, by candidates and sealed rows]({figure})

In the figure each rule's rate is the worst over the shares of rows answered apart, the power the mean; the dashed line is the promise.

{table}"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
