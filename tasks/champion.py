"""Bring the champion of the last run into this one, so that it is judged beside the new candidates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.bundle import LABELS
from parsimony.files import verify_folder
from parsimony.judging import Entry
from parsimony.records import Candidate, Dataset, Trunk
from tasks.promotion import champion, download
from tasks.tracking import Registry


@task(name="bring the champion", cache_policy=NO_CACHE)
def bring_champion(entries: list[Entry], model: str, dataset: Dataset, registry: Registry, home: Path) -> list[Entry]:
    """Return the entries with the champion marked: one of them when its bundle is the same, else one more.

    A champion whose labels differ from the data's cannot be compared; it is not brought, and the reason is noted.
    """
    current = champion(registry, model)
    if current is None:
        return entries
    for i, entry in enumerate(entries):
        if entry.bundle is not None and entry.bundle.digest == current.digest:
            return [*entries[:i], replace(entry, is_champion=True), *entries[i + 1 :]]
    bundle = download(registry, model, home / "champions" / current.digest[:32])
    folder = Path(bundle.folder)
    labels = tuple(json.loads((folder / LABELS).read_text(encoding="utf-8")))
    lineage = verify_folder(folder).get("lineage")
    base = str(lineage.get("base", "")) if isinstance(lineage, dict) else ""
    family = str(lineage.get("family", "encoder")) if isinstance(lineage, dict) else "encoder"
    techniques = tuple(lineage.get("techniques", ())) if isinstance(lineage, dict) else ()
    trunk = Trunk(family=family, base=base, shape=(f"champion-v{current.version}",))
    entry = Entry(
        candidate=Candidate(trunk=trunk, after=techniques), predicted_bytes=bundle.size_bytes, is_champion=True
    )
    if labels != dataset.labels:
        return [*entries, replace(entry, obstacle="the champion's labels are not those of today's data")]
    return [*entries, replace(entry, bundle=bundle)]
