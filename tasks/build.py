"""Build a candidate's bundle and see what it predicts on the validation split."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.bundle.folder import LABELS, Windows
from parsimony.candidates import BuiltBundle
from parsimony.compression.build import Sources, key_of
from parsimony.compression.technique import DoesNotApplyError
from parsimony.data.labels import translated
from parsimony.data.splits import Splits
from parsimony.decision import gates
from parsimony.decision.records import Shift
from parsimony.decision.verdicts import Entry
from parsimony.errors import BundleError
from parsimony.measurement import uncertainty
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.measurement.records import TargetSettings
from parsimony.measurement.uncertainty import Three
from parsimony.tasks.builder import Build, NotBuiltError
from parsimony.training import bases
from parsimony.training.checkpoint_store import Checkpoint
from parsimony.training.families import reads_unlabelled


@task(name="build", task_run_name="build {entry.id}", cache_policy=NO_CACHE)
def build(entry: Entry, checkpoint: Checkpoint, splits: Splits, windows: Windows, home: Path, made_by: Build) -> Entry:
    """Return the entry with its bundle, which reads long texts by `windows`, or with the reason why it cannot be built."""
    start = time.monotonic()
    labels = splits.dataset.labels
    sources = Sources(
        checkpoint=Path(checkpoint.folder),
        base=bases.resolve(entry.candidate.spec.base),
        texts=splits.read_by_students if reads_unlabelled(entry.candidate.spec.family) else splits.texts("train"),
        labels=labels,
        data_digest=splits.dataset.digest,
        windows=windows,
    )
    key = key_of(entry.candidate, checkpoint.key, labels, windows)
    try:
        bundle = made_by(entry.candidate, sources, home / "bundles" / key)
    except (DoesNotApplyError, NotBuiltError) as error:
        return replace(entry, obstacle=str(error), cost_s=checkpoint.cost_s)
    return replace(entry, bundle=bundle, cost_s=checkpoint.cost_s + time.monotonic() - start)


@task(name="evaluate", task_run_name="evaluate {entry.id}", cache_policy=NO_CACHE)
def evaluate(entry: Entry, splits: Splits, target: TargetSettings, home: Path) -> Entry:
    """Return the entry with its predictions on the validation split, made one text at a time, and the first timing.

    A candidate that cannot be predicted with is returned without its bundle, with the reason; the champion raises BundleError.
    """
    if entry.bundle is None:
        return entry
    try:
        predicted = predictions_of(entry.bundle, splits.texts("validation"), target, home / "predictions")
    except BundleError as error:
        if entry.is_champion:
            raise
        return replace(entry, bundle=None, obstacle=f"it cannot be predicted with: {error}"[:300])
    classes = todays_classes(entry.bundle, predicted.classes, splits.dataset.labels)
    score = gates.score(splits.truth("validation"), classes, len(splits.dataset.labels) + 1)
    return replace(entry, predictions=classes, validation=score, measurements=(predicted.measurement,))


def todays_classes(bundle: BuiltBundle, classes: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Return what a bundle predicts as class numbers of today's labels [rows]; a champion may have others."""
    own = tuple(json.loads((Path(bundle.folder) / LABELS).read_text(encoding="utf-8")))
    return np.asarray(classes) if own == labels else translated(np.asarray(classes), own, labels)


@task(name="shift", cache_policy=NO_CACHE)
def shift(reference: BuiltBundle, splits: Splits, target: TargetSettings) -> Shift:
    """Return how the test texts differ from the validation texts, whatever their labels."""
    discordance, new_words = uncertainty.shift(Path(reference.folder), Three.of(splits), target.threads)
    return Shift(discordance=discordance, new_words=new_words)
