"""Build a candidate's bundle and see what it answers on the search split."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony import bases, building, gates
from parsimony.answers import answers_of
from parsimony.contracts import DoesNotApplyError
from parsimony.data.splits import load_split
from parsimony.judging import Entry
from parsimony.records import Dataset, TargetSettings
from parsimony.trunk_store import Grown
from parsimony.trunks import class_numbers

log = logging.getLogger(__name__)


@task(name="build", task_run_name="build {entry.id}", cache_policy=NO_CACHE)
def build(entry: Entry, grown: Grown, dataset: Dataset, home: Path) -> Entry:
    """Return the entry with its bundle, or with the reason why it cannot be built."""
    start = time.monotonic()
    key = building.key_of(entry.candidate, grown.key, dataset.labels)
    try:
        bundle = building.build(
            entry.candidate,
            Path(grown.folder),
            home / "bundles" / key,
            base=bases.resolve(entry.candidate.trunk.base),
            texts=load_split(dataset, "train").texts,
            labels=dataset.labels,
            data_digest=dataset.digest,
        )
    except (ImportError, OSError):  # a broken installation, a full disk: nothing that another candidate would be spared
        raise
    except DoesNotApplyError as error:
        return replace(entry, obstacle=str(error), cost_s=grown.cost_s)
    except Exception as error:  # optimiser and quantiser raise whatever their C++ raises; the other candidates go on
        log.warning("%s cannot be built", entry.id, exc_info=True)
        return replace(entry, obstacle=f"{type(error).__name__}: {error}"[:300], cost_s=grown.cost_s)
    return replace(entry, bundle=bundle, cost_s=grown.cost_s + time.monotonic() - start)


@task(name="evaluate", task_run_name="evaluate {entry.id}", cache_policy=NO_CACHE)
def evaluate(entry: Entry, dataset: Dataset, target: TargetSettings, home: Path) -> Entry:
    """Return the entry with its answers on the search split, given one text at a time, and what they took."""
    if entry.bundle is None:
        return entry
    table = load_split(dataset, "search")
    seen = answers_of(entry.bundle, table.texts, target, home / "answers")
    truth = class_numbers(table, dataset.labels)
    found = gates.score(truth, seen.classes, len(dataset.labels))
    return replace(entry, answers=np.asarray(seen.classes), search=found, measurements=(seen.measurement,))
