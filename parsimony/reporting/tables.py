"""The tables of a report as plain text: candidates, promises, steps, slices, data, cost. Markdown and HTML print the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from parsimony.data.table import Dataset
from parsimony.decision.records import Decision, Judged, Slice
from parsimony.errors import Finding
from parsimony.measurement.records import TRAINING_MACHINE, TargetSettings
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import ladder, size_of, slowest, steps_to, times_smaller, worst_first
from parsimony.reporting.sentences import metric_name, roles

FIRST_ROWS = 5
MOST_SLICES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A titled table of text; `columns` is empty for a table of names and values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def candidates(decision: Decision) -> Grid:
    """Return the whole ladder, smallest first; `~` marks a predicted size."""
    columns = ("candidate", "size", "× smaller", "validation", "test diff ≥ bound", "p50 ms", "verdict")
    return Grid(title="Candidates", columns=columns, rows=tuple(_candidate(decision, j) for j in ladder(decision)))


def _candidate(decision: Decision, judged: Judged) -> tuple[str, ...]:
    return (
        judged.candidate,
        say.size(size_of(judged)) if judged.bundle else f"~{say.size(judged.predicted_bytes)}",
        say.times(times_smaller(decision, judged)),
        say.ratio(judged.validation.value(decision.gates.metric) if judged.validation else None),
        difference(judged),
        p50(judged),
        ", ".join((judged.verdict, *roles(decision, judged))),
    )


def difference(judged: Judged) -> str:
    """Return the test difference with its lower bound: `−0.0019 ≥ −0.0067`."""
    certificate = judged.certificate
    if certificate is None:
        return say.NONE
    return f"{say.signed(certificate.difference)} ≥ {say.signed(certificate.lower_bound)}"


def p50(judged: Judged) -> str:
    """Return the median latency on the slowest target, in ms."""
    measurement = slowest(judged)
    return say.bare_milliseconds(None if measurement is None else measurement.p50.value_ms)


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
        (
            "not proven to be below the champion by more than",
            say.plain(gates.champion_margin) if gates.champion_margin < 1 else "no limit",
        ),
        ("smallest margin this data could certify", say.plain(round(decision.smallest_certifiable_margin, 4))),
    )
    columns: tuple[str, ...] = ("target", "threads", "p99 at most", "memory at most", "size at most")
    targets: tuple[tuple[str, ...], ...] = tuple(_target(target) for target in decision.targets)
    if any(target.pool for target in decision.targets):
        columns = (*columns, "measured by")
        targets = tuple((*row, _by(target)) for row, target in zip(targets, decision.targets, strict=True))
    note = "" if targets else "No target was asked for, so nothing could pass."
    return (
        Grid(title="Quality", columns=(), rows=rows),
        Grid(title="Targets", columns=columns, rows=targets, note=note),
    )


def steps(decision: Decision) -> tuple[Grid, ...]:
    """Return what each step from the reference to a candidate cost and saved, the smallest candidate first."""
    rows = tuple(
        (judged.candidate if place == 0 else "", step.name, say.signed(step.quality), _change(step.size_bytes))
        for judged in ladder(decision)
        for place, step in enumerate(steps_to(decision, judged))
    )
    columns = ("candidate", "step", f"{metric_name(decision)}, validation split", "size")
    note = "" if rows else "No step was taken from the reference."
    return (Grid(title="What each step costs and saves", columns=columns, rows=rows, note=note),)


def slices(decision: Decision) -> tuple[Grid, ...]:
    """Return where the winner and the champion are right where the reference is not, and the other way round.

    One table for the labels and for each named column, the greatest loss first; the rule's own words stand below.
    """
    wanted = [j for j in decision.judged if j.candidate == decision.winner or j.is_champion]
    return tuple(grid for judged in wanted for grid in _slices(judged.candidate, judged))


def _slices(name: str, judged: Judged) -> list[Grid]:
    every = judged.certificate.slices if judged.certificate else ()
    columns = dict.fromkeys(one.column for one in every)
    grids = [_changes(f"{name}: {column}", [one for one in every if one.column == column]) for column in columns]
    rule = "".join(f" {gate.reason}." for gate in judged.gates if gate.gate == "slices")
    return [*grids[:-1], *(replace(grid, note=(grid.note + rule).strip()) for grid in grids[-1:])]


def _changes(title: str, every: Sequence[Slice]) -> Grid:
    changed = [one for one in worst_first(every) if one.lost or one.won]
    rows = tuple(
        (one.value, *(say.count(number) for number in (one.n, one.lost, one.won))) for one in changed[:MOST_SLICES]
    )
    more = f"{say.counted(len(changed) - MOST_SLICES, 'other')} changed less." if len(changed) > MOST_SLICES else ""
    note = more if changed else "It is right and wrong on the same rows as the reference."
    columns = ("slice", "rows", "right before, wrong now", "wrong before, right now")
    return Grid(title=title, columns=columns, rows=rows, note=note)


def _change(size_bytes: int) -> str:
    return f"{'+' if size_bytes > 0 else '−'}{say.size(abs(size_bytes))}"


def _target(target: TargetSettings) -> tuple[str, ...]:
    p99 = "no limit" if target.p99_ms is None else f"{say.plain(target.p99_ms)} ms"
    memory, size = (_limit(value) for value in (target.peak_rss_bytes, target.size_bytes))
    return (target.name, str(target.threads), p99, memory, size)


def _by(target: TargetSettings) -> str:
    if target.pool is None:
        return TRAINING_MACHINE
    return f"nobody: {target.missing}" if target.missing else f"a worker of {target.pool}"


def _limit(size_bytes: int | None) -> str:
    return "no limit" if size_bytes is None else say.size(size_bytes)


def data(decision: Decision) -> tuple[Grid, ...]:
    """Return the splits, what was quarantined by check with its first rows, and the notes."""
    dataset = decision.dataset
    splits = (
        ("labels", say.count(len(dataset.labels))),
        ("train", say.counted(dataset.train_rows, "row")),
        ("validation (chooses)", say.counted(dataset.validation_rows, "row")),
        ("test (decides once)", say.counted(dataset.test_rows, "row")),
        *_unlabelled(dataset),
        ("test-set reuse", f"{say.counted(decision.test_reuse, 'question')} answered, this one included"),
        ("quarantined", say.counted(len(dataset.quarantined), "row")),
    )
    digests = [("everything", dataset.digest), ("test split", dataset.test_digest)]
    digests += [("texts without labels", dataset.unlabelled_digest)] if dataset.unlabelled_rows else []
    return (
        Grid(title="Splits", columns=(), rows=splits),
        Grid(title="Digests (SHA-256)", columns=(), rows=tuple(digests)),
        _quarantine(dataset.quarantined),
        _notes(dataset.notes),
    )


def _unlabelled(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    rows = dataset.unlabelled_rows
    return (("without labels (students learn from them)", say.counted(rows, "text")),) if rows else ()


def _quarantine(findings: tuple[Finding, ...]) -> Grid:
    by_check = Counter(finding.check for finding in findings)
    rows = tuple(row for check, count in by_check.most_common() for row in _first(findings, check, count))
    note = f"The first {FIRST_ROWS} rows of each check." if findings else "No row was quarantined."
    return Grid(title="Quarantined", columns=("check", "file", "row", "column", "reason"), rows=rows, note=note)


def _first(findings: tuple[Finding, ...], check: str, count: int) -> list[tuple[str, ...]]:
    ours = [finding for finding in findings if finding.check == check][:FIRST_ROWS]
    return [(f"{check} ({say.count(count)})" if i == 0 else "", *_where(f)) for i, f in enumerate(ours)]


def _notes(findings: tuple[Finding, ...]) -> Grid:
    rows = tuple((finding.check, *_where(finding)) for finding in findings)
    note = "" if findings else "Nothing else to note."
    return Grid(title="Notes", columns=("check", "file", "row", "column", "reason"), rows=rows, note=note)


def _where(finding: Finding) -> tuple[str, ...]:
    row = "all" if finding.row is None else str(finding.row)
    return (finding.source, row, finding.column, say.clip(finding.reason, 300))


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
