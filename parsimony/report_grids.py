"""The tables of a report as plain text: promises, data, machine, cost. Markdown and HTML print the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from parsimony import speed
from parsimony import wording as say
from parsimony.readings import ladder, short_names, steps_to, worst_first
from parsimony.records import Decision, Environment, Finding, Judged, Measurement, Slice, TargetSettings
from parsimony.report_text import metric_name

FIRST_ROWS = 5
MOST_SLICES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A titled table of text; `columns` is empty for a table of names and values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def promises(decision: Decision) -> tuple[Grid, ...]:
    """Return the gates and the targets as the plan asks for them."""
    gates = decision.gates
    rows = (
        ("metric", metric_name(decision)),
        ("may be below the reference by", say.plain(gates.margin)),
        ("shown with confidence", say.percent(gates.confidence)),
        ("never below, at its lower bound", say.plain(gates.floor) if gates.floor else "no floor"),
        (
            "no slice proven to lose more than",
            say.plain(gates.slice_margin) if gates.slice_margin < 1 else "no limit",
        ),
        ("no slice proven to lie below", say.plain(gates.slice_floor) if gates.slice_floor else "no floor"),
        ("smallest margin this data could certify", say.plain(round(decision.smallest_certifiable_margin, 4))),
    )
    columns = ("target", "threads", "p99 at most", "memory at most", "size at most")
    targets = tuple(_target(target) for target in decision.targets)
    note = "" if targets else "No target was asked for, so nothing could pass."
    return (
        Grid(title="Quality", columns=(), rows=rows),
        Grid(title="Targets", columns=columns, rows=targets, note=note),
    )


def steps(decision: Decision) -> tuple[Grid, ...]:
    """Return what each step from the reference to a candidate cost and saved, the smallest candidate first."""
    names = short_names(decision)
    rows = tuple(
        (names[judged.candidate] if place == 0 else "", step.name, say.signed(step.quality), _change(step.size_bytes))
        for judged in ladder(decision)
        for place, step in enumerate(steps_to(decision, judged))
    )
    columns = ("candidate", "step", f"{metric_name(decision)}, search split", "size")
    note = "" if rows else "No step was taken from the reference."
    return (Grid(title="What each step costs and saves", columns=columns, rows=rows, note=note),)


def slices(decision: Decision) -> tuple[Grid, ...]:
    """Return where the winner and the champion answer rightly what the reference does not, and the other way round.

    One table for the labels and for each named column, the greatest loss first; the rule's own words stand below.
    """
    names = short_names(decision)
    wanted = [j for j in decision.judged if j.candidate == decision.winner or j.is_champion]
    return tuple(grid for judged in wanted for grid in _slices(names[judged.candidate], judged))


def _slices(name: str, judged: Judged) -> list[Grid]:
    found = judged.certificate.slices if judged.certificate else ()
    columns = dict.fromkeys(one.column for one in found)
    grids = [_changes(f"{name}: {column}", [one for one in found if one.column == column]) for column in columns]
    said = "".join(f" {gate.reason}." for gate in judged.gates if gate.gate == "slices")
    return [*grids[:-1], *(replace(grid, note=(grid.note + said).strip()) for grid in grids[-1:])]


def _changes(title: str, found: Sequence[Slice]) -> Grid:
    changed = [one for one in worst_first(found) if one.lost or one.won]
    rows = tuple(
        (one.value, *(say.count(number) for number in (one.n, one.lost, one.won))) for one in changed[:MOST_SLICES]
    )
    more = f"{say.count(len(changed) - MOST_SLICES)} others changed less." if len(changed) > MOST_SLICES else ""
    note = more if changed else "It is right and wrong on the same rows as the reference."
    columns = ("slice", "rows", "right before, wrong now", "wrong before, right now")
    return Grid(title=title, columns=columns, rows=rows, note=note)


def _change(size_bytes: int) -> str:
    return f"{'+' if size_bytes > 0 else '−'}{say.size(abs(size_bytes))}"


def _target(target: TargetSettings) -> tuple[str, ...]:
    p99 = "no limit" if target.p99_ms is None else f"{say.plain(target.p99_ms)} ms"
    memory, size = (_limit(value) for value in (target.peak_rss_bytes, target.size_bytes))
    return (target.name, str(target.threads), p99, memory, size)


def _limit(size_bytes: int | None) -> str:
    return "no limit" if size_bytes is None else say.size(size_bytes)


def data(decision: Decision) -> tuple[Grid, ...]:
    """Return the splits, what was quarantined by check with its first rows, and the notes."""
    found = decision.dataset
    splits = (
        ("labels", say.count(len(found.labels))),
        ("train", f"{say.count(found.train)} rows"),
        ("search (chooses)", f"{say.count(found.search)} rows"),
        ("sealed (decides once)", f"{say.count(found.sealed)} rows"),
        ("quarantined", f"{say.count(len(found.quarantined))} rows"),
    )
    digests = (("everything", found.digest), ("sealed split", found.sealed_digest))
    return (
        Grid(title="Splits", columns=(), rows=splits),
        Grid(title="Digests (SHA-256)", columns=(), rows=digests),
        _quarantine(found.quarantined),
        _notes(found.notes),
    )


def _quarantine(found: tuple[Finding, ...]) -> Grid:
    by_check = Counter(finding.check for finding in found)
    rows = tuple(row for check, count in by_check.most_common() for row in _first(found, check, count))
    note = f"The first {FIRST_ROWS} rows of each check." if found else "No row was quarantined."
    return Grid(title="Quarantined", columns=("check", "file", "row", "column", "reason"), rows=rows, note=note)


def _first(found: tuple[Finding, ...], check: str, count: int) -> list[tuple[str, ...]]:
    ours = [finding for finding in found if finding.check == check][:FIRST_ROWS]
    return [(f"{check} ({say.count(count)})" if i == 0 else "", *_where(f)) for i, f in enumerate(ours)]


def _notes(found: tuple[Finding, ...]) -> Grid:
    rows = tuple((finding.check, *_where(finding)) for finding in found)
    note = "" if found else "Nothing else to note."
    return Grid(title="Notes", columns=("check", "file", "row", "column", "reason"), rows=rows, note=note)


def _where(finding: Finding) -> tuple[str, ...]:
    row = "all" if finding.row is None else str(finding.row)
    return (finding.source, row, finding.column, say.clip(finding.reason, 300))


def measurements(decision: Decision) -> tuple[Grid, ...]:
    """Return one table for each target of what was measured, smallest candidate first."""
    names = short_names(decision)
    seen = [(judged.candidate, m) for judged in ladder(decision) for m in judged.measurements]
    targets = dict.fromkeys(m.target for _, m in seen)
    return tuple(_measured(target, [(j, m) for j, m in seen if m.target == target], names) for target in targets)


def _measured(target: str, seen: list[tuple[str, Measurement]], names: dict[str, str]) -> Grid:
    rows = tuple(
        (
            names[candidate],
            say.bare_milliseconds(m.p50.value_ms),
            speed.p99(m),
            speed.ratio(m.ratio),
            speed.against(m.ratio, candidate),
            say.NONE if m.efficiency is None or m.efficiency.value is None else say.percent(m.efficiency.value),
            f"{m.noise:.1%}" if m.stable else f"{m.noise:.1%}, unstable",
            say.count(m.samples),
        )
        for candidate, m in seen
    )
    columns = ("candidate", "p50 ms", "p99", "× p50 of the base line", "verdict", "efficiency", "noise", "samples")
    return Grid(title=f"Speed on target {target}", columns=columns, rows=rows, note=_measured_note(seen))


def _measured_note(seen: list[tuple[str, Measurement]]) -> str:
    """Say how far the table can be trusted, and why an efficiency is missing."""
    found = next((m.ratio for _, m in seen if m.ratio is not None), None)
    floor = "" if found is None else (
        f"The base line's twin, a second process with the same bundle, sets a noise floor of {found.noise_floor:.1%}: "
        "nothing nearer is called a difference. "
    )  # fmt: skip
    reasons = dict.fromkeys(m.efficiency.reason for _, m in seen if m.efficiency is not None and m.efficiency.reason)
    return floor + " ".join(f"No efficiency: {reason}." for reason in reasons)


def machines(decision: Decision) -> tuple[Grid, ...]:
    """Return one table for each target with everything about the environment of its measurements."""
    seen = [m for judged in decision.judged for m in judged.measurements]
    return tuple(
        _machine(target, tuple(m for m in seen if m.target == target))
        for target in dict.fromkeys(m.target for m in seen)
    )


def _machine(target: str, seen: tuple[Measurement, ...]) -> Grid:
    environments = tuple(m.environment for m in seen)
    same = {replace(environment, load_1m=0.0) for environment in environments}
    note = "" if len(same) == 1 else f"{len(same)} different environments were seen; this is the first."
    loads = [environment.load_1m for environment in environments]
    load = f"{min(loads):.2f}" if min(loads) == max(loads) else f"{min(loads):.2f} to {max(loads):.2f}"
    return Grid(
        title=f"Target {target}", columns=(), rows=(*_environment(environments[0], load), *_limits(seen)), note=note
    )


def _limits(seen: tuple[Measurement, ...]) -> tuple[tuple[str, ...], ...]:
    """Return what the machine can do and what it took away while it was measured; each once, as it was first seen."""
    roofs = next((m.roofs for m in seen if m.roofs is not None), None)
    side_by_side = next((m.disturbance for m in seen if m.ratio is not None), seen[0].disturbance)
    return (("roofs", speed.roofs(roofs)), ("disturbed", speed.disturbance(side_by_side)))


def _environment(seen: Environment, load: str) -> tuple[tuple[str, ...], ...]:
    quota = "none" if seen.quota_cores is None else f"{say.plain(seen.quota_cores)} cores"
    return (
        ("processor", seen.cpu),
        ("instructions", ", ".join(seen.isa) or say.NONE),
        ("cores", f"{seen.cores} (quota: {quota}), {seen.threads} used"),
        ("memory", say.size(seen.memory_bytes)),
        ("threads", speed.threads(seen)),
        ("governor", seen.governor or "cannot be read here"),
        ("load in the minute before", load),
        ("platform", f"{seen.platform}, Python {seen.python}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in seen.versions) or say.NONE),
    )


def cost(decision: Decision) -> tuple[Grid, ...]:
    """Return the time of each stage, the energy and the carbon, each with how it is known."""
    spent = decision.cost
    rows = tuple(
        (stage, say.duration(duration_s), f"{100 * duration_s / spent.wall_s:.1f} %" if spent.wall_s > 0 else say.NONE)
        for stage, duration_s in spent.stages
    )
    energy = say.NONE if spent.energy_wh is None else f"{say.significant(spent.energy_wh)} Wh"
    carbon = say.NONE if spent.carbon_g is None else f"{say.significant(spent.carbon_g)} g CO2e"
    total = (
        ("wall time", say.duration(spent.wall_s), f"started {decision.started_at}"),
        ("energy", energy, spent.energy_source),
        ("carbon", carbon, spent.carbon_source),
    )
    return (
        Grid(title="Total", columns=("what", "amount", "source"), rows=total),
        Grid(title="Stages", columns=("stage", "time", "share"), rows=rows, note="" if rows else "No stage was timed."),
    )
