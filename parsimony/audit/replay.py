"""Kept runs under today's rule and the one before, on their real predictions.

Every candidate of a run is asked about the test split here, those too that the run never tested: a look back, from which nothing
is promoted. What the runs kept beside their receipts serves for the validation split, the kept bundles for the test split.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from parsimony.audit.receipt import by_digest, case_of, entry_of
from parsimony.audit.rules import RULES, Trial
from parsimony.bundle.folder import describe
from parsimony.candidates import BuiltBundle
from parsimony.data.splits import Splits, read_splits
from parsimony.decision import procedure
from parsimony.decision.certification import on_predictions
from parsimony.decision.chances import chances
from parsimony.decision.records import Rules, Shift
from parsimony.measurement import uncertainty
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.measurement.uncertainty import Three
from parsimony.reporting.receipt import RECEIPT_FORMAT

READ = (2, RECEIPT_FORMAT)
ALONE = "alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A candidate's chance from the validation split, and whether the test split certifies it at the whole level."""

    candidate: str
    size_bytes: int
    chance: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One run again: whom each rule certifies that is smallest, and what it weighs; under `alone` the smallest that passes when
    it alone is tested at the whole level, which nobody could have known."""

    run: str
    model: str
    margin: float
    rows: tuple[int, int]
    shift: float
    new_words: float
    reference_bytes: int
    smallest: Mapping[str, tuple[str, int]]
    forecasts: tuple[Forecast, ...]


def runs_below(homes: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every kept run with its receipt, those of the same bundles and rows once."""
    known = set[str]()
    for receipt in sorted(path for home in homes for path in home.glob("runs/*/receipt.json")):
        paper = json.loads(receipt.read_text(encoding="utf-8"))
        if paper.get("format", 1) not in READ or not (receipt.parent / "data").is_dir():
            continue
        key = json.dumps(
            [paper["data"]["digest"], paper["gates"], sorted(c["digest"] or "" for c in paper["candidates"])]
        )
        if key not in known:
            known.add(key)
            yield receipt.parent, paper


def replay(folder: Path, paper: dict[str, Any], store: Path) -> Replay:
    """Judge a run's candidates by every rule; `store` keeps the predictions that are made for that."""
    splits, kept = read_splits(folder / "data"), by_digest([folder.parent.parent / "bundles"])
    case = case_of(paper, splits)
    entries = [entry_of(one, splits, folder, kept) for one in paper["candidates"] if one["digest"] in kept]
    bundles = {one["candidate"]: describe(kept[one["digest"]]) for one in paper["candidates"] if one["digest"] in kept}
    if "shift" not in paper:
        case = replace(case, shift=_shift(bundles[case.reference], splits))

    def predictions(name: str) -> np.ndarray:
        return predictions_of(bundles[name], splits.texts("test"), case.targets[0], store).classes

    truth = splits.truth("test")
    right = {name: predictions(name) == truth for name in bundles}
    trial = Trial(
        case=case,
        comparisons=procedure.compare(case, entries, splits.truth("validation")),
        tests=on_predictions(
            procedure.test_set(splits), predictions, case.reference, Rules(gates=case.gates, seed=paper["seed"])
        ),
        differences={name: right[name].astype(np.int8) - right[case.reference] for name in right},
    )
    forecasts = _forecasts(trial)
    certified = {name: rule(trial) for name, rule in RULES.items()}
    certified[ALONE] = [one.candidate for one in forecasts if one.passed]
    return Replay(
        run=folder.name,
        model=paper["model"],
        margin=case.gates.margin,
        rows=(len(splits.truth("validation")), case.test_rows),
        shift=case.shift.discordance,
        new_words=case.shift.new_words,
        reference_bytes=bundles[case.reference].size_bytes,
        smallest={rule: _smallest(names, bundles, case.reference) for rule, names in certified.items()},
        forecasts=forecasts,
    )


