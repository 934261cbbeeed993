"""Which student is trained next, and why the others are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from parsimony.candidates import Candidate, ModelSpec, trims
from parsimony.decision.chances import Comparison, Question, chances

# The smallest student with the first chance to be certified is looked for, then the smallest one with the second, in case
# the other is not.
HOPEFUL, SAFE = 0.5, 0.8


_Step = TypeVar("_Step")
Vocabulary = Literal["trimmed", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What is known while students are trained, one by one, for their trimmed bundles first, then for whole ones.

    `students` are sorted from the largest bundle, `sizes` are the predicted bytes of every candidate, `trained` are in
    the order of their training, `skipped` come with the reason.
    """

    students: tuple[ModelSpec, ...]
    sizes: Mapping[Candidate, int]
    trained: tuple[ModelSpec, ...] = ()
    skipped: tuple[tuple[ModelSpec, str], ...] = ()
    vocabulary: Vocabulary = "trimmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The time that is left for training students, in seconds, of `minutes` for the whole run, and what each costs."""

    minutes: float
    left_s: float
    cost_s: Callable[[ModelSpec], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The student to train next, None when there is none; those in question; and the climb as it is now."""

    climb: Climb
    in_question: tuple[ModelSpec, ...]
    student: ModelSpec | None


def in_question(students: Sequence[ModelSpec], chances: Mapping[ModelSpec, float]) -> tuple[ModelSpec, ...]:
    """Return the students that may still be worth training.

    `students` are sorted from the largest; `chances` holds, for those that are trained, the chance that the safest of
    their bundles is certified. First the smallest hopeful one is looked for, then the smallest safe one.
    """
    return _between(students, chances, HOPEFUL) or _between(students, chances, SAFE)


def _between(students: Sequence[_Step], chances: Mapping[_Step, float], least: float) -> tuple[_Step, ...]:
    """Return the students among which the smallest one with this chance must be.

    What is larger than one that has it is not the smallest; what is smaller than one that has it not is taken not to
    have it either.
    """
    low, high = 0, len(students)
    for place, student in enumerate(students):
        if (known := chances.get(student)) is None:
            continue
        if known >= least:
            low = place + 1
        else:
            high = min(high, place)
    return tuple(students[low:high])


def next_step(climb: Climb, chances: Mapping[Candidate, float], budget: Budget) -> Step:
    """Return the student in the middle of those in question: a bisection, trimmed bundles first, then whole ones.

    chances: of every candidate that was evaluated so far, to be certified. Students with which the run would not end
    within its budget are skipped from here on.
    """
    known = chances_of(climb.trained, chances, climb.vocabulary)
    climb = _without_late(climb, budget)
    skipped = dict(climb.skipped)
    left = in_question([student for student in climb.students if student not in skipped], known)
    if climb.vocabulary == "whole":
        left = smaller_whole(left, climb.sizes, chances)
    if left or climb.vocabulary == "whole":
        return Step(climb=climb, in_question=left, student=left[len(left) // 2] if left else None)
    return next_step(replace(climb, vocabulary="whole"), chances, budget)


def next_between(sizes: Mapping[Candidate, int], chances: Mapping[Candidate, float]) -> Candidate | None:
    """Return the vocabulary between the trimmed and the whole one to try next, of a model that is trained; None when none would pay.

    Of a model whose trimmed bundle is not hopeful while the one with all its words is, the least that is hopeful is looked for by
    bisection, among those that are smaller than every hopeful candidate so far.
    """
    least = min((sizes[c] for c, p in chances.items() if p >= HOPEFUL), default=math.inf)
    for chain in _by_vocabulary(sizes):
        left = [c for c in _between(chain, chances, HOPEFUL) if sizes[c] < least]
        if chain[0] in chances and left:
            return left[len(left) // 2]
    return None


def not_between(sizes: Mapping[Candidate, int], chances: Mapping[Candidate, float]) -> dict[Candidate, str]:
    """Return why each vocabulary between that was not tried was not, of models that are trained."""
    why = {}
    for chain in _by_vocabulary(sizes):
        tried = [c for c in chain if c in chances]
        for place, candidate in enumerate(chain):
            if candidate in chances or not tried:
                continue
            larger = [c for c in chain[:place] if chances.get(c, 1.0) < HOPEFUL]
            smaller = [c for c in tried if c not in chain[:place] and chances[c] >= HOPEFUL]
            least = min((c for c, p in chances.items() if p >= HOPEFUL), key=sizes.__getitem__, default=candidate)
            other = larger[-1] if larger else smaller[-1] if smaller else least
            kind, only = ("larger", " only") if larger else ("smaller", "")
            why[candidate] = f"not built: {other.id} is {kind} and has a chance of {chances.get(other, 0.0):.0%}{only}"
    return why


def _by_vocabulary(sizes: Mapping[Candidate, int]) -> list[list[Candidate]]:
    """Return, of every model with vocabularies between, its candidates that differ in their vocabulary alone, the largest first."""
    alike: dict[tuple[ModelSpec, tuple[str, ...]], list[Candidate]] = {}
    for candidate in sizes:
        rest = tuple(name for name in candidate.techniques if not trims(name))
        alike.setdefault((candidate.spec, rest), []).append(candidate)
    chains = [sorted(chain, key=sizes.__getitem__, reverse=True) for chain in alike.values() if len(chain) > 2]
    return sorted(chains, key=lambda chain: sizes[chain[0]])


def between(candidate: Candidate) -> bool:
    """Say whether a candidate's vocabulary lies between the trimmed and the whole one."""
    return candidate.trimmed and "trim" not in candidate.techniques


def _without_late(climb: Climb, budget: Budget) -> Climb:
    skipped = dict(climb.skipped)
    reason = f"not trained: the run would not end within its budget of {budget.minutes:g} minutes"
    late = [
        s for s in climb.students if s not in climb.trained and s not in skipped and budget.cost_s(s) > budget.left_s
    ]
    return replace(climb, skipped=(*climb.skipped, *((student, reason) for student in late)))


def progress(climb: Climb, chances: Mapping[Candidate, float]) -> str:
    """Say what chance the student has that was trained last; nothing before the first."""
    if not climb.trained:
        return ""
    last, kind = climb.trained[-1], "trimmed" if climb.vocabulary == "trimmed" else "with all its words"
    chance = chances_of(climb.trained, chances, climb.vocabulary)[last]
    return f"{last.id}, {kind}, has a chance of {chance:.0%} to be certified"


def reasons(climb: Climb, chances: Mapping[Candidate, float]) -> dict[ModelSpec, str]:
    """Return why each student that was not trained was not."""
    return dict(climb.skipped) | pointless(climb.students, chances_of(climb.trained, chances, "trimmed"))


def pointless(students: Sequence[ModelSpec], chances: Mapping[ModelSpec, float]) -> dict[ModelSpec, str]:
    """Return why each student that the bisection passed over was passed over."""
    why = {}
    for place, student in enumerate(students):
        smaller = [t for t in students[place + 1 :] if chances.get(t, 0.0) >= HOPEFUL]
        larger = [t for t in students[:place] if t in chances]
        if student in chances:
            continue
        if smaller:
            why[student] = f"not trained: {smaller[-1].id} is smaller and has a chance of {chances[smaller[-1]]:.0%}"
        elif larger:
            why[student] = f"not trained: {larger[-1].id} is larger and has a chance of {chances[larger[-1]]:.0%} only"
    return why


def certification_chances(
    candidates: Iterable[Candidate], comparisons: Sequence[Comparison], question: Question
) -> dict[Candidate, float]:
    """Return the chance to be certified of every candidate that was compared with the reference."""
    known = chances(comparisons, question)
    return {c: known[c.id] for c in candidates if c.id in known}


def chances_of(
    trained: Sequence[ModelSpec], chances: Mapping[Candidate, float], vocabulary: Vocabulary
) -> dict[ModelSpec, float]:
    """Return the chance of each student's safest bundle, trimmed or with all its words; 0 where none could be built."""
    mine = {c: p for c, p in chances.items() if c.trimmed == (vocabulary == "trimmed")}
    return {spec: max((p for c, p in mine.items() if c.spec == spec), default=0.0) for spec in trained}


def smaller_whole(
    students: Sequence[ModelSpec], sizes: Mapping[Candidate, int], chances: Mapping[Candidate, float]
) -> tuple[ModelSpec, ...]:
    """Return the students of which a bundle with all its words would be smaller than every hopeful one so far.

    sizes: predicted bytes of every candidate.
    """
    least = min((sizes[c] for c, p in chances.items() if p >= HOPEFUL), default=math.inf)
    small = {c.spec for c, size in sizes.items() if not c.trimmed and size < least}
    return tuple(spec for spec in students if spec in small)
