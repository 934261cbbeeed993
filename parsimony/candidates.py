"""What is trained, what is derived from it, and what was built: model specs, candidates, bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parsimony.errors import require

MAX_ID_CHARS = 40
# How the champion of an earlier run is named among the candidates of this one: after its registered version.
CHAMPION_SHAPE = "champion-v"
_TAG_CHARS = 20
# It changes how fast a model runs, not what it predicts nor, by much, its size; `techniques` lists it.
_UNNAMED = "fusion"


def trims(technique: str) -> bool:
    """Say whether a technique trims the vocabulary: `trim`, and those that keep rows of tokens beside the used ones, as `trim8k`."""
    return technique.startswith("trim")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What is to be trained; many candidates are derived from one spec.

    `shape` holds what acts during training: `frozen`, or layers, attention heads, feed-forward neurons and embedding
    dimensions in the letters of the BERT miniatures (Turc et al. 2019), such as `L6`, `A4`, `F192`, `E128`. `tag` names
    the base where a run tries several.
    """

    family: str
    base: str
    shape: tuple[str, ...] = ()
    tag: str = ""

    @property
    def id(self) -> str:
        """Name the spec for people: `student-L6-A4-F192-E128`."""
        return "-".join((self.family, *self.shape)) + (f"@{self.tag}" if self.tag else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model spec with the techniques applied after training, in order."""

    spec: ModelSpec
    techniques: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(len(self.id) <= MAX_ID_CHARS, f"the id {self.id!r} has more than {MAX_ID_CHARS} characters")

    @property
    def id(self) -> str:
        """Name the candidate for people: `student-L6-A4-F192-E128+trim+int4`; fusion is named only where it is alone."""
        named = [name for name in self.techniques if name != _UNNAMED or len(self.techniques) == 1]
        return "+".join((self.spec.id, *named))

    @property
    def trimmed(self) -> bool:
        """Say whether its vocabulary is trimmed, however far."""
        return any(map(trims, self.techniques))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBundle:
    """A bundle on disk. `size_bytes` counts every file of the folder, the manifest included."""

    folder: str
    digest: str
    size_bytes: int


def champion_version(shape: Sequence[str]) -> str | None:
    """Return the version in the name of a champion from an earlier run; None for any other candidate."""
    return next((part.removeprefix(CHAMPION_SHAPE) for part in shape if part.startswith(CHAMPION_SHAPE)), None)


def base_tags(bases: Sequence[str]) -> tuple[str, ...]:
    """Return a short name for each base, all different; empty ones where there is only one base."""
    if len(bases) < 2:
        return ("",) * len(bases)
    tags: list[str] = []
    for base in bases:
        name = base.partition("@")[0].rstrip("/").rpartition("/")[2].rpartition(":")[2][:_TAG_CHARS]
        taken = sum(tag == name or tag.startswith(f"{name}~") for tag in tags)
        tags.append(f"{name}~{taken + 1}" if taken else name)
    return tuple(tags)
