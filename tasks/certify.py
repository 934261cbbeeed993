"""Ask the test split, in the fixed order, and stop at the first candidate that does not pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.data.splits import Splits
from parsimony.decision import procedure
from parsimony.decision.certification import on_predictions
from parsimony.decision.records import Rules
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.measurement.records import TargetSettings
from parsimony.reporting.evidence import prediction_file, write_predictions
from parsimony.tasks.build import todays_classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where predictions are made and kept: the target, the run's folder, the folder of what is kept between runs."""

    target: TargetSettings
    folder: Path
    home: Path


@task(name="certify", cache_policy=NO_CACHE)
def certify(
    entries: Sequence[Entry], chosen: Shortlist, reference: str, splits: Splits, rules: Rules, place: Place
) -> list[Entry]:
    """Return the entries with certificates: those of the sequence, and the champion's, which is tested by itself.

    The predictions on both splits are kept in the run's folder.
    """
    labels = splits.dataset.labels
    bundles = {entry.id: entry.bundle for entry in entries}
    for entry in entries:
        if entry.predictions is not None:
            write_predictions(prediction_file(place.folder, entry.id, "validation"), entry.predictions, labels)

    def predictions(name: str) -> np.ndarray:
        bundle = bundles[name]
        if bundle is None:
            raise ValueError(f"{name} has no bundle to certify")
        predicted = predictions_of(bundle, splits.texts("test"), place.target, place.home / "predictions")
        classes = todays_classes(bundle, predicted.classes, labels)
        write_predictions(prediction_file(place.folder, name, "test"), classes, labels)
        return classes

    covered = {entry.id: entry.covered for entry in entries if entry.covered is not None}
    tests = on_predictions(procedure.test_set(splits), predictions, reference, rules, covered)
    return procedure.certify(entries, chosen, tests)
