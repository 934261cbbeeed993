"""Which candidate wins, and whether it replaces the champion. Arithmetic only.

A champion is displaced as one that no longer passes by a gate that it fails, or because it cannot be tested any more. Missing
certainty is neither: a champion of which a gate is inconclusive stays unless what passes is smaller, or better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from parsimony.decision.champion import GATE
from parsimony.decision.records import NOTHING_SAID, GateResult, Judged, Outcome, Standing

# A new model must be at least this much smaller than the champion to replace one that still passes.
SMALLER_STEP = 0.05


def smallest(judged: Sequence[Judged]) -> Judged | None:
    """Return the smallest candidate that passes everything; of equal sizes the better one, then the lower digest."""
    return min((j for j in judged if _passes(j)), key=_rank, default=None)


def _passes(judged: Judged) -> bool:
    """Say whether the verdict is pass and everything behind it is there; no gates at all are not a pass."""
    evidence = judged.bundle is not None and judged.certificate is not None and bool(judged.gates)
    return evidence and judged.verdict == "pass" and all(gate.verdict == "pass" for gate in judged.gates)


def _rank(judged: Judged) -> tuple[int, float, str]:
    if judged.bundle is None or judged.certificate is None:
        raise ValueError(f"{judged.candidate} was not judged")
    return judged.bundle.size_bytes, -judged.certificate.difference, judged.bundle.digest


def decide(judged: Sequence[Judged], standing: Standing = NOTHING_SAID) -> tuple[Outcome, str | None, str]:
    """Return the outcome, the winner's id and the reason.

    What would be promoted while promotions are held, or was rolled back, is not: a champion that may stay stays. Where it
    fails a gate, what was not rolled back may replace it.
    """
    outcome, name, reason = _by_the_gates(judged)
    winner = next((j for j in judged if j.candidate == name), None)
    reason += _warning(winner) if outcome == "promoted" and winner else ""
    bar = standing.bar(winner.bundle.digest) if outcome == "promoted" and winner and winner.bundle else ""
    if not bar:
        return outcome, name, reason
    stopped = f"{name} would be promoted ({reason}), but {bar}"
    champion = next((j for j in judged if j.is_champion), None)
    if champion is not None and not _no_longer_passes(champion):
        return "kept", champion.candidate, f"{stopped}; the champion stays"
    if standing.hold:
        return "none", None, f"{stopped}; what is in production stays"
    gone = dict(standing.withdrawn)
    outcome, name, reason = _by_the_gates([j for j in judged if j.bundle is None or j.bundle.digest not in gone])
    return outcome, name, f"{stopped}; {reason}"


def _warning(winner: Judged) -> str:
    """Return the warning that a winner is probably worse than the champion, "" where it is not."""
    gate = next((gate for gate in winner.gates if gate.gate == GATE), None)
    over = winner.certificate.over_champion if winner.certificate else None
    if gate is None or over is None or not (over.upper_bound < 0 or over.difference < gate.limit):
        return ""
    return f"; it is probably worse than the champion: {over.difference:+.4f} on the same {over.n:,} test rows"


def _by_the_gates(judged: Sequence[Judged]) -> tuple[Outcome, str | None, str]:
    """Return the outcome, the winner's id and the reason, whatever a person has said.

    A champion that still passes stays unless a new model is smaller by at least the step, or not larger by the step and
    better beyond noise: production is not changed for noise. One that is inconclusive stays unless a new model is smaller
    by anything, or better in the same way: that one has shown what the champion has not.
    """
    winner = smallest(judged)
    champion = next((j for j in judged if j.is_champion), None)
    if winner is None:
        stays = "" if champion is None else f"; {_said_of(champion)}, and stays"
        return "none", None, _nearest_miss(judged) + stays
    if champion is None:
        return "promoted", winner.candidate, "the smallest candidate that passes every gate; there was no champion"
    if _no_longer_passes(champion):
        why = "the champion no longer passes" if _was_tested(champion) else "the champion could not be tested"
        return "promoted", winner.candidate, f"{why}: {champion.reason}"
    return _against_champion(winner, champion, judged)


def _said_of(champion: Judged) -> str:
    tested = "does not pass either" if _was_tested(champion) else "could not be tested"
    return f"the champion {tested} ({champion.reason})"


def _no_longer_passes(champion: Judged) -> bool:
    """Say whether a champion fails a gate, or cannot be tested any more: there is nothing that a gate could look at."""
    evidence = champion.bundle is not None and champion.certificate is not None and bool(champion.gates)
    if not evidence or champion.verdict not in ("pass", "inconclusive"):
        return True
    return any(gate.verdict == "fail" or (gate.verdict != "pass" and not _has_value(gate)) for gate in champion.gates)


def _was_tested(champion: Judged) -> bool:
    """Say whether a gate has looked at a champion at all: of what nothing was tested, nothing is said to fail."""
    return champion.certificate is not None and champion.verdict not in ("not built", "not certified")


def _has_value(gate: GateResult) -> bool:
    return gate.value is not None and math.isfinite(gate.value)


def _against_champion(winner: Judged, champion: Judged, judged: Sequence[Judged]) -> tuple[Outcome, str | None, str]:
    if winner.bundle is None or champion.bundle is None:
        raise ValueError("winner and champion need a bundle each")
    saved = 1 - winner.bundle.size_bytes / champion.bundle.size_bytes
    sure = _passes(champion)
    if saved >= SMALLER_STEP if sure else saved > 0:
        beside = "" if sure else f"; the champion is inconclusive: {champion.reason}"
        percent = f"{saved:.0%}" if saved >= 0.01 else f"{saved:.2%}"
        return "promoted", winner.candidate, f"{percent} smaller than the champion and passes every gate{beside}"
    most_bytes = (1 + SMALLER_STEP) * champion.bundle.size_bytes
    if better := smallest([j for j in judged if _is_better(j, most_bytes)]):
        return "promoted", better.candidate, "better than the champion beyond noise, not larger, and passes every gate"
    if winner.bundle.digest == champion.bundle.digest:
        return "kept", champion.candidate, "the champion is still the smallest candidate that passes every gate"
    reason = f"the champion still passes and the best new candidate is not {SMALLER_STEP:.0%} smaller"
    if not sure:
        reason = f"no gate shows that the champion fails, and nothing smaller passes; not certain: {champion.reason}"
    return "kept", champion.candidate, reason


def _is_better(judged: Judged, most_bytes: float) -> bool:
    """Say whether a candidate is better than the champion beyond noise, and of less than so many bytes."""
    over = judged.certificate.over_champion if judged.certificate else None
    size_bytes = judged.bundle.size_bytes if judged.bundle else math.inf
    return over is not None and over.lower_bound > 0 and size_bytes < most_bytes


def _nearest_miss(judged: Sequence[Judged]) -> str:
    """Name the candidate with the best bound on the test split, or the best on the validation split if none was tested."""
    new = [j for j in judged if not j.is_champion]
    if tested := [(j.certificate.lower_bound, j) for j in new if j.certificate is not None]:
        best = max(tested, key=lambda pair: pair[0])[1]
        return f"no candidate passes every gate; nearest is {best.candidate}: {best.reason}"
    stopped = [(j.validation.accuracy, j) for j in new if j.validation is not None and _obstacle(j)]
    if not stopped:
        return "no candidate reached the test split"
    best = max(stopped, key=lambda pair: pair[0])[1]
    return f"no candidate reached the test split; nearest is {best.candidate}: {_obstacle(best)}"


def _obstacle(judged: Judged) -> str:
    """Return the first gate that a candidate did not pass, with its reason; empty when there is none."""
    return next((f"{gate.gate}: {gate.reason}" for gate in judged.gates if gate.verdict != "pass"), "")
