"""What MLflow shows of a candidate or a search: its numbers, parameters and tags, as plain mappings."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

from parsimony.decision.records import Decision, Judged
from parsimony.measurement.quantiles import p99_of
from parsimony.measurement.records import Measurement
from parsimony.reporting.facts import change_of, size_of


def params_of(judged: Judged) -> dict[str, str]:
    """Return what defines a candidate."""
    return {
        "family": judged.family,
        "base": judged.base or "none",
        "shape": "-".join(judged.shape) or "whole",
        "techniques": "+".join(judged.techniques) or "none",
    }


def tags_of(judged: Judged) -> dict[str, str]:
    """Return what was decided about a candidate, and the machine of each measurement as `environment/target`."""
    return {
        "verdict": judged.verdict,
        "reason": judged.reason,
        "digest": judged.bundle.digest if judged.bundle else "not built",
        "is_reference": str(judged.is_reference),
        "is_champion": str(judged.is_champion),
        **_environments(judged),
    }


def search_numbers(decision: Decision) -> dict[str, float]:
    """Return the numbers of a whole search: the winner's, and what the search took."""
    winner = {} if decision.winner is None else numbers_of(decision.of(decision.winner))
    energy = {} if decision.cost.energy_wh is None else {"energy_wh": decision.cost.energy_wh}
    return {
        **winner,
        "candidates": float(len(decision.judged)),
        "smallest_certifiable_margin": decision.smallest_certifiable_margin,
        "wall_s": decision.cost.wall_s,
        **energy,
    }


def search_params(decision: Decision) -> dict[str, str]:
    """Return the promises that the search had to keep."""
    return {f"gates.{name}": str(value) for name, value in asdict(decision.gates).items()}


def search_tags(decision: Decision) -> dict[str, str]:
    """Return what the search decided."""
    return {
        **change_tags(decision),
        "outcome": decision.outcome,
        "reason": decision.reason,
        "winner": decision.winner or "none",
        "reference": decision.reference,
        "data_digest": decision.dataset.digest,
    }


def change_tags(decision: Decision) -> dict[str, str]:
    """Return what changes against the champion that is replaced, as tags; none where nothing is."""
    change = change_of(decision)
    if change is None:
        return {}
    coverage, over = change.champion.coverage, change.over
    tags = {
        "champion_before": coverage.version if coverage else "built again",
        "champion_size_bytes": str(size_of(change.champion)),
    }
    if over is None:
        return tags
    metric = decision.gates.metric
    return tags | {
        "champion_rows": str(over.n),
        f"champion_{metric}": f"{over.champion.value(metric):.4f}",
        "against_champion": f"{over.difference:+.4f}",
        "against_champion_at_least": f"{over.lower_bound:+.4f}",
        "against_champion_lost_won": f"{over.lost} lost, {over.won} won",
    }


def numbers_of(judged: Judged) -> dict[str, float]:
    """Return a candidate's metrics; what was not measured is absent.

    Latency, throughput and memory are those of the worst target; with several targets each also has its own,
    as `target/p99_ms`.
    """
    numbers = {"predicted_bytes": float(judged.predicted_bytes), "cost_s": judged.cost_s}
    if judged.bundle is not None:
        numbers |= {"size_bytes": float(judged.bundle.size_bytes)}
    if (validation := judged.validation) is not None:
        numbers |= {"validation_accuracy": validation.accuracy, "validation_macro_f1": validation.macro_f1}
    if (certificate := judged.certificate) is not None:
        numbers |= {"test_accuracy": certificate.score.accuracy, "test_macro_f1": certificate.score.macro_f1}
        numbers |= {"test_difference": certificate.difference, "test_lower_bound": certificate.lower_bound}
    return numbers | _speeds(judged.measurements)


def _speeds(measurements: tuple[Measurement, ...]) -> dict[str, float]:
    each = {_key(measurement.target): _speed(measurement) for measurement in measurements}
    worst = {
        name: (min if name == "throughput_per_s" else max)(speed[name] for speed in each.values())
        for name in (_speed(measurements[0]) if measurements else ())
        if all(name in speed for speed in each.values())
    }
    if len(each) < 2:
        return worst
    return worst | {f"{target}/{name}": value for target, speed in each.items() for name, value in speed.items()}


def _speed(measurement: Measurement) -> dict[str, float]:
    """Return the numbers of one target; a p99 of too few samples is absent."""
    p99 = p99_of(measurement)
    return {
        "p50_ms": measurement.p50.value_ms,
        **({} if p99 is None else {"p99_ms": p99.value_ms}),
        "throughput_per_s": measurement.throughput_per_s,
        "peak_rss_bytes": float(measurement.peak_rss_bytes),
    }


def _environments(judged: Judged) -> dict[str, str]:
    return {
        f"environment/{_key(measurement.target)}": json.dumps(asdict(measurement.environment), ensure_ascii=False)
        for measurement in judged.measurements
    }


def _key(target: str) -> str:
    """Return a target's name in the characters that MLflow allows in a key."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", target)
