"""Measure the shortlist on a target: side by side, in turn, on the search split's texts, against the machine's roofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony import measure as instrument
from parsimony.data.splits import load_split
from parsimony.efficiency import with_roofs
from parsimony.judging import Entry
from parsimony.records import Dataset, TargetSettings


@task(name="measure", task_run_name="measure on {target.name}", cache_policy=NO_CACHE)
def measure(
    entries: Sequence[Entry], names: Sequence[str], base_line: str, dataset: Dataset, target: TargetSettings
) -> list[Entry]:
    """Return the entries; those named carry a fresh measurement on this target instead of the first look.

    base_line: whom all are compared with; it must be among those named.
    """
    chosen = {e.id: Path(e.bundle.folder) for e in entries if e.id in names and e.bundle is not None}
    texts = load_split(dataset, "search").texts
    seen = with_roofs(instrument.measure(chosen, texts, target, base_line), chosen, texts, target)
    return [
        replace(e, measurements=(*(m for m in e.measurements if m.target != target.name), seen[e.id]))
        if e.id in seen
        else e
        for e in entries
    ]
