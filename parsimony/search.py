"""The ladder: every candidate worth trying, smallest first, with its size predicted before it is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parsimony.families.encoder import FROZEN
from parsimony.families.student import layers_in, student_shape
from parsimony.records import Candidate, Trunk
from parsimony.techniques import TECHNIQUES

Chains = tuple[tuple[str, ...], ...]

# What is worth deriving from each trunk. Fusion changes speed, not answers; quantised bundles are always trimmed
# too, because an untrimmed one is never the smallest. The reference is kept as it is, and shown with each lever alone.
_LINEAR: Chains = ((), ("trim",), ("trim", "int8"), ("trim", "int4"))
_SMALL: Chains = (("trim", "fusion"), ("trim", "fusion", "int8"), ("trim", "fusion", "int4"))
_REFERENCE: Chains = ((), ("fusion", "int8"), *_SMALL)
_FROZEN: Chains = ((), ("trim", "fusion", "int8"), ("trim", "fusion", "int4"))


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


def student_trunks(base: str, layers: int) -> tuple[Trunk, ...]:
    """Return students of about half, a third and a sixth of the layers, the deepest first."""
    depths = sorted({max(1, round(layers * share)) for share in (1 / 2, 1 / 3, 1 / 6)} - {layers}, reverse=True)
    return tuple(Trunk(family="student", base=base, shape=student_shape(depth)) for depth in depths)


def trunks(families: Sequence[str], base: str, layers: int) -> tuple[Trunk, ...]:
    """Return what is trained beside probes and reference."""
    found: list[Trunk] = []
    if "linear" in families:
        found.append(Trunk(family="linear", base=base))
    if "student" in families:
        found.extend(student_trunks(base, layers))
    return tuple(found)


def training_order(trunk: Trunk) -> tuple[int, int]:
    """Sort trunks so that what is cheap comes first, then the deepest student, which is the safest."""
    depth = layers_in(trunk.shape) if trunk.family == "student" else 0
    return (0 if trunk.family == "linear" else 1), -depth


def candidates(
    trunk: Trunk, families: Sequence[str], reference: Trunk, architecture: str | None = None
) -> tuple[Candidate, ...]:
    """Return what is derived from a trunk; of a family that is not asked for, only the reference itself.

    Techniques that are known not to work on this architecture are left out of the chains; None: nothing is known.
    """
    chains = _SMALL
    if trunk.family == "linear":
        chains = _LINEAR
    elif trunk.family == "encoder" and "encoder" not in families:
        chains = ((),) if trunk == reference else ()
    elif trunk.family == "encoder":
        chains = _FROZEN if trunk.shape == (FROZEN,) else _REFERENCE
    if trunk.family != "linear" and architecture is not None:
        chains = tuple(dict.fromkeys(_usable(after, architecture) for after in chains))
    return tuple(Candidate(trunk=trunk, after=after) for after in chains)


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
