"""The ladder: every candidate worth trying, smallest first, with its size predicted before it is built; and the climb,
which trains few of the students and skips those that cannot matter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parsimony.families.encoder import FROZEN
from parsimony.families.student import student_shape
from parsimony.records import Candidate, Trunk
from parsimony.techniques import TECHNIQUES

Chains = tuple[tuple[str, ...], ...]

# The smallest student with the first chance to be certified is looked for, then the smallest one with the second, in case
# the other is not.
HOPEFUL, SAFE = 0.5, 0.8
# One of how many heads, of how many neurons and of how many columns of the table of tokens a student keeps, from the widest
# to the narrowest.
_WIDTHS = ((1, 2, 2), (1, 4, 3), (2, 6, 3), (3, 8, 3))
# How many of the layers are left in students with fewer.
_DEPTHS = (2 / 3, 1 / 2, 1 / 3, 1 / 6)

# What is worth deriving from each trunk. Fusion changes speed, not answers. The reference is kept as it is, and shown
# with each lever alone. Students learned to answer with 4-bit weights: more bits would store the same numbers. They are
# derived with their whole vocabulary too, because what trimming costs depends on the data.
_LINEAR: Chains = ((), ("trim",), ("trim", "int8"), ("trim", "int4"))
_STUDENT: Chains = (("trim", "fusion"), ("trim", "fusion", "int4"), ("fusion", "int4"))
_REFERENCE: Chains = ((), ("fusion", "int8"), ("trim", "fusion", "int8"), ("trim", "fusion", "mixed"), *_STUDENT)
_FROZEN: Chains = ((),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A candidate with the bytes that its bundle will have."""

    candidate: Candidate
    predicted_bytes: int


def probe_trunks(bases: Sequence[str]) -> tuple[Trunk, ...]:
    """Return one trunk a base: the base as it is, with a linear head."""
    return tuple(Trunk(family="encoder", base=base, shape=(FROZEN,)) for base in bases)


def reference_trunk(base: str) -> Trunk:
    """Return the trunk whose bundle without any technique is the yardstick."""
    return Trunk(family="encoder", base=base)


def student_trunks(
    base: str, layers: int, *, heads: int | None, neurons: int | None, columns: int | None
) -> tuple[Trunk, ...]:
    """Return the students of a base, the largest first.

    heads, neurons: those of each layer of the base, columns: those of its table of tokens; None where none can be taken
    out, or where that saves nothing. All layers at four widths, then ever fewer at the least: at equal size many narrow
    layers keep more than few whole ones, and few are faster (docs/results.md). Where no neurons can be taken out, whole
    layers are.
    """
    fewer = sorted({max(1, round(layers * share)) for share in _DEPTHS} - {layers}, reverse=True)
    if neurons is None:
        narrow = _left(columns, _WIDTHS[-1][2])
        shapes = [student_shape(depth, embedding=narrow) for depth in fewer]
    else:
        widths = [_width(heads, neurons, columns, shares) for shares in _WIDTHS]
        shapes = [student_shape(layers, **width) for width in widths]
        shapes += [student_shape(depth, **widths[-1]) for depth in fewer]
    return tuple(Trunk(family="student", base=base, shape=shape) for shape in dict.fromkeys(shapes))


def _width(heads: int | None, neurons: int, columns: int | None, shares: tuple[int, int, int]) -> dict[str, int | None]:
    """Return what is left of heads, neurons and columns when only these shares of them stay; None for all of them."""
    of_heads, of_neurons, of_columns = shares
    return {
        "heads": _left(heads, of_heads),
        "neurons": _left(neurons, of_neurons),
        "embedding": _left(columns, of_columns),
    }


