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
