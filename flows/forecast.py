"""How long a run will still take: seconds a training step costs here, and what is still to be done."""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.plan import Plan
from parsimony.families.encoder import FROZEN
from parsimony.families.student import layers_in
from parsimony.records import Candidate, Dataset, Trunk
from parsimony.run import Run
from parsimony.trunk_store import Grown

# Seconds, before anything has been seen on this machine.
_LAYER_EPOCH_ROW_S = 6e-4
_CANDIDATE_S, _END_S = 4.0, 25.0
_FORWARD_TO_STEP = 3.0


@dataclass(slots=True)
class Forecast:
    """What is still to come, in seconds; it is told what is planned and what is done, and tells the run."""

    run: Run
    reference: str = ""
    row_s: float = _LAYER_EPOCH_ROW_S
    trunks: dict[Trunk, float] = field(default_factory=dict)
    waiting: int = 20

    def probed(self, grown: Grown, dataset: Dataset) -> None:
        """Learn from a probe, one forward pass over all rows, how fast this machine is."""
        if grown.cost_s > 0:
            self.row_s = max(grown.cost_s / 6 / dataset.train * _FORWARD_TO_STEP / 4, 1e-5)

    def expect(self, trunk: Trunk, dataset: Dataset, plan: Plan) -> None:
        """Add a trunk that will be trained."""
        if trunk.family == "encoder" and trunk.shape != (FROZEN,):
            self.reference = Candidate(trunk=trunk).id
            self.trunks[trunk] = 6 * plan.training.epochs * dataset.train * self.row_s
        elif trunk.family == "student":
            self.trunks[trunk] = layers_in(trunk.shape) * plan.training.student_epochs * dataset.train * self.row_s
        self._tell()

    def trained(self, trunk: Trunk) -> None:
        """Take a trunk off the list."""
        self.trunks.pop(trunk, None)
        self._tell()

    def candidates(self, count: int) -> None:
        """Set the number of candidates that are still to be built."""
        self.waiting = count
        self.trunks = {t: s for t, s in self.trunks.items() if t.family != "encoder"}
        self._tell()

    def built(self) -> None:
        """Take one candidate off the list."""
        self.waiting -= 1
        self._tell()

    def _tell(self) -> None:
        self.run.left_s = sum(self.trunks.values()) + self.waiting * _CANDIDATE_S + _END_S
