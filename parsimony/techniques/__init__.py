"""The techniques that act after training: one file each, one literal registry, applied in the order of a candidate."""

from parsimony.contracts import Technique
from parsimony.techniques import fusion, int4, int8, mixed, trim

TECHNIQUES: dict[str, Technique] = {
    "trim": trim.TECHNIQUE,
    "fusion": fusion.TECHNIQUE,
    "int8": int8.TECHNIQUE,
    "mixed": mixed.TECHNIQUE,
    "int4": int4.TECHNIQUE,
}
