"""From predictions to verdicts: what the validation split says, and the final word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from parsimony.candidates import BuiltBundle, Candidate
from parsimony.decision import champion, gates, slices, stats
from parsimony.decision.chances import Comparison
from parsimony.decision.records import (
    CandidateVerdict,
    Certificate,
    Coverage,
    Elsewhere,
    GateResult,
    GateSettings,
    Judged,
    Score,
)
from parsimony.decision.shortlist import Shortlist
from parsimony.measurement.records import Measurement, TargetSettings

# Share of rows that a good candidate predicts differently, before anything is known.
GUESSED_DISCORDANCE = 0.05
_AFTER_THE_END = "the sequence of tests ended before it"
_UNTESTED = "it can be judged on no row of today's test split"


NOT_REACHED = "none of the level was left for it: the larger candidates before it did not pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A candidate on its way to a verdict: filled from left to right, never changed in place.

    `covered` are the test rows that a champion is judged on, bool [rows], None for all; `coverage` says the same in numbers.
    `refused` names targets that cannot run it, with the reasons.
    """

    candidate: Candidate
    predicted_bytes: int
    cost_s: float = 0.0
    bundle: BuiltBundle | None = None
    predictions: np.ndarray | None = None
    validation: Score | None = None
    measurements: tuple[Measurement, ...] = ()
    certificate: Certificate | None = None
    floor: GateResult | None = None
    is_champion: bool = False
    coverage: Coverage | None = None
    covered: np.ndarray | None = None
    obstacle: str = ""
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """The candidate's name."""
        return self.candidate.id


def compare(entry: Entry, reference: Entry, truth: np.ndarray, settings: GateSettings) -> Comparison:
    """Compare a candidate with the reference on the validation split, row by row."""
    if (
        entry.predictions is None
        or reference.predictions is None
        or entry.validation is None
        or reference.validation is None
    ):
        raise ValueError(f"{entry.id} has no predictions on the validation split")
    if entry.bundle is None:
        raise ValueError(f"{entry.id} has no bundle")
    discordant = (entry.predictions == truth) != (reference.predictions == truth)
    return Comparison(
        candidate=entry.id,
        size_bytes=entry.bundle.size_bytes,
        rows=len(truth),
        difference=entry.validation.value(settings.metric) - reference.validation.value(settings.metric),
        discordance=float(discordant.mean()),
        is_reference=entry.id == reference.id,
        kind=entry.candidate.spec.family,
        trimmed=entry.candidate.trimmed,
    )


def fits(entry: Entry, targets: Sequence[TargetSettings]) -> tuple[GateResult, ...]:
    """Return the results of the gates of every target that counts, for one candidate; no target at all is not enough to pass."""
    counting = [target for target in targets if target.counts]
    if not counting:
        reason = "no target is named, so it was measured nowhere"
        if targets:
            reason = f"no target gave a result: {targets[0].missing}"
        return (GateResult(gate="targets", verdict="inconclusive", value=None, limit=0.0, reason=reason),)
    size = None if entry.bundle is None else entry.bundle.size_bytes
    by_target = {measurement.target: measurement for measurement in entry.measurements}
    why = {target.name: target.missing for target in targets} | dict(entry.refused)
    return tuple(
        result
        for target in counting
        for result in gates.on_target(target, by_target.get(target.name), size, why[target.name])
    )


def fitting(entries: Sequence[Entry], chosen: Shortlist, targets: Sequence[TargetSettings]) -> Shortlist:
    """Take out of the sequence what fails a target's limits: it cannot win, so no test is spent on it."""
    reasons = {}
    for entry in entries:
        results = fits(entry, targets)
        if entry.id in chosen.order and gates.overall(results) != "pass":
            reasons[entry.id] = gates.first_obstacle(results)
    return chosen.without(reasons)


def verdict(
    entry: Entry, targets: Sequence[TargetSettings], settings: GateSettings, left_out: Mapping[str, str], reference: str
) -> Judged:
    """Give a candidate its final word, with every gate's result and the first reason against it."""
    results = _results(entry, targets, settings)
    word: CandidateVerdict
    if entry.bundle is None:
        word, reason = "not built", entry.obstacle or "it has no bundle"
    elif entry.certificate is None or entry.floor is None:
        word, reason = "not certified", left_out.get(entry.id, _UNTESTED if entry.is_champion else NOT_REACHED)
    else:
        word, reason = gates.overall(results), gates.first_obstacle(results)
    return Judged(
        candidate=entry.id,
        family=entry.candidate.spec.family,
        base=entry.candidate.spec.base,
        shape=entry.candidate.spec.shape,
        techniques=entry.candidate.techniques,
        predicted_bytes=entry.predicted_bytes,
        bundle=entry.bundle,
        validation=entry.validation,
        certificate=entry.certificate,
        measurements=entry.measurements,
        gates=results,
        verdict=word,
        reason=reason,
        cost_s=entry.cost_s,
        is_reference=entry.id == reference,
        is_champion=entry.is_champion,
        coverage=entry.coverage,
        refused=entry.refused,
    )


def _results(entry: Entry, targets: Sequence[TargetSettings], settings: GateSettings) -> tuple[GateResult, ...]:
    """Return the result of every gate that has something to look at."""
    if entry.bundle is None:
        return ()
    if entry.certificate is None or entry.floor is None:
        return fits(entry, targets)
    return (
        gates.quality(entry.certificate, settings),
        entry.floor,
        slices.judge(entry.certificate.slices, settings),
        *champion.judge(entry.certificate.over_champion, settings),
        *champion.knows_labels(entry.coverage),
        *(result for each in entry.certificate.elsewhere for result in _elsewhere(each, settings)),
        *fits(entry, targets),
    )


def _elsewhere(there: Elsewhere, settings: GateSettings) -> Iterator[GateResult]:
    """Yield the results of the gates of quality for what a target predicted, each named after it."""
    judged = (
        gates.quality(there.certificate, settings),
        there.floor,
        slices.judge(there.certificate.slices, settings),
    )
    yield from (replace(result, gate=f"{there.target} {result.gate}") for result in judged)


def certifiable_margin(entries: Sequence[Comparison], test_rows: int, settings: GateSettings) -> float:
    """Return the smallest margin that this test split can certify for a truly equal candidate.

    It depends on how many rows such a candidate predicts differently: the median on the validation split.
    """
    discordances = [entry.discordance for entry in entries if not entry.is_reference and entry.discordance > 0]
    typical = float(np.median(discordances)) if discordances else GUESSED_DISCORDANCE
    return stats.smallest_margin(typical, test_rows, settings.confidence)
