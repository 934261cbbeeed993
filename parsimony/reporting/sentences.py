"""The decision in the words of the field: one sentence and its key figures."""

from __future__ import annotations

from dataclasses import dataclass

from parsimony.decision.records import Certificate, Decision, Judged
from parsimony.reporting import formatting as say
from parsimony.reporting import speed_text
from parsimony.reporting.facts import change_of, nearest_miss, reference_quality, size_of, slowest, times_smaller

BADGES = {"promoted": "promoted", "waiting": "waiting for review", "kept": "kept", "none": "nothing promoted"}
_VERBS = {"promoted": "goes into production", "waiting": "waits for review", "kept": "stays in production"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One number worth a large print, what it is and what to compare it with."""

    label: str
    value: str
    note: str


def sentence(decision: Decision) -> str:
    """Return the whole decision for people: who won by which numbers, or the nearest miss, then the reason."""
    reason = _once(decision, decision.reason.strip().rstrip("."))
    told = f"{headline(decision)}{_against_champion(decision)}."
    return f"{told} {reason[:1].upper()}{reason[1:]}." if reason else told


def _once(decision: Decision, reason: str) -> str:
    """Return what a reason says beyond the headline, which tells of the nearest miss already."""
    miss = None if decision.winner is not None else nearest_miss(decision)
    if miss is None or miss.gate.reason.strip().rstrip(".") not in reason:
        return reason
    _, _, champion = reason.partition("; the champion ")
    return f"the champion {champion}" if champion else ""


def headline(decision: Decision) -> str:
    """Return the decision in one sentence without its final stop."""
    if decision.winner is None:
        return _nothing(decision)
    winner = decision.of(decision.winner)
    return f"{winner.candidate} {_VERBS[decision.outcome]}: {_how_small(decision, winner)}{_how_good(decision, winner)}"


def _how_small(decision: Decision, judged: Judged) -> str:
    factor = times_smaller(decision, judged)
    if factor is None:
        return say.size(size_of(judged))
    reference = say.size(size_of(decision.of(decision.reference)))
    if judged.candidate == decision.reference:
        return f"{reference}, the reference itself"
    if factor < 1:
        return f"{say.size(size_of(judged))}, {say.times(1 / factor)} the size of the reference ({reference})"
    return f"{say.size(size_of(judged))}, {say.times(factor)} smaller than the reference ({reference})"


def _how_good(decision: Decision, judged: Judged) -> str:
    certificate = judged.certificate
    if certificate is None:
        return ""
    quality = f", {metric_name(decision)} {say.ratio(certificate.score.value(decision.gates.metric))}"
    if judged.candidate == decision.reference:
        return quality
    return f"{quality} against {say.ratio(reference_quality(decision))}, {_bound(decision, certificate)}"


def _bound(decision: Decision, certificate: Certificate) -> str:
    gates = decision.gates
    sure = f"with {say.percent(gates.confidence)} confidence"
    if certificate.lower_bound >= 0:
        return f"{sure} not lower"
    return f"{sure} at most {say.ratio(-certificate.lower_bound)} lower ({say.ratio(gates.margin)} allowed)"


def _against_champion(decision: Decision) -> str:
    """Return what changes against the champion: `; the champion has 3.7 MB, and accuracy changes by −0.0060, at least −0.0121`."""
    change = change_of(decision)
    if change is None:
        return ""
    size = f"; the champion until now has {say.size(size_of(change.champion))}"
    if change.over is None:
        return f"{size} and could not be compared"
    over = change.over
    return (
        f"{size}, against it {metric_name(decision)} changes by {say.signed(over.difference)}, at least {say.signed(over.lower_bound)}, on "
        f"{say.counted(over.n, 'test row')}"
    )


def _nothing(decision: Decision) -> str:
    miss = nearest_miss(decision)
    if miss is None:
        return "Nothing passed, and no candidate came far enough to be called a near miss"
    name = miss.judged.candidate
    return (
        f"Nothing passed. The nearest miss is {name} ({say.size(size_of(miss.judged))}): {miss.gate.gate} missed by "
        f"{say.significant(miss.shortfall, 2)}, {miss.gate.reason.strip().rstrip('.')}"
    )


def metric_name(decision: Decision) -> str:
    """Return the metric of the gates as people write it."""
    return "accuracy" if decision.gates.metric == "accuracy" else "macro F1"


# --- key figures ----------------------------------------------------------------------------------


def key_figures(decision: Decision) -> tuple[KeyFigure, ...]:
    """Return the figures to print large: of the winner, or of the nearest miss when there is none."""
    if decision.winner is not None:
        shown = decision.of(decision.winner)
        return (*_figures_of(decision, shown, "winner"), _cost_figure(decision))
    miss = nearest_miss(decision)
    if miss is None:
        return (_reference_figure(decision), _cost_figure(decision))
    return (*_figures_of(decision, miss.judged, "nearest miss"), _cost_figure(decision))


def _figures_of(decision: Decision, judged: Judged, role: str) -> tuple[KeyFigure, ...]:
    reference = decision.of(decision.reference)
    figures = [
        KeyFigure(
            label=f"size of the {role}",
            value=say.size(size_of(judged)),
            note=f"reference {say.size(size_of(reference))}",
        ),
        _factor(times_smaller(decision, judged)),
    ]
    return (*figures, *_quality_figures(decision, judged), *_speed_figure(judged))


def _factor(smaller: float | None) -> KeyFigure:
    """Return how many times smaller than the reference it is, or larger: a factor below 1 is nothing that people say."""
    is_larger = smaller is not None and smaller < 1
    return KeyFigure(
        label=f"{'larger' if is_larger else 'smaller'} than the reference",
        value=say.times(1 / smaller if smaller and is_larger else smaller),
        note="bytes of the whole deployable folder",
    )


def _quality_figures(decision: Decision, judged: Judged) -> tuple[KeyFigure, ...]:
    certificate = judged.certificate
    if certificate is None:
        return ()
    gates = decision.gates
    return (
        KeyFigure(
            label=f"test {metric_name(decision)}",
            value=say.ratio(certificate.score.value(gates.metric)),
            note=f"reference {say.ratio(reference_quality(decision))}, {say.counted(certificate.n, 'row')}",
        ),
        KeyFigure(
            label="difference, at least",
            value=say.signed(certificate.lower_bound),
            note=f"{say.signed(-gates.margin)} allowed, {say.percent(gates.confidence)} confidence",
        ),
    )


def _speed_figure(judged: Judged) -> tuple[KeyFigure, ...]:
    measurement = slowest(judged)
    if measurement is None:
        return ()
    ratio, efficiency = measurement.ratio, measurement.roofline_efficiency
    notes = [
        *([] if measurement.stable else ["unsteady"]),
        f"p99 {speed_text.p99(measurement)}, {say.counted(measurement.environment.threads, 'thread')}, "
        f"target {measurement.target}",
        *([speed_text.how_fast(ratio, judged.candidate)] if ratio is not None else []),
        *(
            [f"{say.percent(efficiency.value)} of the roofline peak"]
            if efficiency is not None and efficiency.value is not None
            else []
        ),
    ]
    value = say.milliseconds(measurement.p50.value_ms)
    return (KeyFigure(label="p50 latency, text to label", value=value, note="; ".join(notes)),)


def _reference_figure(decision: Decision) -> KeyFigure:
    reference = decision.of(decision.reference)
    note = "built" if reference.bundle is not None else "predicted, not built"
    return KeyFigure(label="size of the reference", value=say.size(size_of(reference)), note=note)


def _cost_figure(decision: Decision) -> KeyFigure:
    return KeyFigure(label="cost of the run", value=say.duration(decision.cost.wall_s), note=energy(decision))


def energy(decision: Decision) -> str:
    """Return the energy with how it is known: `9.10 Wh (estimated: ...)`, or only why there is none."""
    cost = decision.cost
    if cost.energy_wh is None:
        return f"energy {cost.energy_source}"
    return f"{say.significant(cost.energy_wh)} Wh ({cost.energy_source})"


def roles(decision: Decision, judged: Judged) -> tuple[str, ...]:
    """Return what else a candidate is: winner, reference, champion."""
    marks = (
        ("winner", judged.candidate == decision.winner),
        ("reference", judged.candidate == decision.reference),
        ("champion", judged.is_champion),
    )
    return tuple(word for word, holds in marks if holds)


def why(decision: Decision, judged: Judged) -> str:
    """Return why a candidate does not pass; of one that passes nothing, unless it is no larger than the winner and was not chosen."""
    if judged.verdict != "pass":
        return judged.reason
    winner = None if decision.winner is None else decision.of(decision.winner)
    if winner is None or judged.candidate == winner.candidate or size_of(judged) > size_of(winner):
        return ""
    return f"passes every gate, but was not chosen: {decision.reason}"
