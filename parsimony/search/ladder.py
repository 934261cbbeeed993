"""The ladder: every candidate worth trying, smallest first, with its size predicted before it is built."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from parsimony.candidates import Candidate, ModelSpec, base_tags
from parsimony.data.table import Texts
from parsimony.errors import require
from parsimony.search import size_prediction
from parsimony.training import bases
from parsimony.training.families import FAMILIES, reads_unlabelled
from parsimony.training.families.encoder import FROZEN
from parsimony.training.families.student import student_shape

log = logging.getLogger(__name__)

Chains = tuple[tuple[str, ...], ...]
# One of how many heads, neurons and embedding dimensions a student keeps, from the widest to the narrowest.
_WIDTHS = ((1, 2, 2), (1, 4, 3), (2, 6, 3), (3, 8, 3))
# How many of the layers are left in students with fewer.
_DEPTHS = (2 / 3, 1 / 2, 1 / 3, 1 / 6)

# What is worth deriving from each model spec. Fusion changes speed, not predictions. The reference is kept as it is, and shown
# with each lever alone. Students learned to predict with 4-bit weights: more bits would store the same numbers. They are
# derived with their whole vocabulary too, because what trimming costs depends on the data.
_STUDENT: Chains = (("trim", "fusion"), ("trim", "fusion", "int4"), ("fusion", "int4"))
_REFERENCE: Chains = ((), ("fusion", "int8"), ("trim", "fusion", "int8"), ("trim", "fusion", "mixed"), *_STUDENT)
_FROZEN: Chains = ((),)
_FOR_SPEED = frozenset({"fusion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedCandidate:
    """A candidate with the bytes that its bundle will have."""

    candidate: Candidate
    predicted_bytes: int


def probe_specs(bases: Sequence[str]) -> tuple[ModelSpec, ...]:
    """Return one spec a base: the base as it is, with a linear head."""
    return tuple(
        ModelSpec(family="encoder", base=base, shape=(FROZEN,), tag=tag)
        for base, tag in zip(bases, base_tags(bases), strict=True)
    )


def reference_spec(base: str) -> ModelSpec:
    """Return the spec whose bundle without any technique is the yardstick."""
    return ModelSpec(family="encoder", base=base)


def bag_specs(families: Sequence[str], base: str) -> tuple[ModelSpec, ...]:
    """Return the models without layers, of these families."""
    bags = {name: FAMILIES[name].bag for name in families}
    return tuple(
        ModelSpec(family=name, base=base, shape=shape) for name, bag in bags.items() if bag for shape in bag.shapes
    )


def student_specs(base: str, shape: size_prediction.Shape) -> tuple[ModelSpec, ...]:
    """Return the students of a base of this shape, the largest first.

    Attention heads, feed-forward neurons and embedding dimensions are taken out where that is possible and saves
    something. All layers at four widths, then ever fewer at the least: at equal size many narrow
    layers keep more than few whole ones, and few are faster (docs/trials/distillation.md). Where no neurons can be taken out, whole
    layers are.
    """
    layers, heads, neurons = shape.layers, shape.heads, shape.neurons
    width = size_prediction.width_to_factorise(shape)
    fewer = sorted({max(1, round(layers * share)) for share in _DEPTHS} - {layers}, reverse=True)
    if neurons is None:
        narrow = _left(width, _WIDTHS[-1][2])
        shapes = [student_shape(depth, embedding=narrow) for depth in fewer]
    else:
        widths = [_width(heads, neurons, width, shares) for shares in _WIDTHS]
        shapes = [student_shape(layers, **kept) for kept in widths]
        shapes += [student_shape(depth, **widths[-1]) for depth in fewer]
    return tuple(ModelSpec(family="student", base=base, shape=shape) for shape in dict.fromkeys(shapes))


def _width(heads: int | None, neurons: int, width: int | None, shares: tuple[int, int, int]) -> dict[str, int | None]:
    """Return what is left of heads, neurons and embedding dimensions when only these shares of them stay; None for all of them."""
    of_heads, of_neurons, of_width = shares
    return {
        "heads": _left(heads, of_heads),
        "neurons": _left(neurons, of_neurons),
        "embedding": _left(width, of_width),
    }


def _left(count: int | None, share: int) -> int | None:
    return None if count is None or share == 1 else max(1, count // share)


def candidates(
    spec: ModelSpec,
    families: Sequence[str],
    reference: ModelSpec,
    without: Collection[str] = (),
    amounts: Sequence[str] = (),
) -> tuple[Candidate, ...]:
    """Return what is derived from a spec; of a family that is not asked for, only the reference itself.

    without: the techniques that do not work here. A chain goes without fusion, which saves time only; what needs another
    of them is left out. amounts: the techniques that trim to vocabularies between the trimmed and the whole one.
    """
    chains: Chains = (*_STUDENT, *((amount, "fusion", "int4") for amount in amounts))
    if (bag := FAMILIES[spec.family].bag) is not None:
        chains = bag.chains
    elif spec.family == "encoder" and "encoder" not in families:
        chains = ((),) if spec == reference else ()
    elif spec.family == "encoder":
        chains = _FROZEN if spec.shape == (FROZEN,) else tuple(dict.fromkeys((*_REFERENCE, *chains)))
    chains = tuple(
        dict.fromkeys(_usable(after, without) for after in chains if not set(after) & {*without} - _FOR_SPEED)
    )
    return tuple(Candidate(spec=spec, techniques=after) for after in chains)


def students_of(ladder: Sequence[SizedCandidate]) -> tuple[ModelSpec, ...]:
    """Return the students of a ladder, the one with the largest bundle first."""
    specs = (sized.candidate.spec for sized in reversed(ladder))
    return tuple(dict.fromkeys(spec for spec in specs if spec.family == "student"))


def _usable(chain: tuple[str, ...], without: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in chain if name not in without)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderSettings:
    """What the ladder of a run follows from: the plan's bases, families and cut, and the data's texts and labels.

    `texts` are those of train and those without labels; `labelled` are those of train alone.
    """

    bases: tuple[str, ...]
    families: tuple[str, ...]
    max_tokens: int
    texts: Texts
    labelled: Texts
    labels: tuple[str, ...]


def ladder_of(settings: LadderSettings, reference: ModelSpec) -> tuple[SizedCandidate, ...]:
    """Return every candidate of a run with its predicted size, smallest first."""

    @cache
    def shape(spec: ModelSpec) -> size_prediction.Shape:
        texts = settings.texts if reads_unlabelled(spec.family) else settings.labelled
        return size_prediction.shape_of(bases.resolve(spec.base), texts, settings.max_tokens)

    def predict(candidate: Candidate) -> int:
        return size_prediction.predict(candidate, shape(candidate.spec), settings.labels)

    specs = [*probe_specs(settings.bases), reference]
    specs += bag_specs(settings.families, reference.base)
    if "student" in settings.families:
        specs += student_specs(reference.base, shape(reference))
    return ladder(
        [
            candidate
            for spec in specs
            for candidate in candidates(
                spec, settings.families, reference, _without(spec, shape(spec)), shape(spec).amounts
            )
        ],
        predict,
    )


def _without(spec: ModelSpec, shape: size_prediction.Shape) -> tuple[str, ...]:
    """Return the techniques that do not work on what is trained from this spec."""
    if FAMILIES[spec.family].bag is not None:
        return ("trim",) if shape.cannot_trim else ()
    for name, reason in shape.obstacles:
        log.info("%s: the ladder goes without %s: %s", spec.id, name, reason)
    return tuple(name for name, _ in shape.obstacles)


def ladder(candidates: Iterable[Candidate], predict: Callable[[Candidate], int]) -> tuple[SizedCandidate, ...]:
    """Return the candidates, smallest predicted size first; raise ValueError where two have one id."""
    sized = [SizedCandidate(candidate=candidate, predicted_bytes=predict(candidate)) for candidate in candidates]
    ids = Counter(one.candidate.id for one in sized)
    require(not sized or max(ids.values()) == 1, f"several candidates are called {ids.most_common(1)}")
    return tuple(sorted(sized, key=lambda one: (one.predicted_bytes, one.candidate.id)))
