"""How long a run will still take: seconds a training step costs here, and what is still to be done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parsimony.candidates import ModelSpec
from parsimony.data.table import Dataset
from parsimony.flows.plan import Plan
from parsimony.training.checkpoint_store import Checkpoint
from parsimony.training.families.student import epochs_of, heads_in, layers_in, neurons_in

# Seconds, before anything is known of this machine.
_LAYER_EPOCH_ROW_S = 6e-4
_CANDIDATE_S, _END_S, _TESTED = 4.0, 35.0, 4
_FORWARD_TO_STEP = 3.0
_NARROW_SHARE, _FEW_HEADS_SHARE = 0.6, 0.4


def step_s(forward_s: float, layers: int, rows: int) -> float:
    """Return about what a training step costs per row and layer, from the seconds that a pass over all rows took."""
    return max(forward_s / layers / rows * _FORWARD_TO_STEP / 4, 1e-5)


def passes_of(student: ModelSpec, layers: int, epochs: int) -> float:
    """Return what training a student costs, in passes over the data through one whole layer of a base with `layers`."""
    share = 1.0 if neurons_in(student.shape) is None else _NARROW_SHARE
    share = share if heads_in(student.shape) is None else _FEW_HEADS_SHARE
    kept = layers_in(student.shape)
    return kept * share * epochs_of(kept, layers, epochs)


@dataclass(slots=True)
class Forecast:
    """What is still to come, in seconds, from what is planned and what is done.

    `waiting` and `done` count candidates, `test_share` is how many test rows there are for one of the validation split,
    `evaluation_s` is what all evaluations took so far. `left_s` is None before anything is planned.
    """

    reference: str = ""
    row_s: float = _LAYER_EPOCH_ROW_S
    layers: int = 6
    training_s: float = 0.0
    waiting: int = 20
    done: int = 0
    test_share: float = 1.0
    evaluation_s: float = 0.0
    left_s: float | None = None

    def probed(self, checkpoint: Checkpoint, dataset: Dataset) -> None:
        """Learn from a probe, one forward pass over all rows, how fast this machine is."""
        if checkpoint.cost_s > 0:
            self.row_s = step_s(checkpoint.cost_s, self.layers, dataset.train_rows)

    def expect(self, reference: ModelSpec, layers: int, dataset: Dataset, plan: Plan) -> None:
        """Add the fine-tuning of the reference, which has so many layers."""
        self.reference = reference.id
        self.row_s *= self.layers / layers
        self.layers = layers
        self.test_share = dataset.test_rows / dataset.validation_rows
        self.training_s = layers * plan.training.epochs * dataset.train_rows * self.row_s
        self._tell()

    def finetuned(self, checkpoint: Checkpoint, dataset: Dataset, plan: Plan) -> None:
        """Learn from the fine-tuning what a pass over the rows costs here."""
        if checkpoint.cost_s > 0:
            self.row_s = checkpoint.cost_s / (self.layers * plan.training.epochs * dataset.train_rows)

    def cost_s(self, student: ModelSpec, dataset: Dataset, plan: Plan) -> float:
        """Return about how many seconds this student takes to train."""
        return passes_of(student, self.layers, plan.training.student_epochs) * dataset.train_rows * self.row_s

    def students(self, left: Sequence[ModelSpec], dataset: Dataset, plan: Plan) -> None:
        """Set the students of which some, found by bisection, will be trained."""
        costs = [self.cost_s(student, dataset, plan) for student in left]
        self.training_s = sum(costs) / max(len(costs), 1) * math.log2(len(costs) + 1)
        self._tell()

    def candidates(self, count: int) -> None:
        """Set the number of candidates that are still to be built."""
        self.waiting = count
        self._tell()

    def built(self, evaluation_s: float) -> None:
        """Take one candidate off the list; all evaluations together took so many seconds."""
        self.evaluation_s = evaluation_s
        self.waiting = max(self.waiting - 1, 0)
        self.done += 1
        self._tell()

    def end_s(self) -> float:
        """Return about how many seconds measuring, certifying and publishing take, from what an evaluation takes."""
        return _END_S + _TESTED * self.test_share * self.evaluation_s / max(self.done, 1)

    def _tell(self) -> None:
        self.left_s = self.training_s + self.waiting * _CANDIDATE_S + self.end_s()
