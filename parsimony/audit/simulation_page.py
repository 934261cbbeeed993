"""The page of the simulation: its tables, and the program that writes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from parsimony.audit.ladder_simulation import KNOWN, LadderCell, simulate_ladders
from parsimony.audit.replay import calibration
from parsimony.audit.rules import RULES as LADDER_RULES
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


def ladder_table(cells: Sequence[LadderCell]) -> str:
    """Return the cells of ladders: for each rule the mean saving, its 10th percentile, and false certificates in percent."""
    names = [*LADDER_RULES, KNOWN]
    lines = [
        "| test rows | margin | test split | " + " | ".join(names) + " |",
        "|---:|---:|---|" + "---:|" * len(names),
    ]
    for cell in cells:
        entries = " | ".join(_entry(cell, name) for name in names)
        lines.append(f"| {cell.setting.rows:,} | {cell.setting.margin:g} | {kind(cell)} | {entries} |")
    return "\n".join(lines) + "\n"


def kind(cell: LadderCell) -> str:
    """Say in a word how the test split of a cell differs from the validation split."""
    if cell.setting.new_words:
        return "harder, new words"
    return "harder" if cell.setting.shifted else "as validation"


def _entry(cell: LadderCell, name: str) -> str:
    saving = cell.savings[name]
    false = f"; {100 * cell.false[name]:.1f} %" if name in cell.false else ""
    return f"{saving.mean():.1f} ({np.quantile(saving, 0.1):.1f}){false}"


def ladder_summary(cells: Sequence[LadderCell]) -> dict[str, object]:
    """Return the worst rate of false certificates with its bound, and the mean saving over the rule of format 2."""
    level = 1 - GATES.confidence
    worst = max(cells, key=lambda cell: cell.false["shared"])
    bound = level + 3.09 * (level * (1 - level) / worst.worlds) ** 0.5
    gains = [float(cell.savings["shared"].mean() / cell.savings["fixed sequence"].mean()) for cell in cells]
    shifted = [gain for cell, gain in zip(cells, gains, strict=True) if cell.setting.shifted]
    return {
        "ladder_cells": len(cells),
        "worst_false_certificates": worst.false["shared"],
        "ladder_bound": round(bound, 5),
        "mean_gain_with_shift": round(float(np.mean(shifted)), 3) if shifted else None,
        "least_gain": round(min(gains), 3),
        "ladders_hold": worst.false["shared"] <= bound,
    }


def main(arguments: Sequence[str]) -> int:
    """Simulate, write page and figures to the file named, print one JSON line; 1 when the level is not kept."""
    from parsimony.audit.simulation_figure import simulated, simulated_ladders

    worlds, path = int(arguments[0]), Path(arguments[1])
    cells, climbed, drawing = simulate(worlds), simulate_ladders(worlds), path.with_suffix(".svg")
    savings = path.with_name(f"{path.stem}-ladders.svg")
    drawing.write_text(simulated(cells, 1 - GATES.confidence), encoding="utf-8")
    savings.write_text(simulated_ladders(climbed), encoding="utf-8")
    result = {**summary(cells), **ladder_summary(climbed)}
    forecasts = [forecast for cell in climbed for forecast in cell.forecasts]
    text = _PAGE.format(
        worlds=climbed[0].worlds,
        alone=cells[0].worlds,
        figure=drawing.name,
        savings=savings.name,
        table=table(cells),
        ladders=ladder_table(climbed),
        calibration=calibration(forecasts),
        gain=result["mean_gain_with_shift"],
        least=result["least_gain"],
        bound=result["ladder_bound"],
    )
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["holds"] and result["ladders_hold"] else 1


_PAGE = """# Simulation of the promise

`make simulate` wrote this page. In no cell is anything truly worse certified more often than a rate of 5 % explains: in so few worlds as here up to
{bound:.1%} of them ([why it is 5 % at most](../concepts/method.md#one-decision-by-hand)). On ladders as they are the
shared level saves {gain} times what one fixed sequence saved, on the mean over the cells with a harder test split, and {least} times in its worst cell;
no rule comes near to knowing the truth, because the test rows do not say enough.

## Ladders as they are
{worlds:,} worlds of each kind per cell, confidence 0.95. Fourteen candidates of mixed kinds answer the same rows: quantised after training, distilled,
linear, with the whole vocabulary or a trimmed one; the reference is 91 MB. The validation split has a third as many rows as the test split. A *harder* test
split has 1.2 to 2.2 times as many hard rows, on which alone models differ; its shift is known with an error of 20 %. *New words* harm every trimmed
candidate, and the validation split shows a tenth of that.

Each entry is the mean of the reference's bytes over the winner's, in brackets its 10th percentile, then the share of worlds in which anything truly
worse is certified, in the worst of three kinds of worlds: losses as they are, all candidates at just the margin, every other one at it.

- *shared* is what Parsimony does: the level is shared among several starts, by the saving that the validation split lets expect.
- *fixed sequence* is the rule of receipts of format 2. *better order* is one sequence too, chosen by today's chances; *equal shares* gives its members
  equal parts of the level.
- *step-down* (Romano and Wolf 2005) tests all at once with the correlations that the test rows show, as if the statistics were normal. It holds the level
  in large samples only; nobody has shown a small-sample bound for a loss of just the margin, so it is shown and not used.

{ladders}
![Mean saving of each rule, by kind of ladder]({savings})

In the figure a dot is a mean, the line below it reaches to the 10th percentile.

**Calibration.** Of candidates given a chance on the validation split, this share passed the test at the whole level:

{calibration}

## Candidates drawn alone
{alone:,} worlds of each kind per cell, margin 0.01, confidence 0.95. In the worlds of the first kind every candidate loses just the margin, in those of
the second one candidate is equal to the reference. *False*: a model is promoted that is really worse by the margin, in the worse of the two
kinds, in percent of worlds. *Power*: the equal candidate is found and certified. "Greater or equal" and "fixed drop" compare two
accuracies, as most systems do; "smallest first" tests from the smallest upwards and takes the first that passes.

![False promotions and power, by candidates and test rows]({figure})

In the figure each rule's rate is the worst over the discordances, the power the mean; the dashed line is the promise.

{table}"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
