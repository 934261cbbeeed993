"""The families: one file each, one literal registry."""

from parsimony.contracts import Family
from parsimony.families import encoder, linear, student

FAMILIES: dict[str, Family] = {
    "linear": linear.FAMILY,
    "encoder": encoder.FAMILY,
    "student": student.FAMILY,
}
