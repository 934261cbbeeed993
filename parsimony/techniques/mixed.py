"""Tables in 4-bit blocks, matrices in 8 bits: nearly as small as 4 bits where the table is most of a model, as fast as 8."""

from __future__ import annotations

from dataclasses import replace

from parsimony.contracts import Draft, Technique
from parsimony.quantising import PRODUCTS, TABLES, blocks_of_4_bit, dynamic_8_bit


def apply(draft: Draft) -> Draft:
    """Quantise the tables in blocks, then every matrix."""
    tables = blocks_of_4_bit(draft.graph, (TABLES,))
    return replace(draft, graph=dynamic_8_bit(tables, (PRODUCTS, "Attention")))


TECHNIQUE = Technique(name="mixed", apply=apply, quantises=True)