def _shift(reference: BuiltBundle, splits: Splits) -> Shift:
    discordance, new_words = uncertainty.shift(Path(reference.folder), Three.of(splits), threads=1)
    return Shift(discordance=discordance, new_words=new_words)


def _forecasts(trial: Trial) -> tuple[Forecast, ...]:
    known, sizes = (
        chances(trial.comparisons, trial.case.question),
        {c.candidate: c.size_bytes for c in trial.comparisons},
    )
    whole = trial.tests.level
    return tuple(
        Forecast(
            candidate=name,
            size_bytes=sizes[name],
            chance=chance,
            passed=trial.tests.candidate(name, 1, whole)[0].verdict == "pass",
        )
        for name, chance in known.items()
        if name != trial.case.reference
    )


def _smallest(names: Sequence[str], bundles: Mapping[str, BuiltBundle], reference: str) -> tuple[str, int]:
    name = min(names, key=lambda one: bundles[one].size_bytes, default=reference)
    return name, bundles[name].size_bytes


def page(replays: Sequence[Replay]) -> str:
    """Return the page: one line a run, then how good the chances were."""
    rules = [*RULES, ALONE]
    head = "| model | margin | rows (validation, test) | shift | new words | reference | " + " | ".join(rules) + " |"
    lines = [head, "|---|---:|---:|---:|---:|" + "---:|" * (len(rules) + 1)]
    for one in replays:
        sizes = " | ".join(f"{one.smallest[rule][1] / 1e6:.2f}" for rule in rules)
        rows = f"{one.rows[0]:,}, {one.rows[1]:,}"
        lines.append(
            f"| {one.model} | {one.margin:g} | {rows} | {one.shift:.2f} | {one.new_words:.3f} | {one.reference_bytes / 1e6:.2f} | {sizes} |"
        )
    forecasts = [(forecast.chance, forecast.passed) for one in replays for forecast in one.forecasts]
    return _PAGE.format(
        runs=len(replays), table="\n".join(lines), candidates=len(forecasts), calibration=calibration(forecasts)
    )


def calibration(forecasts: Sequence[tuple[float, bool]]) -> str:
    """Return a Markdown table: of candidates given such a chance, how many there are, the mean chance, and how many pass."""
    lines = ["| chance | candidates | mean chance | passed |", "|---|---:|---:|---:|"]
    edges = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
    for low, high in itertools.pairwise(edges):
        here = [(chance, passed) for chance, passed in forecasts if low <= chance < high or chance == high == 1.0]
        if here:
            chance, passed = (100 * float(np.mean(column)) for column in zip(*here, strict=True))
            lines.append(f"| {100 * low:.0f} to {100 * high:.0f} % | {len(here):,} | {chance:.0f} % | {passed:.0f} % |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Replay the runs of the homes named, write the page to the file named first, and print one JSON line."""
    path, store, *homes = (Path(argument) for argument in arguments)
    replays = [replay(folder, paper, store) for folder, paper in runs_below(homes)]
    path.write_text(page(replays), encoding="utf-8")
    sizes = {rule: [one.smallest[rule][1] for one in replays] for rule in (*RULES, ALONE)}
    sys.stdout.write(json.dumps({"runs": len(replays), "size_bytes": sizes}) + "\n")
    return 0 if replays else 1


_PAGE = """# Replay of kept runs

`make replay HOMES="..."` wrote this page from {runs} kept runs. Each run's candidates are judged again by today's rule (*shared*) and by the
others of [the simulation](simulation.md), on their real validation and test predictions. The numbers are megabytes of the smallest
candidate that a rule certifies, by quality alone; *alone* is the smallest one that passes when only it is tested, which nobody can know
before. *Shift* is how much less sure the reference is of the test texts, *new words* how much
more of them hold a token that training never held; no label is read for either.

{table}

Of the {candidates} candidates, those given a chance on the validation split passed the test at the whole level so often:

{calibration}
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
