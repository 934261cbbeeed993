"""How often the procedure promotes a model that is really worse, and how often it finds one that is not: by simulation.

A world is a reference and some candidates with true rates of rows that only one of the two gets right. Validation and test
predictions are drawn from them, and the procedure runs on the counts: shortlist, shared level, exact paired test, smallest
certified. Beside it run, on the same worlds, three rules that are common elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.decision import exact_test, gates, procedure, stats
from parsimony.decision.certification import Tested, Tests
from parsimony.decision.chances import Comparison
from parsimony.decision.procedure import Case
from parsimony.decision.records import GateResult, GateSettings, OverChampion, Place, Score, Slice
from parsimony.decision.verdicts import Entry
from parsimony.measurement.records import Environment, Measurement, Quantile, TargetSettings

ROWS = (300, 1_000, 3_000, 10_000)
DISCORDANCES = (0.02, 0.05)
CANDIDATES = (1, 3, 10, 30)
GATES = GateSettings(metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=1.0, slice_floor=0.0)
RULES = ("parsimony", "greater or equal", "fixed drop", "smallest first")
_VALIDATION_SHARE = 0.33
_LARGEST = 90_000_000
REFERENCE, _REFERENCE_ACCURACY = "reference", 0.9
TARGET = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
_MILLISECOND = Quantile(value_ms=1.0, low_ms=1.0, high_ms=1.0)
# Every candidate is measured alike and no target sets a limit: what is simulated is quality.
_MEASUREMENT = Measurement(
    target="here",
    samples=500,
    p50=_MILLISECOND,
    p90=_MILLISECOND,
    p99=_MILLISECOND,
    throughput_per_s=1000.0,
    peak_rss_bytes=1,
    startup_s=0.1,
    noise=0.0,
    stable=True,
    environment=Environment(
        cpu="simulated",
        isa=(),
        cores=1,
        quota_cores=None,
        memory_bytes=1,
        governor=None,
        load_1m=0.0,
        platform="simulated",
        python="",
        versions=(),
        threads=1,
    ),
)


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
    rng = np.random.default_rng(seed)
    return [_cell(n, d, k, worlds, rng) for n in rows for d in discordances for k in candidates]


def _cell(rows: int, discordance: float, count: int, worlds: int, rng: np.random.Generator) -> Cell:
    false = dict.fromkeys(RULES, 0.0)
    certified = 0
    for equal in (False, True):
        wrong = dict.fromkeys(RULES, 0)
        for _ in range(worlds):
            promoted, good = _world(rows, discordance, count, rng, equal=equal)
            for rule, winner in promoted.items():
                wrong[rule] += winner is not None and winner != good
            certified += equal and promoted["parsimony"] == good
        false = {rule: max(false[rule], wrong[rule] / worlds) for rule in RULES}
    return Cell(
        rows=rows, discordance=discordance, candidates=count, worlds=worlds, false=false, power=certified / worlds
    )


def _world(
    rows: int, discordance: float, count: int, rng: np.random.Generator, *, equal: bool
) -> tuple[dict[str, int | None], int | None]:
    """Draw one world; return which candidate each rule promotes (None: none but the reference) and the good candidate."""
    margin = GATES.margin
    good = int(rng.integers(count)) if equal else None
    losses = np.full(count, margin)
    if good is not None:
        losses[good] = 0.0
    sizes = np.sort(rng.integers(100_000, _LARGEST, count))
    validation, test = (_draw(n, discordance, losses, rng) for n in (max(1, round(rows * _VALIDATION_SHARE)), rows))
    return {
        "parsimony": _procedure(sizes, validation, test, rows),
        "greater or equal": _first(test[:, 1] >= test[:, 0]),
        "fixed drop": _first(test[:, 0] - test[:, 1] <= margin * rows),
        "smallest first": _first(_passing(test, rows, stats.z_of(GATES.confidence))),
    }, good


def _draw(n: int, discordance: float, losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (only the reference right, only the candidate right) for each candidate, [candidates, 2]."""
    cells = np.column_stack(
        ((discordance + losses) / 2, (discordance - losses) / 2, np.full(len(losses), 1 - discordance))
    )
    return np.array([rng.multinomial(n, cell)[:2] for cell in np.clip(cells, 0.0, 1.0)])