def _left(count: int | None, share: int) -> int | None:
    return None if count is None or share == 1 else max(1, count // share)


def in_question(students: Sequence[Trunk], chances: Mapping[Trunk, float]) -> tuple[Trunk, ...]:
    """Return the students that may still be worth training.

    `students` are sorted from the largest; `chances` holds, for those that are trained, the chance that the safest of
    their bundles is certified. First the smallest hopeful one is looked for, then the smallest safe one.
    """
    return _between(students, chances, HOPEFUL) or _between(students, chances, SAFE)


def _between(students: Sequence[Trunk], chances: Mapping[Trunk, float], least: float) -> tuple[Trunk, ...]:
    """Return the students among which the smallest one with this chance must be.

    What is larger than one that has it is not the smallest; what is smaller than one that has it not is taken not to
    have it either.
    """
    low, high = 0, len(students)
    for place, student in enumerate(students):
        if (chance := chances.get(student)) is None:
            continue
        if chance >= least:
            low = place + 1
        else:
            high = min(high, place)
    return tuple(students[low:high])


def next_student(left: Sequence[Trunk]) -> Trunk | None:
    """Return the student in the middle of those in question, or None when there is none: a bisection."""
    return left[len(left) // 2] if left else None


def pointless(students: Sequence[Trunk], chances: Mapping[Trunk, float]) -> dict[Trunk, str]:
    """Return why each student that the search left out was left out."""
    found = {}
    for place, student in enumerate(students):
        smaller = [t for t in students[place + 1 :] if chances.get(t, 0.0) >= HOPEFUL]
        larger = [t for t in students[:place] if t in chances]
        if student in chances:
            continue
        if smaller:
            found[student] = f"not trained: {smaller[-1].id} is smaller and has a chance of {chances[smaller[-1]]:.0%}"
        elif larger:
            found[student] = (
                f"not trained: {larger[-1].id} is larger and has a chance of {chances[larger[-1]]:.0%} only"
            )
    return found


def candidates(
    trunk: Trunk, families: Sequence[str], reference: Trunk, architecture: str | None = None
) -> tuple[Candidate, ...]:
    """Return what is derived from a trunk; of a family that is not asked for, only the reference itself.

    Techniques that are known not to work on this architecture are left out of the chains; None: nothing is known.
    """
    chains = _STUDENT
    if trunk.family == "linear":
        chains = _LINEAR
    elif trunk.family == "encoder" and "encoder" not in families:
        chains = ((),) if trunk == reference else ()
    elif trunk.family == "encoder":
        chains = _FROZEN if trunk.shape == (FROZEN,) else _REFERENCE
    if trunk.family != "linear" and architecture is not None:
        chains = tuple(dict.fromkeys(_usable(after, architecture) for after in chains))
    return tuple(Candidate(trunk=trunk, after=after) for after in chains)


def students_of(rungs: Sequence[Rung]) -> tuple[Trunk, ...]:
    """Return the students of a ladder, the one with the largest bundle first."""
    trunks = (rung.candidate.trunk for rung in reversed(rungs))
    return tuple(dict.fromkeys(trunk for trunk in trunks if trunk.family == "student"))


def chances_of(trained: Sequence[Trunk], chances: Mapping[Candidate, float], *, trimmed: bool) -> dict[Trunk, float]:
    """Return the chance of each student's safest bundle, trimmed or with all its words; 0 where none could be built."""
    mine = {c: chance for c, chance in chances.items() if ("trim" in c.after) == trimmed}
    return {trunk: max((chance for c, chance in mine.items() if c.trunk == trunk), default=0.0) for trunk in trained}


def smaller_whole(
    students: Sequence[Trunk], sizes: Mapping[Candidate, int], chances: Mapping[Candidate, float]
) -> tuple[Trunk, ...]:
    """Return the students of which a bundle with all its words would be smaller than every hopeful one so far.

    sizes: predicted bytes of every candidate.
    """
    least = min((sizes[c] for c, chance in chances.items() if chance >= HOPEFUL), default=math.inf)
    small = {c.trunk for c, size in sizes.items() if "trim" not in c.after and size < least}
    return tuple(trunk for trunk in students if trunk in small)


def _usable(chain: tuple[str, ...], architecture: str) -> tuple[str, ...]:
    """Return the chain without the techniques that are not made for this architecture."""
    return tuple(name for name in chain if architecture in (TECHNIQUES[name].architectures or {architecture}))


def ladder(
    found: Sequence[Trunk],
    families: Sequence[str],
    reference: Trunk,
    predict: Callable[[Candidate], int],
    architecture_of: Callable[[Trunk], str | None] = lambda _: None,
) -> tuple[Rung, ...]:
    """Return every candidate of these trunks, smallest predicted size first."""
    rungs = [
        Rung(candidate=candidate, predicted_bytes=predict(candidate))
        for trunk in found
        for candidate in candidates(trunk, families, reference, architecture_of(trunk))
    ]
    return tuple(sorted(rungs, key=lambda rung: (rung.predicted_bytes, rung.candidate.id)))
