"""Train one model spec, or find its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.candidates import ModelSpec
from parsimony.data.splits import Splits
from parsimony.training import bases
from parsimony.training.checkpoint_store import Checkpoint, checkpoint_of
from parsimony.training.family import Material, TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the models of a run are trained: the plan's settings, where texts are cut, and the seed."""

    settings: TrainingSettings
    max_tokens: int
    seed: int


@task(name="train", task_run_name="train {spec.id}", cache_policy=NO_CACHE)
def train(spec: ModelSpec, start: Checkpoint | None, splits: Splits, training: Training, home: Path) -> Checkpoint:
    """Return the checkpoint of a spec; what was trained from the same data and settings before is used again."""
    material = Material(
        spec=spec,
        base=bases.resolve(spec.base),
        start=None if start is None else Path(start.folder),
        train=splits.tables["train"],
        validation=splits.tables["validation"],
        labels=splits.dataset.labels,
        max_tokens=training.max_tokens,
        seed=training.seed,
        settings=training.settings,
        unlabelled=splits.unlabelled,
    )
    return checkpoint_of(material, splits.dataset.digest, home / "checkpoints")
