"""Tables in 4 bits, matrices in 8: for matrices that do not bear 4 bits."""

from __future__ import annotations

from dataclasses import replace

from parsimony.compression.technique import Draft, Technique
from parsimony.graphs.quantise import four_bit_tables


def apply(draft: Draft) -> Draft:
    """Store the tables in 4 bits, then quantise every matrix."""
    return replace(draft, graph=four_bit_tables(draft.graph))


TECHNIQUE = Technique(name="mixed", apply=apply, quantises=True)
