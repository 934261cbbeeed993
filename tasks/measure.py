"""Measure the shortlist on a target: side by side, in turn, on the validation texts, against the machine's peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.data.splits import Splits
from parsimony.decision.verdicts import Entry
from parsimony.measurement import measure as instrument
from parsimony.measurement.records import TargetSettings
from parsimony.measurement.roofline.efficiency import with_roofline


@task(name="measure", task_run_name="measure on {target.name}", cache_policy=NO_CACHE)
def measure(
    entries: Sequence[Entry], names: Sequence[str], baseline: str, splits: Splits, target: TargetSettings
) -> list[Entry]:
    """Return the entries; those named carry a fresh measurement on this target instead of the first timing.

    baseline: the candidate that all are compared with; it must be among those named.
    """
    chosen = {e.id: Path(e.bundle.folder) for e in entries if e.id in names and e.bundle is not None}
    texts = splits.tables["validation"].texts
    measured = with_roofline(instrument.measure(chosen, texts, target, baseline), chosen, texts, target)
    return [
        replace(e, measurements=(*(m for m in e.measurements if m.target != target.name), measured[e.id]))
        if e.id in measured
        else e
        for e in entries
    ]
