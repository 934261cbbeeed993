"""What follows from a decision: order, differences, levels and the nearest miss. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parsimony.decision.records import Decision, GateResult, Judged, OverChampion, Slice
from parsimony.measurement.records import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """The gate by which a candidate missed most; `shortfall` is in the unit of the gate."""

    judged: Judged
    gate: GateResult
    shortfall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step on the way from the reference to a candidate cost on the validation split, and saved in bytes.

    `name` joins the techniques between two bundles that were both built and evaluated.
    """

    name: str
    quality: float
    size_bytes: int


def steps_to(decision: Decision, judged: Judged) -> tuple[Step, ...]:
    """Return the steps from the reference to a candidate of a transformer family; none for others and for itself.

    Changes are new minus old, so that a loss of quality and a saving of bytes are both negative.
    """
    reference = decision.of(decision.reference)
    if judged.family == "linear" or judged.is_reference:
        return ()
    scored = (j for j in decision.judged if j.validation is not None and j.bundle is not None)
    family = {(j.shape, j.techniques): j for j in scored if (j.family, j.base) == (judged.family, judged.base)}
    before, pending, steps = reference, judged.shape, []
    for count in range(len(judged.techniques) + 1):
        pending = pending if count == 0 else (*pending, judged.techniques[count - 1])
        here = family.get((judged.shape, judged.techniques[:count]))
        if here is None or here == before:
            continue
        step = _step(decision, before, here, pending)
        if step is not None:
            steps.append(step)
        before, pending = here, ()
    return tuple(steps)


def _step(decision: Decision, before: Judged, here: Judged, techniques: tuple[str, ...]) -> Step | None:
    if before.validation is None or before.bundle is None or here.validation is None or here.bundle is None:
        return None
    metric = decision.gates.metric
    return Step(
        name="+".join(techniques) or "another base",
        quality=here.validation.value(metric) - before.validation.value(metric),
        size_bytes=here.bundle.size_bytes - before.bundle.size_bytes,
    )


def worst_first(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return the slices with the greatest loss first, in rows."""
    return tuple(sorted(slices, key=lambda one: (one.won - one.lost, -one.lost, one.column, one.value)))


def size_of(judged: Judged) -> int:
    """Return the bytes of the bundle, or the predicted bytes of one that was not built."""
    return judged.predicted_bytes if judged.bundle is None else judged.bundle.size_bytes


def ladder(decision: Decision) -> tuple[Judged, ...]:
    """Return the candidates smallest first; ids break ties, so the order is always the same."""
    return tuple(sorted(decision.judged, key=lambda j: (size_of(j), j.candidate)))


def built(decision: Decision) -> tuple[Judged, ...]:
    """Return the candidates that were built, smallest first."""
    return tuple(judged for judged in ladder(decision) if judged.bundle is not None)


def not_built(decision: Decision) -> tuple[Judged, ...]:
    """Return the candidates that were not built, the smallest predicted size first."""
    return tuple(judged for judged in ladder(decision) if judged.bundle is None)


def numbers(decision: Decision) -> dict[str, int]:
    """Return the number of each built candidate, from 1 for the smallest: table and figure call it by this number."""
    return {judged.candidate: number for number, judged in enumerate(built(decision), start=1)}


def champion_of(decision: Decision) -> Judged | None:
    """Return the model that was in production when the run began; None when there was none."""
    return next((judged for judged in decision.judged if judged.is_champion), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A winner beside the champion that it replaces, and their paired comparison; None where nothing could be compared."""

    champion: Judged
    winner: Judged
    over: OverChampion | None


def change_of(decision: Decision) -> Change | None:
    """Return what changes in production; None where the champion stays, or there was none."""
    champion = champion_of(decision)
    if champion is None or decision.winner is None or decision.winner == champion.candidate:
        return None
    winner = decision.of(decision.winner)
    return Change(
        champion=champion, winner=winner, over=winner.certificate.over_champion if winner.certificate else None
    )


def times_smaller(decision: Decision, judged: Judged) -> float | None:
    """Return how many times smaller than the reference a built candidate is; None when either was not built."""
    reference = decision.of(decision.reference).bundle
    if reference is None or judged.bundle is None:
        return None
    return reference.size_bytes / judged.bundle.size_bytes


def reference_quality(decision: Decision) -> float | None:
    """Return the reference's quality on the test split, from its own certificate or from any other one."""
    own = decision.of(decision.reference).certificate
    if own is not None:
        return own.score.value(decision.gates.metric)
    other = next((j.certificate for j in decision.judged if j.certificate is not None), None)
    return None if other is None else other.score.value(decision.gates.metric) - other.difference


def validation_difference(decision: Decision, judged: Judged) -> float | None:
    """Return candidate minus reference on the validation split; None when either was not scored there."""
    reference, metric = decision.of(decision.reference).validation, decision.gates.metric
    if reference is None or judged.validation is None:
        return None
    return judged.validation.value(metric) - reference.value(metric)


def slowest(judged: Judged) -> Measurement | None:
    """Return the measurement with the largest median, over all targets; None when nothing was measured."""
    return max(judged.measurements, key=lambda m: m.p50.value_ms, default=None)


def open_gates(judged: Judged) -> tuple[GateResult, ...]:
    """Return the gates that a candidate did not pass."""
    return tuple(g for g in judged.gates if g.verdict != "pass")


def further_gates(judged: Judged) -> tuple[GateResult, ...]:
    """Return the gates that a candidate did not pass and that its reason does not tell of already."""
    return tuple(gate for gate in open_gates(judged) if gate.reason not in judged.reason)


def nearest_miss(decision: Decision) -> Miss | None:
    """Return the candidate whose worst missed gate is relatively closest to its limit, None when there is none.

    A gate without a finite value cannot be near, so it disqualifies its candidate.
    """
    misses = [_worst(j) for j in decision.judged if j.verdict in ("fail", "inconclusive")]
    return min((m for m in misses if m is not None), key=_relative, default=None)


def _worst(judged: Judged) -> Miss | None:
    misses = [Miss(judged=judged, gate=g, shortfall=_shortfall(g)) for g in open_gates(judged)]
    worst = max(misses, key=_relative, default=None)
    return worst if worst is not None and math.isfinite(worst.shortfall) else None


def _shortfall(gate: GateResult) -> float:
    if gate.value is None or not math.isfinite(gate.value):
        return math.inf
    return abs(gate.value - gate.limit)


def _relative(miss: Miss) -> float:
    return miss.shortfall / abs(miss.gate.limit) if miss.gate.limit else miss.shortfall
