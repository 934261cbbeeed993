"""The tables of a report about speed as plain text: what was measured on each target, and on which machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parsimony.decision.records import Decision
from parsimony.measurement.records import Environment, Measurement, RooflineEfficiency
from parsimony.reporting import formatting as say
from parsimony.reporting import speed_text
from parsimony.reporting.facts import ladder
from parsimony.reporting.tables import Grid

SPEED = (
    "candidate",
    "p50 ms",
    "p99",
    "× p50 of the baseline",
    "verdict",
    "roofline efficiency",
    "noise",
    "samples",
)
Pair = tuple[str, Measurement]  # a candidate's id with one of its measurements


def measurements(decision: Decision) -> tuple[Grid, ...]:
    """Return one table for each target of what was measured, smallest candidate first."""
    every = [(judged.candidate, m) for judged in ladder(decision) for m in judged.measurements]
    targets = dict.fromkeys(m.target for _, m in every)
    return tuple(_speed(target, [(name, m) for name, m in every if m.target == target]) for target in targets)


def _speed(target: str, pairs: Sequence[Pair]) -> Grid:
    rows = tuple(_row(candidate, measurement) for candidate, measurement in pairs)
    return Grid(title=f"Speed on target {target}", columns=SPEED, rows=rows, note=_note(pairs))


def _row(candidate: str, measurement: Measurement) -> tuple[str, ...]:
    return (
        candidate,
        say.bare_milliseconds(measurement.p50.value_ms),
        speed_text.p99(measurement),
        speed_text.ratio(measurement.ratio),
        speed_text.against(measurement.ratio, candidate),
        _share(measurement.roofline_efficiency),
        f"{measurement.noise:.1%}" if measurement.stable else f"{measurement.noise:.1%}, unsteady",
        say.count(measurement.samples),
    )


def _share(efficiency: RooflineEfficiency | None) -> str:
    return say.NONE if efficiency is None or efficiency.value is None else say.percent(efficiency.value)


def _note(pairs: Sequence[Pair]) -> str:
    """Say how far the table can be trusted, and why an efficiency is missing."""
    ratio = next((m.ratio for _, m in pairs if m.ratio is not None), None)
    floor = "" if ratio is None else (
        f"The A/A control, a second process with the same bundle, sets a noise floor of {ratio.noise_floor:.1%}: "
        "nothing nearer is called a difference. "
    )  # fmt: skip
    efficiencies = [m.roofline_efficiency for _, m in pairs if m.roofline_efficiency is not None]
    reasons = dict.fromkeys(efficiency.reason for efficiency in efficiencies if efficiency.reason)
    return floor + " ".join(f"No roofline efficiency: {reason}." for reason in reasons)


def machines(decision: Decision) -> tuple[Grid, ...]:
    """Return one table for each target with everything about the environment of its measurements."""
    every = [m for judged in decision.judged for m in judged.measurements]
    return tuple(
        _machine(target, tuple(m for m in every if m.target == target))
        for target in dict.fromkeys(m.target for m in every)
    )


def _machine(target: str, every: tuple[Measurement, ...]) -> Grid:
    environments = tuple(m.environment for m in every)
    different = {replace(environment, load_1m=0.0) for environment in environments}
    note = "" if len(different) == 1 else f"There were {len(different)} different environments; this is the first."
    loads = [environment.load_1m for environment in environments]
    load = f"{min(loads):.2f}" if min(loads) == max(loads) else f"{min(loads):.2f} to {max(loads):.2f}"
    rows = (*_environment(environments[0], load), *_limits(every))
    return Grid(title=f"Target {target}", columns=(), rows=rows, note=note)


def _limits(every: tuple[Measurement, ...]) -> tuple[tuple[str, ...], ...]:
    """Return what the machine can do and what it took away during the first measurement that says so."""
    peaks = next((m.roofline_peaks for m in every if m.roofline_peaks is not None), None)
    side_by_side = next((m.disturbance for m in every if m.ratio is not None), every[0].disturbance)
    return (("roofline peaks", speed_text.peaks(peaks)), ("disturbance", speed_text.disturbance(side_by_side)))


def _environment(environment: Environment, load: str) -> tuple[tuple[str, ...], ...]:
    quota = "none" if environment.quota_cores is None else say.counted(environment.quota_cores, "core")
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions)
    return (
        ("processor", environment.cpu),
        ("instructions", ", ".join(environment.isa) or say.NONE),
        ("cores", f"{say.counted(environment.cores, 'core')} (quota: {quota}), {environment.threads} used"),
        ("memory", say.size(environment.memory_bytes)),
        ("threads", speed_text.threads(environment)),
        ("governor", environment.governor or speed_text.UNREADABLE),
        ("load in the minute before", load),
        ("platform", f"{environment.platform}, Python {environment.python}"),
        ("versions", versions or say.NONE),
    )
