"""What changes for those who used the champion: it and the winner on the same rows of the same test split."""

from __future__ import annotations

from parsimony.decision.records import Coverage, Decision, OverChampion
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import Change, champion_of, change_of, size_of, slowest, worst_first
from parsimony.reporting.sentences import metric_name
from parsimony.reporting.tables import Grid

_SHOWN_LABELS = 12
_NAMED = 5


def in_words(decision: Decision) -> tuple[str, ...]:
    """Return the change in sentences: quality, size, latency, and what could not be compared; none where nothing changes."""
    change = change_of(decision)
    if change is None:
        return tuple(_limits(decision))
    name = _name(change.champion.coverage)
    if change.over is None:
        return (f"The winner could not be compared with {name}: {change.champion.reason}.", *_limits(decision))
    return (f"{_quality(decision, change.over, name)} {_resources(change)}", *_limits(decision))


def _quality(decision: Decision, over: OverChampion, name: str) -> str:
    metric = decision.gates.metric
    return (
        f"On the same {say.counted(over.n, 'test row')}, {metric_name(decision)} is {say.ratio(over.score.value(metric))} instead of "
        f"{say.ratio(over.champion.value(metric))} of {name}: a difference of {say.signed(over.difference)}, with "
        f"{say.percent(decision.gates.confidence)} confidence at least {say.signed(over.lower_bound)}. "
        f"{say.counted(over.lost, 'row')} lost, {say.count(over.won)} won."
    )


def _resources(change: Change) -> str:
    sizes = f"Its size is {say.size(size_of(change.winner))} instead of {say.size(size_of(change.champion))}"
    new, old = slowest(change.winner), slowest(change.champion)
    if new is None or old is None:
        return f"{sizes}."
    now, before = say.milliseconds(new.p50.value_ms), say.milliseconds(old.p50.value_ms)
    return f"{sizes}, its p50 latency {now} instead of {before}."


def _limits(decision: Decision) -> list[str]:
    """Return what the champion could not be judged on."""
    champion = champion_of(decision)
    coverage = None if champion is None else champion.coverage
    if coverage is None:
        return []
    name = _name(coverage)
    told = []
    if coverage.new_labels:
        rows = say.counted(coverage.of_new_labels, "test row")
        told.append(f"Not compared: {rows} of labels that {name} does not know ({_named(coverage.new_labels)}).")
    if coverage.gone_labels:
        told.append(
            f"Not compared: what {name} knew of labels that today's data does not have ({_named(coverage.gone_labels)})."
        )
    if coverage.trained_on:
        rows = say.counted(coverage.trained_on, "test row")
        told.append(f"Not compared: {rows} that {name} was trained or chosen on.")
    if coverage.trained_on is None:
        told.append(
            f"Which rows {name} was trained on is not known, so none of them is left out: it may look better than it is."
        )
    return told


def _name(coverage: Coverage | None) -> str:
    return "the champion" if coverage is None else f"the champion, version {coverage.version}"


def _named(labels: tuple[str, ...]) -> str:
    more = f" and {say.count(len(labels) - _NAMED)} more" if len(labels) > _NAMED else ""
    return ", ".join(say.clip(label, 40) for label in labels[:_NAMED]) + more


def grids(decision: Decision) -> tuple[Grid, ...]:
    """Return champion and winner beside each other, and the labels of which rows were lost or won, the greatest loss first."""
    change = change_of(decision)
    if change is None:
        return ()
    both = (change.champion, change.winner)
    latency = (None if (m := slowest(one)) is None else m.p50.value_ms for one in both)
    rows = [
        ("size", *(say.size(size_of(one)) for one in both)),
        ("p50 latency", *(say.milliseconds(value) for value in latency)),
    ]
    if (over := change.over) is not None:
        scores = (over.champion.value(decision.gates.metric), over.score.value(decision.gates.metric))
        rows.insert(0, (metric_name(decision), *map(say.ratio, scores)))
    beside = Grid(title="Champion and winner", columns=("", "champion until now", "winner"), rows=tuple(rows))
    return (beside, *([] if over is None else [_labels(over)]))


def _labels(over: OverChampion) -> Grid:
    changed = [one for one in worst_first(over.labels) if one.lost or one.won]
    rows = tuple(
        (one.value, *(say.count(number) for number in (one.n, one.lost, one.won))) for one in changed[:_SHOWN_LABELS]
    )
    more = len(changed) - _SHOWN_LABELS
    note = f"{say.counted(more, 'other')} changed less." if more > 0 else ""
    return Grid(
        title="Against the champion: label",
        columns=("label", "rows", "right before, wrong now", "wrong before, right now"),
        rows=rows,
        note=note if changed else "It is right and wrong on the same rows as the champion.",
    )
