"""Which candidates are certified, in which order, and which one wins. Arithmetic only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from parsimony import stats
from parsimony.records import GateSettings, Judged, Outcome

# A new model must be at least this much smaller than the champion to replace one that still passes.
SMALLER_STEP = 0.05
# A candidate with less than this chance to be certified is not tested: it would cost sealed answers, not certainty.
_LEAST_CHANCE = 0.05
_IN_THE_WAY = "not tested: if it failed it would end the tests before smaller ones that promise more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One built candidate on the search split of `rows` rows, compared with the reference row by row."""

    candidate: str
    size_bytes: int
    rows: int
    difference: float
    discordance: float
    is_reference: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The candidates to certify, safest first, and why each other one is not among them."""

    order: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def chance(entry: Searched, sealed: int, gates: GateSettings) -> float:
    """Return the chance that `sealed` rows certify a candidate, from what the search split shows of it.

    Normal approximation: the sealed difference scatters around the search difference with the variance of both
    splits. A row is assumed apart at least once, so that a small search split is never certain. NaN stays NaN.
    """
    apart = max(entry.discordance, 1 / entry.rows)
    gap: float = stats.z_of(gates.confidence) * (apart / sealed) ** 0.5
    scatter: float = (apart / entry.rows + apart / sealed) ** 0.5
    return NormalDist().cdf((entry.difference + gates.margin - gap) / scatter)


def shortlist(entries: Sequence[Searched], sealed: int, gates: GateSettings) -> Shortlist:
    """Choose on the search split alone; the order is fixed before the sealed split is read.

    First comes the reference, which is equal to itself. Kept are candidates with a chance, however small, that no
    other one beats in both size and chance: a safer, larger one stays as what can still win when the smallest is not
    certified. Safest first, because testing stops at the first failure (Pareto Testing, Laufer-Goldshtein et al.
    2023; Learn then Test, Angelopoulos et al. 2021): no correction for the number of candidates is needed. Whoever is
    tested may also end the sequence, so of the front only those are tested that promise the largest saving together.
    """
    chances = {entry.candidate: chance(entry, sealed, gates) for entry in entries}
    new = [entry for entry in entries if not entry.is_reference]
    left_out = _hopeless(new, chances, sealed)
    hopeful = [entry for entry in new if entry.candidate not in left_out]
    front = []
    for entry in hopeful:
        better = _dominating(entry, hopeful, chances)
        if better is None:
            front.append(entry)
        else:
            left_out[entry.candidate] = f"{better.candidate} is no larger and no less safe on the search split"
    front.sort(key=lambda e: -chances[e.candidate])
    first = [entry for entry in entries if entry.is_reference]
    tested = _most_promising(front, chances, max((e.size_bytes for e in entries), default=0))
    left_out |= {e.candidate: _IN_THE_WAY for e in front if e not in tested}
    return Shortlist(order=tuple(e.candidate for e in (*first, *tested)), left_out=tuple(left_out.items()))


def _most_promising(front: Sequence[Searched], chances: Mapping[str, float], start_bytes: int) -> tuple[Searched, ...]:
    """Return the part of the front, in its order, whose expected saving is largest.

    Each candidate that passes saves log(size before / its size), and the first that does not ends the sequence. Solved
    from the end of the front: every candidate with its best continuation.
    """
    best: list[tuple[Searched, float, tuple[Searched, ...]]] = []  # after this one passed: what more is expected, how

    def continuation(size_bytes: int, passed: float) -> tuple[float, tuple[Searched, ...]]:
        found: tuple[float, tuple[Searched, ...]] = (0.0, ())
        for entry, later, rest in best:
            gain = _given(passed, chances[entry.candidate]) * (math.log(size_bytes / entry.size_bytes) + later)
            if gain > found[0]:
                found = gain, (entry, *rest)
        return found

    for entry in reversed(front):
        best.append((entry, *continuation(entry.size_bytes, chances[entry.candidate])))
    return continuation(start_bytes, 1.0)[1]


def _given(passed: float, chance: float) -> float:
    """Return the chance of a candidate after a safer one has passed: half-way between independent and nested."""
    return (chance + chance / passed) / 2


def _hopeless(entries: Sequence[Searched], chances: Mapping[str, float], sealed: int) -> dict[str, str]:
    """Return, with the reason, the candidates that would hardly be certified; a chance of NaN is among them."""
    return {
        entry.candidate: f"{entry.difference:+.4f} against the reference on the search split: "
        f"{chances[entry.candidate]:.1%} chance that {sealed:,} sealed rows certify it"
        for entry in entries
        if not chances[entry.candidate] >= _LEAST_CHANCE
    }


def _dominating(entry: Searched, others: Sequence[Searched], chances: Mapping[str, float]) -> Searched | None:
    def rank(one: Searched) -> tuple[int, float, str]:
        return one.size_bytes, -chances[one.candidate], one.candidate

    for other in others:
        as_good = other.size_bytes <= entry.size_bytes and chances[other.candidate] >= chances[entry.candidate]
        if as_good and rank(other) < rank(entry):
            return other
    return None


def smallest(judged: Sequence[Judged]) -> Judged | None:
    """Return the smallest candidate that passes everything; equal sizes are told apart by quality, then digest."""
    return min((j for j in judged if _passes(j)), key=_rank, default=None)


def _passes(judged: Judged) -> bool:
    """Say whether the verdict is pass and everything behind it is there; no gates at all are not a pass."""
    evidence = judged.bundle is not None and judged.certificate is not None and bool(judged.gates)
    return evidence and judged.verdict == "pass" and all(gate.verdict == "pass" for gate in judged.gates)


def _rank(judged: Judged) -> tuple[int, float, str]:
    if judged.bundle is None or judged.certificate is None:
        raise ValueError(f"{judged.candidate} was not judged")
    return judged.bundle.size_bytes, -judged.certificate.difference, judged.bundle.digest


def decide(judged: Sequence[Judged]) -> tuple[Outcome, str | None, str]:
    """Return the outcome, the winner's id and the reason.

    A champion that still passes stays unless a new model is smaller by at least the step, or not larger by the step and
    better beyond noise: production is not changed for noise.
    """
    winner = smallest(judged)
    champion = next((j for j in judged if j.is_champion), None)
    if winner is None:
        stays = "" if champion is None else f"; the champion does not pass either ({champion.reason}), and stays"
        return "none", None, _nearest_miss(judged) + stays
    if champion is None:
        return "promoted", winner.candidate, "the smallest candidate that passes every gate; there was no champion"
    if not _passes(champion):
        return "promoted", winner.candidate, f"the champion no longer passes: {champion.reason}"
    return _against_champion(winner, champion, judged)


def _against_champion(winner: Judged, champion: Judged, judged: Sequence[Judged]) -> tuple[Outcome, str | None, str]:
    if winner.bundle is None or champion.bundle is None:
        raise ValueError("winner and champion need a bundle each")
    saved = 1 - winner.bundle.size_bytes / champion.bundle.size_bytes
    if saved >= SMALLER_STEP:
        return "promoted", winner.candidate, f"{saved:.0%} smaller than the champion and passes every gate"
    most_bytes = (1 + SMALLER_STEP) * champion.bundle.size_bytes
    if better := smallest([j for j in judged if _is_better(j, most_bytes)]):
        return "promoted", better.candidate, "better than the champion beyond noise, not larger, and passes every gate"
    if winner.bundle.digest == champion.bundle.digest:
        return "kept", champion.candidate, "the champion is still the smallest candidate that passes every gate"
    reason = f"the champion still passes and the best new candidate is not {SMALLER_STEP:.0%} smaller"
    return "kept", champion.candidate, reason


def _is_better(judged: Judged, most_bytes: float) -> bool:
    """Say whether a candidate is better than the champion beyond noise, and of less than so many bytes."""
    over = judged.certificate.over_champion if judged.certificate else None
    size_bytes = judged.bundle.size_bytes if judged.bundle else math.inf
    return over is not None and over > 0 and size_bytes < most_bytes


def _nearest_miss(judged: Sequence[Judged]) -> str:
    """Name the candidate with the best bound on the sealed split, or the best on the search split if none was tested."""
    new = [j for j in judged if not j.is_champion]
    if tested := [(j.certificate.lower_bound, j) for j in new if j.certificate is not None]:
        best = max(tested, key=lambda pair: pair[0])[1]
        return f"no candidate passes every gate; nearest is {best.candidate}: {best.reason}"
    stopped = [(j.search.accuracy, j) for j in new if j.search is not None and _obstacle(j)]
    if not stopped:
        return "no candidate reached the sealed split"
    best = max(stopped, key=lambda pair: pair[0])[1]
    return f"no candidate reached the sealed split; nearest is {best.candidate}: {_obstacle(best)}"


def _obstacle(judged: Judged) -> str:
    """Return the first gate that a candidate did not pass, with its reason; empty when there is none."""
    return next((f"{gate.gate}: {gate.reason}" for gate in judged.gates if gate.verdict != "pass"), "")
