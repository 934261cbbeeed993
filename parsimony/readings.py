"""What can be read off a decision: order, names, levels and the nearest miss. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parsimony import stats
from parsimony.records import Decision, GateResult, Judged, Measurement, Quantile, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """The gate by which a candidate missed most; `shortfall` is in the unit of the gate."""

    judged: Judged
    gate: GateResult
    shortfall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step on the way from the reference to a candidate cost on the search split, and saved in bytes.

    `name` joins the techniques between two bundles that were both built and answered.
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
    seen = {j.candidate: j for j in decision.judged if j.search is not None and j.bundle is not None}
    head, _, tail = judged.candidate.partition(")") if ")" in judged.candidate else judged.candidate.partition("+")
    trunk = head + (")" if ")" in judged.candidate else "")
    after = tuple(name for name in tail.split("+") if name)
    before, pending, found = reference, judged.techniques[: len(judged.techniques) - len(after)], []
    for count in range(len(after) + 1):
        pending = pending if count == 0 else (*pending, after[count - 1])
        here = seen.get("+".join((trunk, *after[:count])))
        if here is None or here == before:
            continue
        step = _step(decision, before, here, pending)
        if step is not None:
            found.append(step)
        before, pending = here, ()
    return tuple(found)


def _step(decision: Decision, before: Judged, here: Judged, techniques: tuple[str, ...]) -> Step | None:
    if before.search is None or before.bundle is None or here.search is None or here.bundle is None:
        return None
    metric = decision.gates.metric
    return Step(
        name="+".join(techniques) or "another base",
        quality=here.search.value(metric) - before.search.value(metric),
        size_bytes=here.bundle.size_bytes - before.bundle.size_bytes,
    )


def worst_first(found: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return the slices with the greatest loss first, in rows."""
    return tuple(sorted(found, key=lambda one: (one.won - one.lost, -one.lost, one.column, one.value)))


def size_of(judged: Judged) -> int:
    """Return the bytes of the bundle, or the predicted bytes of one that was not built."""
    return judged.predicted_bytes if judged.bundle is None else judged.bundle.size_bytes


def ladder(decision: Decision) -> tuple[Judged, ...]:
    """Return the candidates smallest first; ids break ties, so the order is always the same."""
    return tuple(sorted(decision.judged, key=lambda j: (size_of(j), j.candidate)))


def short_names(decision: Decision) -> dict[str, str]:
    """Return each candidate's id without the base in parentheses, where that still tells it from the others."""
    short = {j.candidate: without_base(j.candidate) for j in decision.judged}
    taken = list(short.values())
    return {name: cut if taken.count(cut) == 1 else name for name, cut in short.items()}


def without_base(candidate: str) -> str:
    """Return a candidate's id without the base in parentheses."""
    head, opening, rest = candidate.partition("(")
    _, closing, tail = rest.rpartition(")")
    return head + tail if opening and closing else candidate


def times_smaller(decision: Decision, judged: Judged) -> float | None:
    """Return how many times smaller than the reference a built candidate is; None when either was not built."""
    reference = decision.of(decision.reference).bundle
    if reference is None or judged.bundle is None:
        return None
    return reference.size_bytes / judged.bundle.size_bytes


def reference_quality(decision: Decision) -> float | None:
    """Return the reference's quality on the sealed split, from its own certificate or from any other one."""
    own = decision.of(decision.reference).certificate
    if own is not None:
        return own.score.value(decision.gates.metric)
    found = [j.certificate for j in decision.judged if j.certificate is not None]
    return found[0].score.value(decision.gates.metric) - found[0].difference if found else None


def slowest(judged: Judged) -> Measurement | None:
    """Return the measurement with the largest median, over all targets; None when nothing was measured."""
    return max(judged.measurements, key=lambda m: m.p50.value_ms, default=None)


def p99_of(seen: Measurement) -> Quantile | None:
    """Return the 99th percentile of a measurement, None with too few samples for its interval to have an upper end."""
    return seen.p99 if seen.samples >= stats.fewest_samples(0.99) else None


def open_gates(judged: Judged) -> tuple[GateResult, ...]:
    """Return the gates that a candidate did not pass."""
    return tuple(g for g in judged.gates if g.verdict != "pass")


def nearest_miss(decision: Decision) -> Miss | None:
    """Return the candidate whose worst missed gate is relatively closest to its limit, None when none was seen.

    A gate without a finite value cannot be near, so it disqualifies its candidate.
    """
    misses = [_worst(j) for j in decision.judged if j.verdict in ("fail", "inconclusive")]
    return min((m for m in misses if m is not None), key=_relative, default=None)


def _worst(judged: Judged) -> Miss | None:
    misses = [Miss(judged=judged, gate=g, shortfall=_shortfall(g)) for g in open_gates(judged)]
    worst = max(misses, key=_relative, default=None)
    return worst if worst is not None and math.isfinite(worst.shortfall) else None


def _shortfall(gate: GateResult) -> float:
    if gate.seen is None or not math.isfinite(gate.seen):
        return math.inf
    return abs(gate.seen - gate.limit)


def _relative(miss: Miss) -> float:
    return miss.shortfall / abs(miss.gate.limit) if miss.gate.limit else miss.shortfall
