"""Frozen records that travel between the stages.

Sizes are bytes, durations seconds or milliseconds as the name says, ratios 0 to 1.
Every record checks itself when it is made and is never changed afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "quarantine", "note"]
Metric = Literal["accuracy", "macro_f1"]
GateVerdict = Literal["pass", "fail", "inconclusive"]
CandidateVerdict = Literal["pass", "fail", "inconclusive", "not built", "not certified"]
RatioVerdict = Literal["faster", "slower", "same", "inconclusive"]
Outcome = Literal["promoted", "kept", "none"]
SplitName = Literal["train", "search", "sealed"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _finite(name: str, value: float) -> None:
    _require(math.isfinite(value), f"{name} is {value}, expected a finite number")


# --- data -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A file as it travels: where it lies, its SHA-256 and its size."""

    uri: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Labelled texts exactly as read; `rows[i]` is the row number in `source` a person would look at.

    `slices` are further columns, each a name and a value for every row.
    """

    source: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    rows: tuple[int, ...]
    slices: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        counts = (len(self.texts), len(self.labels), len(self.rows), *(len(values) for _, values in self.slices))
        _require(len(set(counts)) == 1, f"texts, labels, rows and slices have lengths {counts}, expected equal")

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, positions: tuple[int, ...]) -> Table:
        """Return the rows at these positions, in this order."""
        return Table(
            source=self.source,
            texts=tuple(self.texts[i] for i in positions),
            labels=tuple(self.labels[i] for i in positions),
            rows=tuple(self.rows[i] for i in positions),
            slices=tuple((name, tuple(values[i] for i in positions)) for name, values in self.slices),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found; `row` is None when it concerns the whole file."""

    severity: Severity
    check: str
    source: str
    row: int | None
    column: str
    reason: str

    def line(self) -> str:
        """Return the finding as one line: file, row, column, reason."""
        row = "" if self.row is None else f", row {self.row}"
        return f"{self.source}{row}, column {self.column}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The cleaned data of a run, cut into its three splits and kept as files in `folder`."""

    folder: str
    digest: str
    labels: tuple[str, ...]
    train: int
    search: int
    sealed: int
    sealed_digest: str
    quarantined: tuple[Finding, ...]
    notes: tuple[Finding, ...]

    def __post_init__(self) -> None:
        _require(len(self.labels) >= 2, f"{len(self.labels)} labels, expected at least 2")
        _require(min(self.train, self.search, self.sealed) > 0, "a split is empty")


