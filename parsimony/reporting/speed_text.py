"""What was measured, in words: latency, the ratio to the baseline, roofline efficiency and peaks, what disturbed."""

from __future__ import annotations

from parsimony.measurement import quantiles
from parsimony.measurement.records import (
    Disturbance,
    Environment,
    Measurement,
    Ratio,
    RooflineEfficiency,
    RooflinePeaks,
)
from parsimony.reporting import formatting as say

FEW = "too few samples"
UNREADABLE = "cannot be read here"


def p99(measurement: Measurement) -> str:
    """Return the 99th percentile in ms, or that there are too few samples for one."""
    quantile = quantiles.p99_of(measurement)
    return FEW if quantile is None else say.milliseconds(quantile.value_ms)


def ratio(comparison: Ratio | None) -> str:
    """Return a ratio with its interval: `0.31× (0.30 to 0.32)`; a dash when nothing was compared."""
    if comparison is None:
        return say.NONE
    return f"{_times(comparison.value)}× ({_times(comparison.low)} to {_times(comparison.high)})"


def _times(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else say.significant(value, 2)


def against(comparison: Ratio | None, candidate: str) -> str:
    """Return what a ratio says: `faster than encoder`, `cannot be distinguished from encoder`; nothing without a ratio."""
    if comparison is None:
        return ""
    name = comparison.baseline
    if name == candidate:
        return "the baseline; its A/A control"
    words = {
        "faster": f"faster than {name}",
        "slower": f"slower than {name}",
        "same": f"as fast as {name}",
        "inconclusive": f"cannot be distinguished from {name}",
    }
    return words[comparison.verdict]


def how_fast(comparison: Ratio, candidate: str) -> str:
    """Return a ratio as people say it: `5.8× faster than encoder`, `1.5× slower than encoder`."""
    said = against(comparison, candidate)
    if comparison.baseline == candidate:
        return f"{said}, {_times(comparison.value)}×"
    if comparison.verdict not in ("faster", "slower"):
        return said
    factor = 1 / comparison.value if comparison.value < 1 else comparison.value
    return f"{say.times(factor)} {said}"


def efficiency(share: RooflineEfficiency | None) -> str:
    """Return a roofline efficiency with the operations behind it, or why there is none."""
    if share is None:
        return say.NONE
    if share.value is None:
        return f"{say.NONE}: {share.reason}"
    operations = say.significant((share.int8_ops + share.fp32_ops) / 1e6)
    return (
        f"{say.percent(share.value)} of the roofline peak ({operations} million operations for {share.tokens} tokens)"
    )


def peaks(machine: RooflinePeaks | None) -> str:
    """Return the roofline peaks of a machine; a dash when they were not measured."""
    if machine is None:
        return say.NONE
    per_second = (machine.int8_ops_per_s, machine.fp32_ops_per_s, machine.memory_bytes_per_s)
    int8, fp32, memory = (say.significant(value / 1e9) for value in per_second)
    return f"int8 {int8} GOP/s, fp32 {fp32} GFLOP/s, memory {memory} GB/s (measured)"


def disturbance(machine: Disturbance | None) -> str:
    """Return what the machine took away during a measurement; what cannot be read here is said to be so."""
    if machine is None:
        return "not read"
    stolen = UNREADABLE if machine.steal_share is None else f"{100 * machine.steal_share:.2f} %"
    held = UNREADABLE if machine.throttled is None else say.counted(machine.throttled, "time")
    waited = UNREADABLE if machine.waited_share is None else f"{100 * machine.waited_share:.1f} % of the time"
    aside = f"; disturbed and not counted: {say.counted(machine.set_aside, 'turn')}" if machine.set_aside else ""
    return (
        f"CPU steal by other machines: {stolen}; throttled by the quota: {held}; waited for busy cores: {waited}{aside}"
    )


def threads(environment: Environment) -> str:
    """Return the threads of the measured session and the cores that it could use."""
    if environment.intra_op_threads is None:
        return f"{environment.threads} allowed"
    spinning = "unknown" if environment.spinning is None else "on" if environment.spinning else "off"
    return (
        f"{environment.intra_op_threads} intra-op, {environment.inter_op_threads} inter-op, spinning {spinning}; "
        f"on {_cores(environment.affinity)}"
    )


def _cores(affinity: tuple[int, ...] | None) -> str:
    if affinity is None:
        return "any core"
    return f"core{'' if len(affinity) == 1 else 's'} {', '.join(map(str, affinity))}"
