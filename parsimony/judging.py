"""From answers to verdicts: what the search split says, what the sealed split certifies, and the final word."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from parsimony import gates, slices, stats
from parsimony.records import (
    BuiltBundle,
    Candidate,
    CandidateVerdict,
    Certificate,
    GateResult,
    GateSettings,
    Judged,
    Measurement,
    Score,
    TargetSettings,
)
from parsimony.selection import Searched, Shortlist

# Share of rows that a good candidate answers differently, before anything was seen.
GUESSED_DISCORDANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A candidate on its way to a verdict: filled from left to right, never changed in place."""

    candidate: Candidate
    predicted_bytes: int
    cost_s: float = 0.0
    bundle: BuiltBundle | None = None
    answers: np.ndarray | None = None
    search: Score | None = None
    measurements: tuple[Measurement, ...] = ()
    certificate: Certificate | None = None
    floor: GateResult | None = None
    is_champion: bool = False
    obstacle: str = ""

    @property
    def id(self) -> str:
        """The candidate's name."""
        return self.candidate.id


def searched(entry: Entry, reference: Entry, truth: np.ndarray, settings: GateSettings) -> Searched:
    """Compare a candidate with the reference on the search split, row by row."""
    if entry.answers is None or reference.answers is None or entry.search is None or reference.search is None:
        raise ValueError(f"{entry.id} has no answers on the search split")
    if entry.bundle is None:
        raise ValueError(f"{entry.id} has no bundle")
    apart = (entry.answers == truth) != (reference.answers == truth)
    return Searched(
        candidate=entry.id,
        size_bytes=entry.bundle.size_bytes,
        rows=len(truth),
        difference=entry.search.value(settings.metric) - reference.search.value(settings.metric),
        discordance=float(apart.mean()),
        is_reference=entry.id == reference.id,
    )


def fits(entry: Entry, targets: Sequence[TargetSettings]) -> tuple[GateResult, ...]:
    """Return the results of every target's gates for one candidate; no target at all is not enough to pass."""
    if not targets:
        reason = "no target is named, so it was measured nowhere"
        return (GateResult(gate="targets", verdict="inconclusive", seen=None, limit=0.0, reason=reason),)
    size = None if entry.bundle is None else entry.bundle.size_bytes
    seen = {measurement.target: measurement for measurement in entry.measurements}
    return tuple(result for target in targets for result in gates.on_target(target, seen.get(target.name), size))


def fitting(entries: Sequence[Entry], chosen: Shortlist, targets: Sequence[TargetSettings]) -> Shortlist:
    """Take out of the sequence what fails a target's limits: it cannot win, so no test is spent on it."""
    left_out = dict(chosen.left_out)
    for entry in entries:
        results = fits(entry, targets)
        if entry.id in chosen.order and gates.overall(results) != "pass":
            left_out[entry.id] = gates.first_obstacle(results)
    order = tuple(name for name in chosen.order if name not in left_out)
    return Shortlist(order=order, left_out=tuple(left_out.items()))


def certify(
    order: Sequence[str],
    answers: Callable[[str], np.ndarray],
    reference: str,
    truth: np.ndarray,
    classes: int,
    rows: slices.Rows,
    settings: GateSettings,
    seed: int,
) -> dict[str, tuple[Certificate, GateResult]]:
    """Test the candidates in this order on the sealed split and stop at the first that does not pass both tests.

    `answers` gives a candidate's class numbers [sealed rows]; it is not asked for candidates that are not tested, and
    for nobody when there is nothing to test. A fixed order with a stop at the first failure keeps the chance of one
    false certificate, by margin or by floor, at 1 - confidence. A harmed slice takes a certificate's worth away later
    and stops nothing here.
    """
    if not order:
        return {}
    found: dict[str, tuple[Certificate, GateResult]] = {}
    baseline = answers(reference)
    for position, name in enumerate(order, start=1):
        if name == reference:
            mine, certificate = baseline, gates.certify_itself(truth, baseline, classes, rows, position=position)
        else:
            mine = answers(name)
            certificate = gates.certify(truth, baseline, mine, classes, rows, settings, position=position, seed=seed)
        floor = gates.floor(truth, mine, classes, settings, seed)
        found[name] = certificate, floor
        if {certificate.verdict, floor.verdict} != {"pass"}:
            break
    return found


def certified(
    entries: Sequence[Entry],
    order: Sequence[str],
    answers: Callable[[str], np.ndarray],
    reference: str,
    truth: np.ndarray,
    classes: int,
    rows: slices.Rows,
    settings: GateSettings,
    seed: int,
) -> list[Entry]:
    """Return the entries with certificates: those of the sequence, and the champion's, which is tested by itself.

    Each of the others is compared with the champion, too.
    """
    kept = cache(answers)
    found = certify(order, kept, reference, truth, classes, rows, settings, seed)
    for entry in entries:
        if entry.is_champion and entry.bundle is not None:
            if entry.id not in found:
                found |= certify((entry.id,), kept, reference, truth, classes, rows, settings, seed)
            others = [name for name in found if name != entry.id]
            for name in others:
                certificate, floor = found[name]
                bound = gates.gain(truth, kept(entry.id), kept(name), classes, settings, tests=len(others), seed=seed)
                found[name] = replace(certificate, over_champion=bound), floor
    return with_certificates(entries, found)


def verdict(
    entry: Entry, targets: Sequence[TargetSettings], settings: GateSettings, left_out: Mapping[str, str], reference: str
) -> Judged:
    """Give a candidate its final word, with every gate's result and the first reason against it."""
    word: CandidateVerdict
    results: tuple[GateResult, ...] = ()
    if entry.bundle is None:
        word, reason = "not built", entry.obstacle or "it has no bundle"
    elif entry.certificate is None or entry.floor is None:
        results = fits(entry, targets)
        word, reason = "not certified", left_out.get(entry.id, "the sequence of tests ended before it")
    else:
        harm = slices.judge(entry.certificate.slices, settings)
        results = (gates.quality(entry.certificate, settings), entry.floor, harm, *fits(entry, targets))
        word, reason = gates.overall(results), gates.first_obstacle(results)
    return Judged(
        candidate=entry.id,
        family=entry.candidate.trunk.family,
        base=entry.candidate.trunk.base,
        techniques=entry.candidate.techniques,
        predicted_bytes=entry.predicted_bytes,
        bundle=entry.bundle,
        search=entry.search,
        certificate=entry.certificate,
        measurements=entry.measurements,
        gates=results,
        verdict=word,
        reason=reason,
        cost_s=entry.cost_s,
        is_reference=entry.id == reference,
        is_champion=entry.is_champion,
    )


def certifiable_margin(entries: Sequence[Searched], sealed: int, settings: GateSettings) -> float:
    """Return the smallest margin that this sealed split can certify for a truly equal candidate.

    It depends on how many rows such a candidate answers differently: the median seen on the search split.
    """
    apart = [entry.discordance for entry in entries if not entry.is_reference and entry.discordance > 0]
    typical = float(np.median(apart)) if apart else GUESSED_DISCORDANCE
    return stats.smallest_margin(typical, sealed, settings.confidence)


def with_certificates(entries: Sequence[Entry], found: Mapping[str, tuple[Certificate, GateResult]]) -> list[Entry]:
    """Return the entries with their certificates."""
    return [
        replace(entry, certificate=found[entry.id][0], floor=found[entry.id][1]) if entry.id in found else entry
        for entry in entries
    ]
