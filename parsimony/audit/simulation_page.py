"""The page of the simulation: its table, and the program that writes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from parsimony.audit.simulation import GATES, RULES, Cell, simulate, summary


def table(cells: Sequence[Cell]) -> str:
    """Return the cells as a Markdown table, in percent."""
    head = "| test rows | discordance | candidates | " + " | ".join(f"false: {rule}" for rule in RULES) + " | power |"
    lines = [head, "|" + "---:|" * (len(RULES) + 4)]
    for cell in cells:
        rates = " | ".join(f"{100 * cell.false[rule]:.1f}" for rule in RULES)
        lines.append(
            f"| {cell.rows:,} | {100 * cell.discordance:g} | {cell.candidates} | {rates} | {100 * cell.power:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Simulate, write page and figure to the file named, print one JSON line; 1 when the level is not kept."""
    from parsimony.audit.simulation_figure import simulated

    worlds, path = int(arguments[0]), Path(arguments[1])
    cells, drawing = simulate(worlds), path.with_suffix(".svg")
    drawing.write_text(simulated(cells, 1 - GATES.confidence), encoding="utf-8")
    path.write_text(_PAGE.format(worlds=worlds, figure=drawing.name, table=table(cells)), encoding="utf-8")
    result = summary(cells)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["holds"] else 1


_PAGE = """# Simulation of the promise

`make simulate` wrote this page: {worlds:,} worlds of each kind per cell, margin 0.01, confidence 0.95; the validation split has a third as many rows as
the test split. In the worlds of the first kind every candidate loses just the margin, in those of the second one
candidate is equal to the reference. *False*: a model is promoted that is really worse by the margin, in the worse of the two
kinds, in percent of worlds. *Power*: the equal candidate is found and certified. "Greater or equal" and "fixed drop" compare two
accuracies, as most systems do; "smallest first" tests from the smallest upwards and takes the first that passes.

![False promotions and power, by candidates and test rows]({figure})

In the figure each rule's rate is the worst over the discordances, the power the mean; the dashed line is the promise.

{table}"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
