"""How much of what a machine can do a bundle does: roofs, operations and median latency put together."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from parsimony import operations, processes
from parsimony.gates import BUSY
from parsimony.records import Efficiency, Measurement, Roofs, TargetSettings


def with_roofs(
    found: Mapping[str, Measurement], folders: Mapping[str, Path], texts: Sequence[str], target: TargetSettings
) -> dict[str, Measurement]:
    """Return the measurements with the machine's roofs, taken once in a fresh process, and each one's efficiency."""
    roofs = Roofs(**processes.once("roofs", target.threads))
    text = median_text(texts)
    return {
        name: replace(seen, roofs=roofs, efficiency=_of(seen, folders[name], text, roofs))
        for name, seen in found.items()
    }


def _of(seen: Measurement, folder: Path, text: str, roofs: Roofs) -> Efficiency:
    """Return the efficiency of a bundle, without a value when it waited for cores that others used."""
    found = efficiency(folder, text, seen.p50.value_ms, roofs)
    waited = seen.disturbance.waited_share if seen.disturbance is not None else None
    if found.value is None or waited is None or waited <= BUSY:
        return found
    return replace(found, value=None, reason=f"it waited for busy cores, more than {BUSY:.0%} of the time")


def median_text(texts: Sequence[str]) -> str:
    """Return a text of median length in characters."""
    return sorted(texts, key=len)[(len(texts) - 1) // 2]


def efficiency(folder: Path, text: str, p50_ms: float, roofs: Roofs) -> Efficiency:
    """Return (int8 operations / int8 roof + fp32 operations / fp32 roof) / p50 for this text.

    p50 is that of all texts, from raw text to label, so tokenisation lowers the efficiency as it should. No value where
    the operations cannot be counted; `onnx`, which reads the graph, need not be installed where bundles only run.
    """
    if importlib.util.find_spec("onnx") is None:
        return _none("onnx is not installed, which reads the graph; pip install 'parsimony[train]'")
    try:
        counted = operations.count(folder, text)
    except operations.CannotCountError as error:
        return _none(str(error))
    if counted.int8_ops + counted.fp32_ops == 0:
        return replace(_none("the graph multiplies no matrices"), tokens=counted.tokens)
    ideal_s = counted.int8_ops / roofs.int8_ops_per_s + counted.fp32_ops / roofs.fp32_ops_per_s
    return Efficiency(
        tokens=counted.tokens,
        int8_ops=counted.int8_ops,
        fp32_ops=counted.fp32_ops,
        value=ideal_s / (p50_ms / 1e3),
        reason="",
    )


def _none(reason: str) -> Efficiency:
    return Efficiency(tokens=None, int8_ops=0, fp32_ops=0, value=None, reason=reason)
