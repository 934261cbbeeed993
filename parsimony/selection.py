"""Which candidates are certified, in which order, and which one wins. Arithmetic only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parsimony import stats
from parsimony.records import GateSettings, Judged, Outcome

# A new model must be this much smaller than the champion to replace one that still passes.
SMALLER_STEP = 0.05
_LONGEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One built candidate on the search split, compared with the reference row by row."""

    candidate: str
    size_bytes: int
    value: float
    difference: float
    discordance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The candidates to certify, safest first, and why each other one is not among them."""

    order: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def expected_bound(entry: Searched, rows: int, gates: GateSettings) -> float:
    """Return the lower bound that the sealed split would give if the search split told the truth."""
    spread: float = stats.z_of(gates.confidence) * (entry.discordance / rows) ** 0.5
    return entry.difference - spread


def shortlist(entries: Sequence[Searched], rows: int, gates: GateSettings) -> Shortlist:
    """Choose on the search split alone; the order is fixed before the sealed split is read.

    Kept are candidates that no other one beats in both size and quality and that would probably be certified on
    `rows` rows. Safest first, because testing stops at the first failure (Pareto Testing, Laufer-Goldshtein et
    al. 2023; Learn then Test, Angelopoulos et al. 2021): no correction for the number of candidates is needed.
    """
    left_out: dict[str, str] = {}
    hopeful = []
    for entry in entries:
        bound = expected_bound(entry, rows, gates)
        if bound > -gates.margin:
            hopeful.append(entry)
        else:
            left_out[entry.candidate] = (
                f"on the search split {entry.difference:+.4f} against the reference: {rows:,} sealed rows would "
                f"probably give a bound of {bound:+.4f}, allowed is {-gates.margin:+.4f}"
            )
    front = []
    for entry in hopeful:
        better = _dominating(entry, hopeful)
        if better is None:
            front.append(entry)
        else:
            left_out[entry.candidate] = f"{better.candidate} is no larger and no worse on the search split"
    front.sort(key=lambda e: (-expected_bound(e, rows, gates), -e.size_bytes, e.candidate))
    for entry in sorted(front, key=lambda e: e.size_bytes)[_LONGEST:]:
        front.remove(entry)
        left_out[entry.candidate] = f"{_LONGEST} smaller candidates are tested first"
    return Shortlist(order=tuple(e.candidate for e in front), left_out=tuple(left_out.items()))


def _dominating(entry: Searched, others: Sequence[Searched]) -> Searched | None:
    for other in others:
        as_good = other.size_bytes <= entry.size_bytes and other.value >= entry.value
        better = (other.size_bytes, -other.value, other.candidate) < (entry.size_bytes, -entry.value, entry.candidate)
        if other is not entry and as_good and better:
            return other
    return None


def smallest(judged: Sequence[Judged]) -> Judged | None:
    """Return the smallest candidate that passes everything; equal sizes are told apart by quality, then digest."""
    passing = [j for j in judged if j.verdict == "pass" and j.bundle is not None and j.certificate is not None]
    return min(passing, key=_rank, default=None)


def _rank(judged: Judged) -> tuple[int, float, str]:
    if judged.bundle is None or judged.certificate is None:
        raise ValueError(f"{judged.candidate} was not judged")
    return judged.bundle.size_bytes, -judged.certificate.difference, judged.bundle.digest


def decide(judged: Sequence[Judged]) -> tuple[Outcome, str | None, str]:
    """Return the outcome, the winner's id and the reason.

    A champion that still passes stays unless the new model is smaller by more than the step: production is not
    changed for noise.
    """
    winner = smallest(judged)
    champion = next((j for j in judged if j.is_champion), None)
    if winner is None:
        return "none", None, _nearest_miss(judged)
    if champion is None:
        return "promoted", winner.candidate, "the smallest candidate that passes every gate; there was no champion"
    if champion.verdict != "pass":
        return "promoted", winner.candidate, f"the champion no longer passes: {champion.reason}"
    return _against_champion(winner, champion)


def _against_champion(winner: Judged, champion: Judged) -> tuple[Outcome, str | None, str]:
    if winner.bundle is None or champion.bundle is None:
        raise ValueError("winner and champion need a bundle each")
    if winner.bundle.digest == champion.bundle.digest:
        return "kept", champion.candidate, "the champion is still the smallest candidate that passes every gate"
    saved = 1 - winner.bundle.size_bytes / champion.bundle.size_bytes
    if saved > SMALLER_STEP:
        return "promoted", winner.candidate, f"{saved:.0%} smaller than the champion and passes every gate"
    reason = f"the champion still passes and the best new candidate is not {SMALLER_STEP:.0%} smaller"
    return "kept", champion.candidate, reason


def _nearest_miss(judged: Sequence[Judged]) -> str:
    tested = [j for j in judged if j.certificate is not None]
    if not tested:
        return "no candidate reached the sealed split"
    best = max(tested, key=lambda j: j.certificate.lower_bound if j.certificate else float("-inf"))
    return f"no candidate passes every gate; nearest is {best.candidate}: {best.reason}"