def _procedure(sizes: np.ndarray, validation: np.ndarray, test: np.ndarray, rows: int) -> int | None:
    """Return the candidate that the project's own procedure promotes; None where that is the reference.

    sizes: bytes [candidates], ascending; validation, test: discordant counts [candidates, 2].
    """
    names = [REFERENCE, *(str(number) for number in range(len(sizes)))]  # numbered by size
    size_bytes = dict(zip(names, (_LARGEST, *map(int, sizes)), strict=True))
    case = Case(reference=REFERENCE, gates=GATES, targets=(TARGET,), test_rows=rows)
    ruling = procedure.decide(
        case,
        [_entry(name, size) for name, size in size_bytes.items()],
        [
            _comparison(name, size_bytes[name], counts, rows)
            for name, counts in zip(names, _counts(validation), strict=True)
        ],
        on_counts(dict(zip(names, _counts(test), strict=True)), rows, GATES),
    )
    return None if ruling.winner in (None, REFERENCE) else int(ruling.winner)


def _counts(drawn: np.ndarray) -> list[tuple[int, int]]:
    """Return the discordant counts of the reference, which differs from itself nowhere, and of every candidate."""
    return [(0, 0), *((int(b), int(c)) for b, c in drawn)]


def _comparison(name: str, size_bytes: int, counts: tuple[int, int], rows: int) -> Comparison:
    (b, c), n = counts, max(1, round(rows * _VALIDATION_SHARE))
    difference, discordance = (c - b) / n, (b + c) / n
    return Comparison(
        candidate=name,
        size_bytes=size_bytes,
        rows=n,
        difference=difference,
        discordance=discordance,
        is_reference=name == REFERENCE,
    )


def _entry(name: str, size_bytes: int) -> Entry:
    bundle = BuiltBundle(folder="", digest=name, size_bytes=size_bytes)
    candidate = Candidate(spec=ModelSpec(family=name, base=""))
    return Entry(candidate=candidate, predicted_bytes=size_bytes, bundle=bundle, measurements=(_MEASUREMENT,))


def on_counts(counts: Mapping[str, tuple[int, int]], rows: int, settings: GateSettings) -> Tests:
    """Return the tests that look discordant counts up, by name."""

    def candidate(name: str, position: int, level: float) -> Tested:
        (b, c), place = counts[name], Place(position=position, level=level)
        right = round(_REFERENCE_ACCURACY * rows) - b + c
        score = Score(n=rows, correct=right, accuracy=right / rows, macro_f1=right / rows)
        everybody = Slice(column="label", value="all", n=rows, right=right, lost=b, won=c)
        pair = gates.Pair(counts=(b, c), score=score, slices=(everybody,))
        floor = GateResult(gate="floor", verdict="pass", value=score.accuracy, limit=0.0, reason="no floor")
        if name == REFERENCE:
            return gates.certify_identical(pair, place), floor
        return gates.certify_counts(pair, settings, place), floor

    def gain(champion: str, name: str, tests: int) -> OverChampion:
        raise ValueError(f"a simulated world has no champion, found {champion} beside {name} in {tests} tests")

    return Tests(reference=REFERENCE, level=1 - settings.confidence, candidate=candidate, gain=gain)


def _passing(test: np.ndarray, rows: int, critical: float) -> np.ndarray:
    return -exact_test.scores(test[:, 0], test[:, 1], rows, GATES.margin) > critical


def _first(passing: np.ndarray) -> int | None:
    """Return the smallest candidate that passes; candidates are numbered by size."""
    places = np.flatnonzero(passing)
    return int(places[0]) if len(places) else None


def summary(cells: Sequence[Cell]) -> dict[str, object]:
    """Return the number of cells and worlds, the worst false-promotion rate with its bound, and the mean power.

    The bound is the upper 99.9 % limit of that cell's rate if the true one were 5 %: beyond it, rng is no excuse.
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
