"""Training: the bases as they are, and the fine-tuned reference."""

from __future__ import annotations

from collections.abc import Sequence

from parsimony.candidates import ModelSpec
from parsimony.data.splits import Splits
from parsimony.flows.session import Session
from parsimony.search import ladder, size_prediction
from parsimony.tasks import train as tasks
from parsimony.training import bases
from parsimony.training.checkpoint_store import Checkpoint
from parsimony.training.family import TrainingSettings


def probe(run: Session, splits: Splits) -> tuple[Checkpoint, ...]:
    """Try every base as it is, with a linear head on its frozen features; the best first."""
    checkpoints = []
    for spec in ladder.probe_specs(run.plan.bases.names):
        with run.stage("probe", spec.id):
            checkpoints.append(train(run, spec, None, splits))
        run.forecast.probed(checkpoints[-1], splits.dataset)
    return tuple(sorted(checkpoints, key=lambda checkpoint: -checkpoint.validation_accuracy))


def finetune(run: Session, splits: Splits, probes: Sequence[Checkpoint]) -> Checkpoint:
    """Fine-tune the base that did best as it is: the yardstick of quality, and the teacher."""
    best = probes[0]
    spec = ladder.reference_spec(best.spec.base)
    layers = size_prediction.layers_of_base(bases.resolve(spec.base))
    run.forecast.expect(spec, layers, splits.dataset, run.plan)
    with run.stage("finetune", f"{spec.id}; as it is, the base gets {best.validation_accuracy:.3f}"):
        reference = train(run, spec, best, splits)
    run.forecast.finetuned(reference, splits.dataset, run.plan)
    return reference


def train(run: Session, spec: ModelSpec, start: Checkpoint | None, splits: Splits) -> Checkpoint:
    """Return the checkpoint of a spec, trained now or before, as the plan says."""
    plan = run.plan
    settings = TrainingSettings(**plan.training.model_dump())
    training = tasks.Training(settings=settings, max_tokens=plan.data.max_tokens, seed=plan.run.seed)
    return tasks.train(spec, start, splits, training, run.home)
