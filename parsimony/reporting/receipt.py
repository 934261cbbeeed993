"""The receipt: a decision as JSON, with every number that led to it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

from parsimony.candidates import champion_version
from parsimony.data.table import Dataset
from parsimony.decision.records import (
    Certificate,
    Cost,
    Decision,
    Elsewhere,
    GateResult,
    GateSettings,
    Judged,
    OverChampion,
    Score,
    Slice,
    Standing,
)
from parsimony.measurement.json_format import Json, to_json
from parsimony.measurement.records import MachineClass, TargetSettings
from parsimony.reporting.facts import champion_of, change_of, size_of, slowest, steps_to, worst_first

# Counts up whenever a key changes its meaning or its name; a reader refuses a format that it does not know.
RECEIPT_FORMAT = 3


def receipt(decision: Decision, *, version: str | None) -> Json:
    """Return the receipt of a decision; `version` is the registered version of the winner, None when there is none.

    Sizes are bytes, durations seconds or milliseconds as the keys say, ratios 0 to 1.
    """
    return {
        "format": RECEIPT_FORMAT,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "model": decision.model,
        "run_id": decision.run_id,
        "started_at": decision.started_at,
        "seed": decision.seed,
        "winner": _winner(decision, version),
        "reference": _reference(decision),
        "champion_before": _champion_before(decision, version),
        "change": _change(decision),
        "candidates": [
            {**_candidate(judged), "steps": _steps(decision, judged), "slices": _slices(judged.certificate)}
            for judged in decision.judged
        ],
        "tests": [asdict(planned) for planned in decision.tests],
        "shift": asdict(decision.shift),
        "gates": _settings(decision.gates),
        "targets": [_target(target) for target in decision.targets],
        **_standing(decision.standing),
        "data": _data(decision.dataset),
        "smallest_certifiable_margin": decision.smallest_certifiable_margin,
        "test_reuse": decision.test_reuse,
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
        "validation": _score(judged.validation),
    }


def _champion_before(decision: Decision, version: str | None) -> Json | None:
    """Return the model that was in production when the run began; null when none was judged.

    `p50_ms` is that of the slowest target, `difference` and `lower_bound` compare it with the reference on the test
    split; what is not known is null.
    """
    champion = champion_of(decision)
    if champion is None or champion.bundle is None:
        return None
    certificate, measurement = champion.certificate, slowest(champion)
    return {
        "version": version if decision.outcome == "kept" else champion_version(champion.shape),
        "size_bytes": champion.bundle.size_bytes,
        "accuracy": None if certificate is None else certificate.score.accuracy,
        "p50_ms": None if measurement is None else measurement.p50.value_ms,
        "difference": None if certificate is None else certificate.difference,
        "lower_bound": None if certificate is None else certificate.lower_bound,
    }


def _change(decision: Decision) -> Json | None:
    """Return what changes for those who used the champion: it and the winner on the same rows; null where nothing replaces anything."""
    change = change_of(decision)
    if change is None:
        return None
    old, new = slowest(change.champion), slowest(change.winner)
    return {
        **({} if change.over is None else _over(change.over) or {}),
        "size_bytes": size_of(change.winner),
        "champion_size_bytes": size_of(change.champion),
        "p50_ms": None if new is None else new.p50.value_ms,
        "champion_p50_ms": None if old is None else old.p50.value_ms,
        "labels": [] if change.over is None else [_label(one) for one in worst_first(change.over.labels)],
        "coverage": None if change.champion.coverage is None else asdict(change.champion.coverage),
    }


def _over(over: OverChampion | None) -> Json | None:
    if over is None:
        return None
    return {
        "n": over.n,
        "difference": over.difference,
        "lower_bound": over.lower_bound,
        "upper_bound": over.upper_bound,
        "lost": over.lost,
        "won": over.won,
        "accuracy": over.score.accuracy,
        "macro_f1": over.score.macro_f1,
        "champion_accuracy": over.champion.accuracy,
        "champion_macro_f1": over.champion.macro_f1,
    }


def _label(one: Slice) -> Json:
    return {"label": one.value, "n": one.n, "lost": one.lost, "won": one.won}


def _candidate(judged: Judged) -> Json:
    return {
        "candidate": judged.candidate,
        "family": judged.family,
        "base": judged.base,
        "shape": list(judged.shape),
        "techniques": list(judged.techniques),
        "predicted_bytes": judged.predicted_bytes,
        "size_bytes": judged.bundle.size_bytes if judged.bundle else None,
        "digest": judged.bundle.digest if judged.bundle else None,
        "is_champion": judged.is_champion,
        "validation": _score(judged.validation),
        "certified": _certified(judged.certificate),
        "measurements": [to_json(m) for m in judged.measurements],
        "gates": [_gate(g) for g in judged.gates],
        "verdict": judged.verdict,
        "reason": judged.reason,
        "cost_s": judged.cost_s,
        **({"refused": dict(judged.refused)} if judged.refused else {}),
    }


def _steps(decision: Decision, judged: Judged) -> list[Json]:
    return [
        {"step": step.name, "quality": step.quality, "size_bytes": step.size_bytes}
        for step in steps_to(decision, judged)
    ]


def _slices(certificate: Certificate | None) -> list[Json]:
    return [] if certificate is None else [asdict(one) for one in worst_first(certificate.slices)]


def _score(score: Score | None) -> Json | None:
    if score is None:
        return None
    return {"n": score.n, "accuracy": score.accuracy, "macro_f1": score.macro_f1}


def _certified(certificate: Certificate | None) -> Json | None:
    if certificate is None:
        return None
    return {
        "n": certificate.n,
        "difference": certificate.difference,
        "lower_bound": certificate.lower_bound,
        "verdict": certificate.verdict,
        "accuracy": certificate.score.accuracy,
        "macro_f1": certificate.score.macro_f1,
        "correct": certificate.score.correct,
        "only_reference_right": certificate.only_reference_right,
        "only_candidate_right": certificate.only_candidate_right,
        "needed": certificate.needed,
        "position": certificate.position,
        "level": certificate.level,
        "over_champion": _over(certificate.over_champion),
        **({"elsewhere": [_elsewhere(each) for each in certificate.elsewhere]} if certificate.elsewhere else {}),
    }


def _elsewhere(there: Elsewhere) -> Json:
    return {"target": there.target, **(_certified(there.certificate) or {}), "floor": _gate(there.floor)}


def _gate(result: GateResult) -> Json:
    # A gate whose value is NaN did not pass; JSON has no NaN, so the value becomes null beside its verdict.
    return {
        "gate": result.gate,
        "verdict": result.verdict,
        "value": result.value if result.value is not None and math.isfinite(result.value) else None,
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
        "champion_margin": gates.champion_margin,
        "underpowered": gates.underpowered,
        "approval": gates.approval,
    }


def _target(target: TargetSettings) -> Json:
    return {
        "name": target.name,
        "threads": target.threads,
        "p99_ms": target.p99_ms,
        "peak_rss_bytes": target.peak_rss_bytes,
        "size_bytes": target.size_bytes,
        **({} if target.pool is None and target.machine == MachineClass() else _place(target)),
    }


def _place(target: TargetSettings) -> Json:
    """Return where a target is reached, what it must be, and why no result came from it; "" where one did."""
    machine = {**asdict(target.machine), "isa": list(target.machine.isa)}
    return {
        "pool": target.pool,
        "machine": machine,
        "optional": target.optional,
        "deadline_s": target.deadline_s,
        "missing": target.missing,
    }


def _standing(standing: Standing) -> Json:
    """Return what a person had said about promotions before the decision, under a key of its own; nothing when nobody had."""
    if not standing.hold and not standing.withdrawn:
        return {}
    withdrawn = [{"digest": digest, "reason": reason} for digest, reason in standing.withdrawn]
    return {"standing": {"hold": standing.hold, "withdrawn": withdrawn}}


def _data(dataset: Dataset) -> Json:
    return {
        "digest": dataset.digest,
        "labels": list(dataset.labels),
        "train_rows": dataset.train_rows,
        "validation_rows": dataset.validation_rows,
        "test_rows": dataset.test_rows,
        "test_digest": dataset.test_digest,
        "unlabelled_rows": dataset.unlabelled_rows,
        "unlabelled_digest": dataset.unlabelled_digest or None,
        "quarantined": len(dataset.quarantined),
        "quarantined_by_check": dict(sorted(Counter(finding.check for finding in dataset.quarantined).items())),
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
