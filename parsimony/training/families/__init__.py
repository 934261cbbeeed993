"""The families: one file each, one literal registry."""

from __future__ import annotations

from parsimony.training.families import encoder, linear, static, student
from parsimony.training.family import Family

FAMILIES: dict[str, Family] = {
    "linear": linear.FAMILY,
    "static": static.FAMILY,
    "encoder": encoder.FAMILY,
    "student": student.FAMILY,
}


def reads_unlabelled(family: str) -> bool:
    """Say whether texts without labels count when a model of this family is trimmed: not where it learns from labels alone."""
    bag = FAMILIES[family].bag
    return bag is None or bag.starts_from != "tokenizer"
