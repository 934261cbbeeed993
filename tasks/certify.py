"""Ask the test split, in the fixed order, each candidate at its part of the level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.bundle.folder import LABELS, labels_of
from parsimony.candidates import BuiltBundle
from parsimony.data.splits import Splits
from parsimony.decision import procedure
from parsimony.decision.certification import on_targets
from parsimony.decision.records import Rules
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry
from parsimony.errors import BundleError
from parsimony.measurement.prediction_cache import predictions_of
from parsimony.measurement.records import TargetSettings
from parsimony.reporting.evidence import prediction_file, write_predictions
from parsimony.tasks.build import todays_classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where predictions are made and kept: the target, the run's folder, the folder of what is kept between runs.

    `predicting` names every place whose predictions are certified, "" for this machine; `elsewhere` holds those of the others, class
    numbers [rows] by target and candidate.
    """

    target: TargetSettings
    folder: Path
    home: Path
    predicting: tuple[str, ...] = ("",)
    elsewhere: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)


@task(name="certify", task_run_name="certify on the test split", cache_policy=NO_CACHE)
def certify(
    entries: Sequence[Entry], chosen: Shortlist, reference: str, splits: Splits, rules: Rules, place: Place
) -> list[Entry]:
    """Return the entries with certificates: those of the sequence, and the champion's, which is tested by itself.

    The predictions on both splits are kept in the run's folder. A candidate that cannot be predicted with on the test split is
    returned without its bundle, with the reason, and the sequence goes on without it: that is known from texts alone, before any
    label is looked at, so the order of the others is as fixed as it was. The reference raises BundleError.
    """
    for entry in entries:
        if entry.predictions is not None:
            file = prediction_file(place.folder, entry.id, "validation")
            write_predictions(file, entry.predictions, splits.dataset.labels)
    while True:
        by_id = {entry.id: entry for entry in entries}
        covered = {entry.id: entry.covered for entry in entries if entry.covered is not None}
        predictions = {where: partial(_predictions, by_id, splits, place, where) for where in place.predicting}
        tests = on_targets(procedure.test_set(splits), predictions, reference, rules, covered)
        try:
            return procedure.certify(entries, chosen, tests)
        except _UnusableError as error:
            if error.name == reference:
                raise
            chosen = chosen.without({error.name: error.why})
            entries = [_without_bundle(entry, error) if entry.id == error.name else entry for entry in entries]


class _UnusableError(BundleError):
    """A candidate cannot be predicted with on the test split."""

    def __init__(self, name: str, error: BundleError) -> None:
        super().__init__(f"{name} cannot be predicted with on the test split: {error}")
        self.name, self.why = name, str(error)


def _predictions(by_id: Mapping[str, Entry], splits: Splits, place: Place, where: str, name: str) -> np.ndarray:
    """Return a candidate's class numbers on the test split, which are made once, and keep them in the run's folder."""
    bundle = by_id[name].bundle
    if bundle is None:
        raise ValueError(f"{name} has no bundle to certify")
    try:
        predicted = _here(bundle, splits, place) if where == "" else _there(name, bundle, place, where)
    except BundleError as error:
        raise _UnusableError(name, error) from error
    classes = todays_classes(bundle, predicted, splits.dataset.labels)
    write_predictions(prediction_file(place.folder, name, "test", where), classes, splits.dataset.labels)
    return classes


def _here(bundle: BuiltBundle, splits: Splits, place: Place) -> np.ndarray:
    return predictions_of(bundle, splits.texts("test"), place.target, place.home / "predictions").classes


def _there(name: str, bundle: BuiltBundle, place: Place, where: str) -> np.ndarray:
    classes = np.array(place.elsewhere[where].get(name, ()), dtype=np.int64)
    path = Path(bundle.folder) / LABELS
    labels = len(labels_of(path.read_bytes(), path))
    if not len(classes) or classes.min() < 0 or classes.max() >= labels:
        raise BundleError(f"{where!r} predicted nothing with it, or none of its {labels} labels")
    return classes


def _without_bundle(entry: Entry, error: _UnusableError) -> Entry:
    obstacle = f"it cannot be predicted with on the test split: {error.why}"[:300]
    return replace(entry, bundle=None, predictions=None, validation=None, obstacle=obstacle)