# --- candidates -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """Something that has to be trained; many candidates are derived from one trunk.

    `shape` holds the techniques that act during training, such as `frozen` or `layers-3`.
    """

    family: str
    base: str
    shape: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Name the trunk for people: `student.layers-3`, with the base behind it when it has one."""
        short = self.base.removeprefix("package:").removeprefix("hf:").rstrip("/").rpartition("/")[2]
        return ".".join((self.family, *self.shape)) + (f"({short})" if short else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trunk with the techniques applied after training, in order."""

    trunk: Trunk
    after: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Name the candidate for people: `student.layers-3(minilm)+trim+fusion+int8`."""
        return "+".join((self.trunk.id, *self.after))

    @property
    def techniques(self) -> tuple[str, ...]:
        """All techniques in the order in which they act."""
        return (*self.trunk.shape, *self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltBundle:
    """A bundle on disk. `size_bytes` counts every file of the folder, the manifest included."""

    folder: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Point estimates of quality on one split, predicted from raw text one at a time."""

    n: int
    correct: int
    accuracy: float
    macro_f1: float

    def __post_init__(self) -> None:
        _require(self.n > 0, "a score needs at least one row")
        _finite("accuracy", self.accuracy)
        _finite("macro_f1", self.macro_f1)

    def value(self, metric: Metric) -> float:
        """Return the metric that the gates look at."""
        return self.accuracy if metric == "accuracy" else self.macro_f1


# --- measurements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """An order statistic of latency with its distribution-free 95 % interval, in milliseconds."""

    value_ms: float
    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        for name in ("value_ms", "low_ms", "high_ms"):
            _finite(name, getattr(self, name))


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
    process was ready and waited for a core that others on this machine used.
    """

    steal_share: float | None
    throttled: int | None
    waited_share: float | None = None

    def __post_init__(self) -> None:
        for name in ("steal_share", "waited_share"):
            if (share := getattr(self, name)) is not None:
                _require(0.0 <= share <= 1.0, f"{name} is {share}, expected 0 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The median latency of a bundle over that of the base line, paired by round, with its 95 % interval.

    Below 1 is faster. `noise_floor` is how far from 1 the base line lies from its own twin; nothing nearer to 1 is
    called a difference. `base_line` names a candidate; for the base line itself the ratio is that of its twin.
    """

    base_line: str
    value: float
    low: float
    high: float
    rounds: int
    noise_floor: float
    verdict: RatioVerdict

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "noise_floor"):
            _finite(name, getattr(self, name))
        _require(0.0 < self.low <= self.high, f"the interval is {self.low} to {self.high}, expected 0 < low <= high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofs:
    """The most that this machine did at a target's threads, through ONNX Runtime; a multiply-add is two operations.

    `memory_bytes_per_s` is that of one thread.
    """

    int8_ops_per_s: float
    fp32_ops_per_s: float
    memory_bytes_per_s: float

    def __post_init__(self) -> None:
        for name in ("int8_ops_per_s", "fp32_ops_per_s", "memory_bytes_per_s"):
            _finite(name, value := getattr(self, name))
            _require(value > 0, f"{name} is {value}, expected more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """The time that a text's matrix products would take at the roofs, over the median latency.

    Operations are those of the text of median length, `tokens` long. `value` is None where they cannot be counted;
    `reason` says why.
    """

    tokens: int | None
    int8_ops: int
    fp32_ops: int
    value: float | None
    reason: str

    def __post_init__(self) -> None:
        _require(self.value is not None or bool(self.reason), "an efficiency without a value needs a reason")
        if self.value is not None:
            _finite("value", self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was seen of one bundle on one target, in a process of its own.

    Latency is end to end: raw text to label, one at a time. `stable` is False when the blocks disagree by more than
    the noise limit or the machine was disturbed; such a measurement passes no gate. `warm_up` counts the predictions
    before the first that counts. What only a measurement side by side sees (`ratio`, `roofs`, `efficiency`) is None
    at a first look.
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
    roofs: Roofs | None = None
    efficiency: Efficiency | None = None

    def __post_init__(self) -> None:
        _require(self.samples > 0, "a measurement needs at least one sample")
        for name in ("throughput_per_s", "startup_s", "noise"):
            _finite(name, getattr(self, name))


# --- judging --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The n sealed rows of one label, or of one value of a named column, and what a candidate answers there.

    `right` counts the rows that the candidate gets right, `lost` those that only the reference and `won` those that
    only the candidate gets right.
    """

    column: str
    value: str
    n: int
    right: int
    lost: int
    won: int

    def __post_init__(self) -> None:
        _require(self.n > 0, "a slice needs at least one row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The paired comparison of one candidate with the reference on the sealed split.

    `difference` is candidate minus reference, `lower_bound` its one-sided bound at the plan's
    confidence; `needed` says how many rows would probably settle an inconclusive verdict. `slices` compares the two on
    the rows of every label and of every value of every named column. `over_champion` is the one-sided lower bound of
    candidate minus champion on the same rows, None where there is none to compare with.
    """

    n: int
    score: Score
    difference: float
    lower_bound: float
    only_reference_right: int
    only_candidate_right: int
    verdict: GateVerdict
    needed: int | None
    position: int
    slices: tuple[Slice, ...] = ()
    over_champion: float | None = None

    def __post_init__(self) -> None:
        _finite("difference", self.difference)
        _finite("lower_bound", self.lower_bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One rule, what was seen, what was asked, and the verdict with its reason."""

    gate: str
    verdict: GateVerdict
    seen: float | None
    limit: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Everything that is known about one candidate at the end of a run."""

    candidate: str
    family: str
    base: str
    techniques: tuple[str, ...]
    predicted_bytes: int
    bundle: BuiltBundle | None
    search: Score | None
    certificate: Certificate | None
    measurements: tuple[Measurement, ...]
    gates: tuple[GateResult, ...]
    verdict: CandidateVerdict
    reason: str
    cost_s: float
    is_reference: bool = False
    is_champion: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the run took. `energy_source` is `measured`, `estimated` or `unavailable`, with the method."""

    wall_s: float
    stages: tuple[tuple[str, float], ...]
    energy_wh: float | None
    energy_source: str
    carbon_g: float | None
    carbon_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """The promises that a promoted model keeps; the plan's `[gates]` table.

    `slice_margin` and `slice_floor` bound the loss of accuracy and the accuracy of every slice; 1 and 0 bound nothing.
    `underpowered` says that the plan insists on a margin that its sealed split can hardly certify.
    """

    metric: Metric
    margin: float
    confidence: float
    floor: float
    slice_margin: float
    slice_floor: float
    underpowered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """A machine class where the model must run; the plan's `[[targets]]` tables. None means no limit."""

    name: str
    threads: int
    p99_ms: float | None
    peak_rss_bytes: int | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which candidate wins and why each other one does not. The receipt is its JSON.

    `exposures` counts the different questions that the sealed split has answered, this one included.
    """

    outcome: Outcome
    reason: str
    model: str
    winner: str | None
    reference: str
    judged: tuple[Judged, ...]
    gates: GateSettings
    targets: tuple[TargetSettings, ...]
    dataset: Dataset
    smallest_certifiable_margin: float
    cost: Cost
    exposures: int
    seed: int
    started_at: str
    run_id: str

    def __post_init__(self) -> None:
        _require((self.winner is None) == (self.outcome == "none"), "a winner goes with promoted or kept")
        if self.winner is not None:
            verdicts = [j.verdict for j in self.judged if j.candidate == self.winner]
            _require(verdicts == ["pass"], f"winner {self.winner} has verdicts {verdicts}, expected one pass")

    def of(self, candidate: str) -> Judged:
        """Return what is known of one candidate; KeyError when there is none of this id."""
        for judged in self.judged:
            if judged.candidate == candidate:
                return judged
        raise KeyError(candidate)


# --- promotion ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One line of the promotion journal; `number` is given by the registry and strictly increases.

    `expect` is the number of the head that the writer saw, or None for the first entry.
    """

    number: int
    attempt: str
    kind: Literal["promote", "rollback"]
    expect: int | None
    version: str
    digest: str
    size_bytes: int
    reason: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The model in production: what the journal's head says."""

    model: str
    version: str
    digest: str
    size_bytes: int
    candidate: str
    journal_number: int
    reason: str
    at: str
