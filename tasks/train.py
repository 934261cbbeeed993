"""Train one trunk, or find it trained already."""

from __future__ import annotations

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony import bases
from parsimony.contracts import Material, TrainingSettings
from parsimony.data.splits import load_split
from parsimony.records import Dataset, Trunk
from parsimony.trunk_store import Grown, grow


@task(name="train", task_run_name="train {trunk}", cache_policy=NO_CACHE)
def train(
    trunk: Trunk,
    start: Grown | None,
    dataset: Dataset,
    settings: TrainingSettings,
    home: Path,
    *,
    max_tokens: int,
    seed: int,
) -> Grown:
    """Return the trained trunk; what was trained from the same data and settings before is used again."""
    material = Material(
        trunk=trunk,
        base=bases.resolve(trunk.base),
        start=None if start is None else Path(start.folder),
        train=load_split(dataset, "train"),
        search=load_split(dataset, "search"),
        labels=dataset.labels,
        max_tokens=max_tokens,
        seed=seed,
        settings=settings,
    )
    return grow(material, dataset.digest, home / "trunks")
