"""What was measured, in words: latency, the ratio to the base line, efficiency, roofs, what disturbed."""

from __future__ import annotations

from parsimony import wording as say
from parsimony.readings import p99_of, without_base
from parsimony.records import Disturbance, Efficiency, Environment, Measurement, Ratio, Roofs

FEW = "too few samples"


def p99(seen: Measurement) -> str:
    """Return the 99th percentile in ms, or that there are too few samples for one."""
    found = p99_of(seen)
    return FEW if found is None else say.milliseconds(found.value_ms)


def ratio(found: Ratio | None) -> str:
    """Return a ratio with its interval: `0.31× (0.30 to 0.32)`; a dash when nothing was compared."""
    if found is None:
        return say.NONE
    return f"{_times(found.value)}× ({_times(found.low)} to {_times(found.high)})"


def _times(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else say.significant(value, 2)


def against(found: Ratio | None, candidate: str) -> str:
    """Return what a candidate's ratio says: `faster than encoder`, `not told from encoder`; nothing without a ratio."""
    if found is None:
        return ""
    if found.base_line == candidate:
        return "the base line, by its twin"
    name = without_base(found.base_line)
    words = {
        "faster": f"faster than {name}",
        "slower": f"slower than {name}",
        "same": f"as fast as {name}",
        "inconclusive": f"not told from {name}",
    }
    return words[found.verdict]


def efficiency(found: Efficiency | None) -> str:
    """Return an efficiency with what it was counted from, or why there is none."""
    if found is None:
        return say.NONE
    if found.value is None:
        return f"{say.NONE}: {found.reason}"
    operations = say.significant((found.int8_ops + found.fp32_ops) / 1e6)
    return f"{say.percent(found.value)} of the roof ({operations} million operations for {found.tokens} tokens)"


def roofs(found: Roofs | None) -> str:
    """Return the roofs of a machine, in thousand millions a second; a dash when they were not measured."""
    if found is None:
        return say.NONE
    int8, fp32, memory = (
        say.significant(value / 1e9) for value in (found.int8_ops_per_s, found.fp32_ops_per_s, found.memory_bytes_per_s)
    )
    return f"int8 {int8} and fp32 {fp32} thousand million operations a second, memory {memory} GB a second (measured)"


def disturbance(found: Disturbance | None) -> str:
    """Return what the machine took away during a measurement; what cannot be read here is said to be so."""
    if found is None:
        return "not read"
    stolen = "cannot be read here" if found.steal_share is None else f"{100 * found.steal_share:.2f} %"
    held = "cannot be read here" if found.throttled is None else f"{found.throttled:,} times"
    waited = "cannot be read here" if found.waited_share is None else f"{found.waited_share:.1%} of the time"
    return f"stolen by other machines: {stolen}; held back by the quota: {held}; waited for busy cores: {waited}"


def threads(seen: Environment) -> str:
    """Return the threads of the measured session and the cores that it could use."""
    if seen.intra_op_threads is None:
        return f"{seen.threads} allowed"
    idle = "unknown" if seen.spinning is None else "spinning" if seen.spinning else "asleep"
    cores = "any core" if seen.affinity is None else f"core {', '.join(map(str, seen.affinity))}"
    return f"{seen.intra_op_threads} within an operator, {seen.inter_op_threads} between, {idle} when idle; on {cores}"
