"""The techniques that act after training: one file each, one literal registry, applied in the order of a candidate."""

from __future__ import annotations

from parsimony.compression.technique import Technique
from parsimony.compression.techniques import fusion, int4, int8, mixed, trim

TECHNIQUES: dict[str, Technique] = {
    "trim": trim.TECHNIQUE,
    **{between.name: between for between in trim.BETWEEN},
    "fusion": fusion.TECHNIQUE,
    "int8": int8.TECHNIQUE,
    "mixed": mixed.TECHNIQUE,
    "int4": int4.TECHNIQUE,
}
