"""What each rule promotes on ladders as they are: how often something truly worse, and how much is saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parsimony.audit import ladders
from parsimony.audit.ladders import REFERENCE_BYTES, Setting, Truth, World
from parsimony.audit.rules import RULES, Rule, Trial
from parsimony.audit.simulation import REFERENCE, TARGET, on_counts
from parsimony.decision.chances import Comparison, chances
from parsimony.decision.procedure import Case
from parsimony.decision.records import GateSettings

SETTINGS = (
    Setting(rows=1_000, margin=0.02, shifted=False),
    Setting(rows=3_000, margin=0.01, shifted=False),
    Setting(rows=1_000, margin=0.02, shifted=True),
    Setting(rows=3_000, margin=0.01, shifted=True),
    Setting(rows=10_000, margin=0.01, shifted=True),
    Setting(rows=1_500, margin=0.02, shifted=True, new_words=True),
    Setting(rows=3_000, margin=0.01, shifted=True, new_words=True),
    Setting(rows=4_500, margin=0.01, shifted=True, new_words=True),
)
KNOWN = "the truth known"
_CONFIDENCE = 0.95
_TRUTHS: tuple[Truth, ...] = ("nature", "boundary", "mixed")
# A candidate's chance, and whether the test split then certified it at the whole level.
Forecast = tuple[float, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderCell:
    """One setting and what came of it, per rule.

    `false` is the share of worlds in which anything truly worse was certified, in the worst of the three kinds of truth;
    `savings` are the reference's bytes over the winner's, in each world of nature; `forecasts` say how good the chances were.
    """

    setting: Setting
    worlds: int
    false: Mapping[str, float]
    savings: Mapping[str, np.ndarray]
    forecasts: tuple[Forecast, ...]


def simulate_ladders(
    worlds: int, settings: Sequence[Setting] = SETTINGS, rules: Mapping[str, Rule] = RULES, seed: int = 0
) -> list[LadderCell]:
    """Return one cell for each setting, with so many worlds of each kind of truth."""
    return [
        _cell(setting, worlds, rules, np.random.default_rng((seed, place))) for place, setting in enumerate(settings)
    ]


def _cell(setting: Setting, worlds: int, rules: Mapping[str, Rule], rng: np.random.Generator) -> LadderCell:
    wrong = {truth: Counter[str]() for truth in _TRUTHS}
    savings: dict[str, list[float]] = {name: [] for name in (*rules, KNOWN)}
    forecasts: list[Forecast] = []
    for truth in _TRUTHS:
        for _ in range(worlds):
            world = ladders.draw(setting, truth, rng)
            trial = _trial(world, setting)
            good = [place for place, loss in enumerate(world.losses) if loss < setting.margin - 1e-12]
            for name, rule in rules.items():
                certified = [int(one) for one in rule(trial)]
                wrong[truth][name] += not set(certified) <= set(good)
                if truth == "nature":
                    savings[name].append(_saving(world, certified))
            if truth == "nature":
                savings[KNOWN].append(_saving(world, good))
                forecasts += _forecasts(trial)
    false = {name: max(wrong[truth][name] for truth in _TRUTHS) / worlds for name in rules}
    kept = {name: np.array(values) for name, values in savings.items()}
    return LadderCell(setting=setting, worlds=worlds, false=false, savings=kept, forecasts=tuple(forecasts))


def _saving(world: World, certified: Sequence[int]) -> float:
    return REFERENCE_BYTES / min((int(world.size_bytes[place]) for place in certified), default=REFERENCE_BYTES)


def _trial(world: World, setting: Setting) -> Trial:
    gates = GateSettings(
        metric="accuracy",
        margin=setting.margin,
        confidence=_CONFIDENCE,
        floor=0.0,
        slice_margin=1.0,
        slice_floor=0.0,
    )
    case = Case(reference=REFERENCE, gates=gates, targets=(TARGET,), test_rows=setting.rows, shift=world.shift)
    names = [str(place) for place in range(len(world.size_bytes))]
    test = {name: (int(b), int(c)) for name, (b, c) in zip(names, ladders.counts(world.test), strict=True)}
    return Trial(
        case=case,
        comparisons=_comparisons(world, setting),
        tests=on_counts({REFERENCE: (0, 0), **test}, setting.rows, gates),
        differences=dict(zip(names, world.test, strict=True)),
    )


def _comparisons(world: World, setting: Setting) -> list[Comparison]:
    rows = setting.validation_rows
    comparisons = [
        Comparison(
            candidate=str(place),
            size_bytes=int(world.size_bytes[place]),
            rows=rows,
            difference=float(c - b) / rows,
            discordance=float(b + c) / rows,
            kind=ladders.KINDS[place],
            trimmed=bool(ladders.TRIMMED[place]),
        )
        for place, (b, c) in enumerate(ladders.counts(world.validation))
    ]
    reference = Comparison(
        candidate=REFERENCE, size_bytes=REFERENCE_BYTES, rows=rows, difference=0.0, discordance=0.0, is_reference=True
    )
    return [reference, *comparisons]


def _forecasts(trial: Trial) -> list[Forecast]:
    known = chances(trial.comparisons, trial.case.question)
    return [
        (chance, trial.tests.candidate(name, 1, trial.tests.level)[0].verdict == "pass")
        for name, chance in known.items()
        if name != REFERENCE
    ]
