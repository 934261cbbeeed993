"""The decision in words: one sentence, its key figures, and the table for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from parsimony import speed
from parsimony import wording as say
from parsimony.readings import (
    ladder,
    nearest_miss,
    reference_quality,
    short_names,
    size_of,
    slowest,
    times_smaller,
)
from parsimony.records import Certificate, Decision, Judged

HEADER = ("candidate", "size", "× smaller", "search", "sealed diff ≥ bound", "p50 ms", "verdict")
BADGES = {"promoted": "promoted", "kept": "kept", "none": "nothing promoted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """One number worth a large print, what it is and what it is to be held against."""

    label: str
    value: str
    note: str


def sentence(decision: Decision) -> str:
    """Return the whole decision for people: who won by which numbers, or the nearest miss, then the reason."""
    reason = decision.reason.strip().rstrip(".")
    return f"{headline(decision)}. {reason[:1].upper()}{reason[1:]}." if reason else f"{headline(decision)}."


def headline(decision: Decision) -> str:
    """Return the decision in one sentence without its final stop."""
    if decision.winner is None:
        return _nothing(decision)
    winner = decision.of(decision.winner)
    verb = "goes into production" if decision.outcome == "promoted" else "stays in production"
    return (
        f"{short_names(decision)[winner.candidate]} {verb}: {_how_small(decision, winner)}{_how_good(decision, winner)}"
    )


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
    found = judged.certificate
    if found is None:
        return ""
    quality = f", {metric_name(decision)} {say.ratio(found.score.value(decision.gates.metric))}"
    if judged.candidate == decision.reference:
        return quality
    return f"{quality} against {say.ratio(reference_quality(decision))}, {_bound(decision, found)}"


def _bound(decision: Decision, found: Certificate) -> str:
    gates = decision.gates
    sure = f"with {say.percent(gates.confidence)} confidence"
    if found.lower_bound >= 0:
        return f"{sure} not lower"
    return f"{sure} at most {say.ratio(-found.lower_bound)} lower ({say.ratio(gates.margin)} allowed)"


def _nothing(decision: Decision) -> str:
    miss = nearest_miss(decision)
    if miss is None:
        return "Nothing passed, and no candidate came far enough to be called a near miss"
    name = short_names(decision)[miss.judged.candidate]
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
        KeyFigure(
            label="smaller than the reference",
            value=say.times(times_smaller(decision, judged)),
            note="bytes of the whole deployable folder",
        ),
    ]
    return (*figures, *_quality_figures(decision, judged), *_speed_figure(judged))


def _quality_figures(decision: Decision, judged: Judged) -> tuple[KeyFigure, ...]:
    found = judged.certificate
    if found is None:
        return ()
    name = metric_name(decision)
    gates = decision.gates
    return (
        KeyFigure(
            label=f"sealed {name}",
            value=say.ratio(found.score.value(gates.metric)),
            note=f"reference {say.ratio(reference_quality(decision))}, {say.count(found.n)} rows",
        ),
        KeyFigure(
            label="difference, at least",
            value=say.signed(found.lower_bound),
            note=f"{say.signed(-gates.margin)} allowed, {say.percent(gates.confidence)} confidence",
        ),
    )


def _speed_figure(judged: Judged) -> tuple[KeyFigure, ...]:
    seen = slowest(judged)
    if seen is None:
        return ()
    threads = f"{seen.environment.threads} thread{'' if seen.environment.threads == 1 else 's'}"
    compared = (
        f"; {speed.against(seen.ratio, judged.candidate)}, {seen.ratio.value:.2f}×" if seen.ratio is not None else ""
    )
    used = seen.efficiency.value if seen.efficiency is not None else None
    share = f"; {say.percent(used)} of the roof" if used is not None else ""
    note = f"p99 {speed.p99(seen)}, {threads}, target {seen.target}{compared}{share}"
    return (KeyFigure(label="p50 latency, text to label", value=say.milliseconds(seen.p50.value_ms), note=note),)


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


# --- the table for a terminal ---------------------------------------------------------------------


def table(decision: Decision) -> list[tuple[str, ...]]:
    """Return the ladder as rows of text, smallest first, the header first; `~` marks a predicted size."""
    names = short_names(decision)
    return [HEADER, *(_row(decision, judged, names[judged.candidate]) for judged in ladder(decision))]


def _row(decision: Decision, judged: Judged, name: str) -> tuple[str, ...]:
    seen = slowest(judged)
    return (
        name,
        built_or_predicted(judged),
        say.times(times_smaller(decision, judged)),
        say.ratio(judged.search.value(decision.gates.metric) if judged.search else None),
        difference(judged),
        say.bare_milliseconds(seen.p50.value_ms if seen else None),
        ", ".join((judged.verdict, *roles(decision, judged))),
    )


def built_or_predicted(judged: Judged) -> str:
    """Return the size of the bundle, or the predicted size behind a `~`."""
    return say.size(size_of(judged)) if judged.bundle else f"~{say.size(judged.predicted_bytes)}"


def difference(judged: Judged) -> str:
    """Return the sealed difference with its lower bound: `−0.0019 ≥ −0.0067`."""
    found = judged.certificate
    return say.NONE if found is None else f"{say.signed(found.difference)} ≥ {say.signed(found.lower_bound)}"


def roles(decision: Decision, judged: Judged) -> tuple[str, ...]:
    """Return what else a candidate is: winner, reference, champion."""
    marks = (
        ("winner", judged.candidate == decision.winner),
        ("reference", judged.candidate == decision.reference),
        ("champion", judged.is_champion),
    )
    return tuple(word for word, holds in marks if holds)
