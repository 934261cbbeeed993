"""The receipt: a decision as JSON, with every number that led to it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from parsimony.measurement_json import Json, to_json
from parsimony.readings import steps_to, worst_first
from parsimony.records import (
    Certificate,
    Cost,
    Dataset,
    Decision,
    GateResult,
    GateSettings,
    Judged,
    Score,
    TargetSettings,
)


def receipt(decision: Decision, *, version: str | None) -> Json:
    """Return the receipt of a decision; `version` is the registered version of the winner, None when there is none.

    Sizes are bytes, durations seconds or milliseconds as the keys say, ratios 0 to 1.
    """
    return {
        "outcome": decision.outcome,
        "reason": decision.reason,
        "model": decision.model,
        "run_id": decision.run_id,
        "started_at": decision.started_at,
        "seed": decision.seed,
        "winner": _winner(decision, version),
        "reference": _reference(decision),
        "candidates": [
            {**_candidate(judged), "steps": _steps(decision, judged), "slices": _slices(judged.certificate)}
            for judged in decision.judged
        ],
        "gates": _settings(decision.gates),
        "targets": [_target(target) for target in decision.targets],
        "data": _data(decision.dataset),
        "smallest_certifiable_margin": decision.smallest_certifiable_margin,
        "exposures": decision.exposures,
        "cost": _cost(decision.cost),
    }


def dumps(receipt: Mapping[str, object]) -> str:
    """Return the receipt as one line of strict JSON.

    ASCII only, because a line separator such as U+2028 inside a name would break the line for some readers.
    Raises ValueError when a number is not finite.
    """
    try:
        return json.dumps(receipt, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"the receipt holds a number that is not finite, expected only finite ones: {error}"
        ) from error


def _winner(decision: Decision, version: str | None) -> Json | None:
    if decision.winner is None:
        return None
    judged = decision.of(decision.winner)
    if judged.bundle is None:
        raise ValueError(f"winner {judged.candidate} has no bundle, expected one that was built and measured")
    return {
        "candidate": judged.candidate,
        "family": judged.family,
        "techniques": list(judged.techniques),
        "size_bytes": judged.bundle.size_bytes,
        "digest": judged.bundle.digest,
        "version": version,
    }


def _reference(decision: Decision) -> Json:
    judged = decision.of(decision.reference)
    return {
        "candidate": judged.candidate,
        "size_bytes": judged.bundle.size_bytes if judged.bundle else None,
        "search": _score(judged.search),
    }


def _candidate(judged: Judged) -> Json:
    return {
        "candidate": judged.candidate,
        "family": judged.family,
        "base": judged.base,
        "techniques": list(judged.techniques),
        "predicted_bytes": judged.predicted_bytes,
        "size_bytes": judged.bundle.size_bytes if judged.bundle else None,
        "digest": judged.bundle.digest if judged.bundle else None,
        "is_champion": judged.is_champion,
        "search": _score(judged.search),
        "certified": _certified(judged.certificate),
        "measurements": [to_json(m) for m in judged.measurements],
        "gates": [_gate(g) for g in judged.gates],
        "verdict": judged.verdict,
        "reason": judged.reason,
        "cost_s": judged.cost_s,
    }


def _steps(decision: Decision, judged: Judged) -> list[Json]:
    return [
        {"step": step.name, "quality": step.quality, "size_bytes": step.size_bytes}
        for step in steps_to(decision, judged)
    ]


def _slices(found: Certificate | None) -> list[Json]:
    return [] if found is None else [asdict(one) for one in worst_first(found.slices)]


def _score(score: Score | None) -> Json | None:
    if score is None:
        return None
    return {"n": score.n, "accuracy": score.accuracy, "macro_f1": score.macro_f1}


def _certified(found: Certificate | None) -> Json | None:
    if found is None:
        return None
    return {
        "n": found.n,
        "difference": found.difference,
        "lower_bound": found.lower_bound,
        "verdict": found.verdict,
        "accuracy": found.score.accuracy,
        "macro_f1": found.score.macro_f1,
        "correct": found.score.correct,
        "only_reference_right": found.only_reference_right,
        "only_candidate_right": found.only_candidate_right,
        "needed": found.needed,
        "position": found.position,
        "over_champion": found.over_champion,
    }


def _gate(result: GateResult) -> Json:
    # A gate that saw NaN did not pass; JSON has no NaN, so what it saw becomes null beside its verdict.
    return {
        "gate": result.gate,
        "verdict": result.verdict,
        "seen": result.seen if result.seen is not None and math.isfinite(result.seen) else None,
        "limit": result.limit,
        "reason": result.reason,
    }


def _settings(gates: GateSettings) -> Json:
    return {
        "metric": gates.metric,
        "margin": gates.margin,
        "confidence": gates.confidence,
        "floor": gates.floor,
        "slice_margin": gates.slice_margin,
        "slice_floor": gates.slice_floor,
        "underpowered": gates.underpowered,
    }


def _target(target: TargetSettings) -> Json:
    return {
        "name": target.name,
        "threads": target.threads,
        "p99_ms": target.p99_ms,
        "peak_rss_bytes": target.peak_rss_bytes,
        "size_bytes": target.size_bytes,
    }


def _data(dataset: Dataset) -> Json:
    return {
        "digest": dataset.digest,
        "labels": list(dataset.labels),
        "train": dataset.train,
        "search": dataset.search,
        "sealed": dataset.sealed,
        "sealed_digest": dataset.sealed_digest,
        "quarantined": len(dataset.quarantined),
        "quarantined_by_check": dict(sorted(Counter(f.check for f in dataset.quarantined).items())),
    }


def _cost(cost: Cost) -> Json:
    return {
        "wall_s": cost.wall_s,
        "stages": [{"stage": stage, "duration_s": duration_s} for stage, duration_s in cost.stages],
        "energy_wh": cost.energy_wh,
        "energy_source": cost.energy_source,
        "carbon_g": cost.carbon_g,
        "carbon_source": cost.carbon_source,
    }
