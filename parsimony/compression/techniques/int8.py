"""8 bits for every matrix and every table."""

from __future__ import annotations

from dataclasses import replace

from parsimony.compression.technique import Draft, Technique
from parsimony.graphs.quantise import eight_bits


def apply(draft: Draft) -> Draft:
    """Quantise every matrix and every table of the graph."""
    return replace(draft, graph=eight_bits(draft.graph))


TECHNIQUE = Technique(name="int8", apply=apply, quantises=True)
