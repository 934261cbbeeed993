"""Roofline efficiency: the share of a machine's peaks that a bundle reaches, from its operations and median latency."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from parsimony.measurement import processes
from parsimony.measurement.records import BUSY, Measurement, RooflineEfficiency, RooflinePeaks, TargetSettings
from parsimony.measurement.roofline import operation_count


def with_roofline(
    measurements: Mapping[str, Measurement], folders: Mapping[str, Path], texts: Sequence[str], target: TargetSettings
) -> dict[str, Measurement]:
    """Return the measurements with the machine's peaks, taken once in a fresh process, and each one's efficiency."""
    return at_peaks(measurements, folders, texts, RooflinePeaks(**processes.once("peaks", target.threads)))


def at_peaks(
    measurements: Mapping[str, Measurement], folders: Mapping[str, Path], texts: Sequence[str], peaks: RooflinePeaks
) -> dict[str, Measurement]:
    """Return the measurements with these peaks and each one's efficiency."""
    text = median_text(texts)
    return {
        name: replace(before, roofline_peaks=peaks, roofline_efficiency=_of(before, folders[name], text, peaks))
        for name, before in measurements.items()
    }


def _of(measurement: Measurement, folder: Path, text: str, peaks: RooflinePeaks) -> RooflineEfficiency:
    """Return the efficiency of a bundle, without a value when it waited for cores that others used."""
    share = efficiency(folder, text, measurement.p50.value_ms, peaks)
    waited = measurement.disturbance.waited_share if measurement.disturbance is not None else None
    if share.value is None or waited is None or waited <= BUSY:
        return share
    return replace(share, value=None, reason=f"it waited for busy cores, more than {BUSY:.0%} of the time")


def median_text(texts: Sequence[str]) -> str:
    """Return a text of median length in characters."""
    return sorted(texts, key=len)[(len(texts) - 1) // 2]


def efficiency(folder: Path, text: str, p50_ms: float, peaks: RooflinePeaks) -> RooflineEfficiency:
    """Return (int8 operations / int8 peak + fp32 operations / fp32 peak) / p50 for this text.

    p50 is that of all texts, from raw text to label, so tokenisation lowers the efficiency as it should. No value where
    the operations cannot be counted; `onnx`, which reads the graph, need not be installed where bundles only run.
    """
    if importlib.util.find_spec("onnx") is None:
        return _none("onnx is not installed, which reads the graph; pip install 'parsimony[train]'")
    try:
        counted = operation_count.count(folder, text)
    except operation_count.CannotCountError as error:
        return _none(str(error))
    if counted.int8_ops + counted.fp32_ops == 0:
        return replace(_none("the graph multiplies no matrices"), tokens=counted.tokens)
    ideal_s = counted.int8_ops / peaks.int8_ops_per_s + counted.fp32_ops / peaks.fp32_ops_per_s
    return RooflineEfficiency(
        tokens=counted.tokens,
        int8_ops=counted.int8_ops,
        fp32_ops=counted.fp32_ops,
        value=ideal_s / (p50_ms / 1e3),
        reason="",
    )


def _none(reason: str) -> RooflineEfficiency:
    return RooflineEfficiency(tokens=None, int8_ops=0, fp32_ops=0, value=None, reason=reason)
