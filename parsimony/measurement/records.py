"""Frozen records of measurements. Milliseconds, seconds and bytes as the names say, shares 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parsimony.errors import require, require_finite

BUSY = 0.05  # share of the time waited for a core beyond which a latency says little about the bundle
RatioVerdict = Literal["faster", "slower", "same", "inconclusive"]


# Where a first timing was taken when every target lies elsewhere; no name of a target holds a space.
TRAINING_MACHINE = "the machine that trains"

# --- measurements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """An order statistic of latency with its distribution-free 95 % interval, in milliseconds."""

    value_ms: float
    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        for name in ("value_ms", "low_ms", "high_ms"):
            require_finite(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine, the versions and the threads under which a measurement was taken; None is what cannot be read here.

    `load_1m` is the load before the measurement began; `threads` what the target allows. The last four are what the
    measured process said of itself: the threads of its session, whether they spin while idle, and its cores.
    """

    cpu: str
    isa: tuple[str, ...]
    cores: int
    quota_cores: float | None
    memory_bytes: int
    governor: str | None
    load_1m: float
    platform: str
    python: str
    versions: tuple[tuple[str, str], ...]
    threads: int
    intra_op_threads: int | None = None
    inter_op_threads: int | None = None
    spinning: bool | None = None
    affinity: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What the machine took away while something was measured; None is what cannot be read here.

    `steal_share` is the share of the measured cores' time that the hypervisor gave to others, `throttled` how often
    the quota of the control group held this process back, `waited_share` the share of the measured time in which the
    process was ready and waited for a core that others on this machine used. `turns` says how many turns these figures and
    the latencies are of, `set_aside` how many were disturbed and do not count.
    """

    steal_share: float | None
    throttled: int | None
    waited_share: float | None = None
    turns: int = 1
    set_aside: int = 0

    def __post_init__(self) -> None:
        for name in ("steal_share", "waited_share"):
            if (share := getattr(self, name)) is not None:
                require(0.0 <= share <= 1.0, f"{name} is {share}, expected 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median latency of a bundle over that of the baseline, paired by round, with its 95 % interval.

    Below 1 is faster. `noise_floor` is how far from 1 the baseline lies from its own A/A control; nothing nearer to 1 is
    called a difference. `baseline` names a candidate; for the baseline itself the ratio is that of its A/A control.
    """

    baseline: str
    value: float
    low: float
    high: float
    rounds: int
    noise_floor: float
    verdict: RatioVerdict

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "noise_floor"):
            require_finite(name, getattr(self, name))
        require(0.0 < self.low <= self.high, f"the interval is {self.low} to {self.high}, expected 0 < low <= high")


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflinePeaks:
    """The most that this machine did at a target's threads, through ONNX Runtime; a multiply-add is two operations.

    `memory_bytes_per_s` is that of one thread.
    """

    int8_ops_per_s: float
    fp32_ops_per_s: float
    memory_bytes_per_s: float

    def __post_init__(self) -> None:
        for name in ("int8_ops_per_s", "fp32_ops_per_s", "memory_bytes_per_s"):
            require_finite(name, value := getattr(self, name))
            require(value > 0, f"{name} is {value}, expected more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflineEfficiency:
    """The time that a text's matrix products would take at the peaks, over the median latency.

    Operations are those of the text of median length, `tokens` long. `value` is None where they cannot be counted;
    `reason` says why.
    """

    tokens: int | None
    int8_ops: int
    fp32_ops: int
    value: float | None
    reason: str

    def __post_init__(self) -> None:
        require(self.value is not None or bool(self.reason), "an efficiency without a value needs a reason")
        if self.value is not None:
            require_finite("value", self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one bundle did on one target, in a process of its own.

    Latency is end to end: raw text to label, one at a time. `stable` is False when the blocks disagree by more than
    the noise limit or the machine was disturbed in every turn; such a measurement passes no limit of latency. `warm_up` counts the predictions
    before the first that counts. `ratio`, `roofline_peaks` and `roofline_efficiency` come from a measurement side by
    side and are None without one.
    """

    target: str
    samples: int
    p50: Quantile
    p90: Quantile
    p99: Quantile
    throughput_per_s: float
    peak_rss_bytes: int
    startup_s: float
    noise: float
    stable: bool
    environment: Environment
    disturbance: Disturbance | None = None
    warm_up: int | None = None
    ratio: Ratio | None = None
    roofline_peaks: RooflinePeaks | None = None
    roofline_efficiency: RooflineEfficiency | None = None

    def __post_init__(self) -> None:
        require(self.samples > 0, "a measurement needs at least one sample")
        for name in ("throughput_per_s", "startup_s", "noise"):
            require_finite(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineClass:
    """What a machine must be to stand for a target: the least cores and memory, a part of the processor's name, instruction sets,
    and the version of ONNX Runtime ("" for that of the machine that trains)."""

    cpu: str = ""
    isa: tuple[str, ...] = ()
    cores: int = 1
    memory_bytes: int = 0
    onnxruntime: str = ""

    def mismatch(self, environment: Environment) -> str:
        """Return what a machine lacks, as found and expected; "" where it is of this class."""
        installed = dict(environment.versions).get("onnxruntime", "none")
        lacking = [name for name in self.isa if name not in environment.isa]
        differences = (
            (
                self.cpu.lower() not in environment.cpu.lower(),
                f"the processor is {environment.cpu!r}, expected {self.cpu!r}",
            ),
            (bool(lacking), f"it lacks {', '.join(lacking)}, has {', '.join(environment.isa) or 'none of those sets'}"),
            (environment.cores < self.cores, f"{environment.cores} cores, expected at least {self.cores}"),
            (
                environment.memory_bytes < self.memory_bytes,
                f"{environment.memory_bytes:,} bytes of memory, expected at least {self.memory_bytes:,}",
            ),
            (
                bool(self.onnxruntime) and installed != self.onnxruntime,
                f"ONNX Runtime {installed}, expected {self.onnxruntime}",
            ),
        )
        return "; ".join(said for differs, said in differences if differs)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """A machine class where the model must run; the plan's `[[targets]]` tables. None means no limit.

    `pool` is Prefect's work pool whose workers run on such machines, None for the machine that trains; its result is waited for until
    `deadline_s`. `missing` says why no result came from it, "" where one did or is still to come; a target that is `optional` may be missing.
    """

    name: str
    threads: int
    p99_ms: float | None
    peak_rss_bytes: int | None
    size_bytes: int | None
    pool: str | None = None
    machine: MachineClass = MachineClass()
    optional: bool = False
    deadline_s: float = 3600.0
    missing: str = ""

    @property
    def counts(self) -> bool:
        """Whether it has a say in the decision."""
        return not (self.optional and self.missing)
