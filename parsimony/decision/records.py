"""Frozen records of the decision. Sizes are bytes, durations seconds, ratios 0 to 1; each checks itself when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from parsimony.candidates import BuiltBundle
from parsimony.data.slicing import Rows
from parsimony.data.table import Dataset
from parsimony.errors import require, require_finite
from parsimony.measurement.records import Measurement, TargetSettings

Metric = Literal["accuracy", "macro_f1"]
GateVerdict = Literal["pass", "fail", "inconclusive"]
CandidateVerdict = Literal["pass", "fail", "inconclusive", "not built", "not certified"]
Outcome = Literal["promoted", "waiting", "kept", "none"]
Approval = Literal["none", "prefect", "mlflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Point estimates of quality on one split, predicted from raw text one at a time."""

    n: int
    correct: int
    accuracy: float
    macro_f1: float

    def __post_init__(self) -> None:
        require(self.n > 0, "a score needs at least one row")
        require_finite("accuracy", self.accuracy)
        require_finite("macro_f1", self.macro_f1)

    def value(self, metric: Metric) -> float:
        """Return the metric that the gates look at."""
        return self.accuracy if metric == "accuracy" else self.macro_f1


# --- judging --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The n test rows of one label, or of one value of a named column, and what a candidate predicts there.

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
        require(self.n > 0, "a slice needs at least one row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A candidate's place among the tests: its position, counted from 1, and the level at which it is tested."""

    position: int
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OverChampion:
    """The paired comparison of one candidate with the champion, on the n test rows that the champion can be judged on.

    `difference` is candidate minus champion, in the metric of the gates; its one-sided bounds hold for all candidates that are compared
    with the champion together. Of `lost` rows only the champion is right, of `won` only the candidate; `labels` counts them by label.
    """

    n: int
    score: Score
    champion: Score
    difference: float
    lower_bound: float
    upper_bound: float
    lost: int
    won: int
    labels: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a champion can be judged on: so many rows of today's test split.

    Left out are the rows of labels that it does not know, and those that it was trained or chosen on (`trained_on`, None where that is
    not known). `gone_labels` are those that it knows and today's data does not have.
    """

    version: str
    rows: int
    new_labels: tuple[str, ...] = ()
    gone_labels: tuple[str, ...] = ()
    of_new_labels: int = 0
    trained_on: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The paired comparison of one candidate with the reference on the test split.

    `difference` is candidate minus reference, `lower_bound` its one-sided bound, which is too high with a chance of at most
    `level`, the part of 1 - confidence at which the candidate was tested; `needed` says how many rows would probably settle an
    inconclusive verdict. `slices` compares the two on the rows of every label and of every value of every named column.
    `over_champion` compares it with the champion, None where there is none to compare with. `elsewhere` says the same of what the two
    predict on other targets, where kernels may round otherwise.
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
    level: float
    slices: tuple[Slice, ...] = ()
    over_champion: OverChampion | None = None
    elsewhere: tuple[Elsewhere, ...] = ()

    def __post_init__(self) -> None:
        require_finite("difference", self.difference)
        require_finite("lower_bound", self.lower_bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """One rule, the value that it looked at, the limit, and the verdict with its reason."""

    gate: str
    verdict: GateVerdict
    value: float | None
    limit: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What the test split says of the predictions that a target made: the comparison with the reference there, and the floor."""

    target: str
    certificate: Certificate
    floor: GateResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TestSet:
    """What the test split knows: the class number of every row, int64 [rows], how many classes, the rows of each slice."""

    __test__: ClassVar[bool] = False  # no test of pytest's

    truth: np.ndarray
    classes: int
    slices: Rows

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: np.ndarray) -> TestSet:
        """Return the test set of these rows, bool [rows]; a slice of which none is left is left out."""
        slices = {key: mine[rows] for key, mine in self.slices.items() if mine[rows].any()}
        return TestSet(truth=self.truth[rows], classes=self.classes, slices=slices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The promises that a model must keep, and the seed of what is drawn to test them."""

    gates: GateSettings
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a person has said in the journal before a decision: why promotions are held ("" when they are not), and which
    bundles were withdrawn: (digest, reason)."""

    hold: str = ""
    withdrawn: tuple[tuple[str, str], ...] = ()

    def bar(self, digest: str) -> str:
        """Return why a bundle is not promoted, "" when nothing is in its way."""
        return self.hold or dict(self.withdrawn).get(digest, "")


NOTHING_SAID = Standing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Everything that is known about one candidate at the end of a run."""

    candidate: str
    family: str
    base: str
    shape: tuple[str, ...]
    techniques: tuple[str, ...]
    predicted_bytes: int
    bundle: BuiltBundle | None
    validation: Score | None
    certificate: Certificate | None
    measurements: tuple[Measurement, ...]
    gates: tuple[GateResult, ...]
    verdict: CandidateVerdict
    reason: str
    cost_s: float
    is_reference: bool = False
    is_champion: bool = False
    coverage: Coverage | None = None
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How the test texts differ from the validation texts, their labels unseen; the same numbers for every candidate.

    `discordance` is the factor by which more rows are expected to be predicted differently there, `new_words` by how much more
    of its texts hold a token that training never held.
    """

    discordance: float = 1.0
    new_words: float = 0.0


NO_SHIFT = Shift()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTest:
    """A test as it was planned on the validation split: the share of 1 - confidence with which the candidate begins, and the
    chance that it would be certified at the whole."""

    candidate: str
    share: float
    chance: float


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
    `champion_margin` is how much worse than the champion nothing may be proven to be, 1 is no limit. `underpowered` says that the plan
    insists on a margin that its test split can hardly certify. `approval` says where a person approves a winner before it is promoted.
    """

    metric: Metric
    margin: float
    confidence: float
    floor: float
    slice_margin: float
    slice_floor: float
    champion_margin: float = 0.02
    underpowered: bool = False
    approval: Approval = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which candidate wins and why each other one does not. The receipt is its JSON.

    `tests` are in their order, without the reference's; `shift` is what was known of the test texts. `test_reuse` counts the
    different questions that the test split has answered, this one included. A winner that is promoted, or waits for an approval,
    passes; a champion that is kept may be inconclusive.
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
    test_reuse: int
    seed: int
    started_at: str
    run_id: str
    standing: Standing = NOTHING_SAID
    tests: tuple[PlannedTest, ...] = ()
    shift: Shift = NO_SHIFT

    def __post_init__(self) -> None:
        require((self.winner is None) == (self.outcome == "none"), "a winner goes with promoted, waiting or kept")
        if self.winner is not None:
            winners = [j for j in self.judged if j.candidate == self.winner]
            stays = self.outcome == "kept" and [j.is_champion for j in winners] == [True]
            allowed = ("pass", "inconclusive") if stays else ("pass",)
            verdicts = [j.verdict for j in winners]
            require(
                len(winners) == 1 and verdicts[0] in allowed,
                f"winner {self.winner} has verdicts {verdicts}, expected one {' or '.join(allowed)}",
            )

    def of(self, candidate: str) -> Judged:
        """Return what is known of one candidate; KeyError when there is none of this id."""
        for judged in self.judged:
            if judged.candidate == candidate:
                return judged
        raise KeyError(candidate)
