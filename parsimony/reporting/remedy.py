"""What to do when nothing passed: it follows from the gates that stopped the candidate that came nearest."""

from __future__ import annotations

from dataclasses import dataclass

from parsimony.decision.records import Decision, GateResult, Judged
from parsimony.measurement.records import BUSY, Measurement
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import nearest_miss, open_gates

QUIETER = "its timing was unsteady: repeat it on a quieter machine"
_LIMITS = {"p99_ms": "p99_ms", "peak_rss_bytes": "max_rss_mb", "size_bytes": "max_size_mb"}
_TOO_MUCH = {"p99_ms": "it is too slow", "peak_rss_bytes": "it needs too much memory", "size_bytes": "it is too large"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One thing to do: a key of the plan to change, or none where the same plan is run again, and why."""

    key: str
    words: str


def remedies(decision: Decision) -> tuple[Remedy, ...]:
    """Return what to do about each gate that stopped the nearest candidate; none for a decision with a winner."""
    judged = None if decision.winner is not None else stopped(decision)
    if judged is None:
        return ()
    return tuple(dict.fromkeys(_remedy(decision, judged, gate) for gate in open_gates(judged)))


def stopped(decision: Decision) -> Judged | None:
    """Return the nearest miss; where none was tested, what did best on the validation split and was stopped by a target."""
    if (miss := nearest_miss(decision)) is not None:
        return miss.judged
    judged = [j for j in decision.judged if not j.is_champion and open_gates(j)]
    metric = decision.gates.metric
    return max(judged, key=lambda j: -1.0 if j.validation is None else j.validation.value(metric), default=None)


def _remedy(decision: Decision, judged: Judged, gate: GateResult) -> Remedy:
    target, _, rule = gate.gate.rpartition(" ")
    if rule in ("margin", "floor"):
        return Remedy(key=f"gates.{rule}", words=_quality(judged, gate))
    if rule == "slices":
        key = "gates.slice_margin" if decision.gates.slice_margin < 1 else "gates.slice_floor"
        return Remedy(key=key, words="one group of texts is harmed: train on more rows of it, or allow more")
    if rule == "champion":
        return Remedy(
            key="gates.champion_margin", words="it is clearly worse than the champion: train longer, or allow more"
        )
    if rule == "measured":
        unsteady = gate.value is not None and gate.verdict == "inconclusive"
        return Remedy(key="", words=QUIETER if unsteady else f"run it where {target!r} is: {gate.reason}")
    if rule in _LIMITS:
        return _limit(decision, judged, gate)
    return Remedy(key="", words=f"{gate.gate}: {gate.reason}")


def _quality(judged: Judged, gate: GateResult) -> str:
    """Return what the margin or the floor asks for: more test rows where they would settle it, else more room."""
    if gate.verdict == "fail":
        return "the quality is not reached: allow more, train longer, or give more rows to train on"
    certificate = judged.certificate
    if certificate is None or certificate.needed is None:
        return "too few test rows to tell: give more of them, or allow more"
    more = say.count(max(certificate.needed - certificate.n, 1))
    return f"too few test rows to tell: label about {more} more, or allow more"


def _limit(decision: Decision, judged: Judged, gate: GateResult) -> Remedy:
    target, _, rule = gate.gate.rpartition(" ")
    measurement = next((m for m in judged.measurements if m.target == target), None)
    if gate.verdict != "fail" and measurement is not None and rule == "p99_ms" and _is_busy(measurement):
        return Remedy(key="", words=QUIETER)
    number = next((i for i, t in enumerate(decision.targets) if t.name == target), 0)
    words = _TOO_MUCH[rule] if gate.verdict == "fail" else "it cannot be distinguished from the limit"
    return Remedy(
        key=f"targets.{number}.{_LIMITS[rule]}", words=f"{words} on {target!r}: allow more, or give it less to do"
    )


def _is_busy(measurement: Measurement) -> bool:
    """Say whether the machine is to blame: the blocks disagree, or the process waited for cores that others used."""
    waited = None if measurement.disturbance is None else measurement.disturbance.waited_share
    return not measurement.stable or (waited or 0.0) > BUSY
