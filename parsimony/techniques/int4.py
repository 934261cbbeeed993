"""4-bit blocks for every matrix and every table: the smallest; a lever for size, slower to run than 8 bits."""

from __future__ import annotations

from dataclasses import replace

from parsimony import graphs
from parsimony.contracts import DoesNotApplyError, Draft, Technique
from parsimony.quantising import PRODUCTS, TABLES, blocks_of_4_bit


def apply(draft: Draft) -> Draft:
    """Quantise every matrix and every table of the graph in blocks."""
    if graphs.operators(draft.graph).get("Attention"):
        raise DoesNotApplyError("fused Attention hides its matrices from 4-bit blocks")
    return replace(draft, graph=blocks_of_4_bit(draft.graph, (PRODUCTS, TABLES)))


TECHNIQUE = Technique(name="int4", apply=apply, quantises=True)
