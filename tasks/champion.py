"""Bring the champion of the last run into this one, so that it is judged beside the new candidates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.bundle.folder import LABELS
from parsimony.candidates import CHAMPION_SHAPE, Candidate, ModelSpec
from parsimony.compression.techniques import TECHNIQUES
from parsimony.decision.verdicts import Entry
from parsimony.files import MANIFEST
from parsimony.tasks.registry.promotion import champion, download
from parsimony.tasks.registry.tracking import Registry


@task(name="bring the champion", cache_policy=NO_CACHE)
def bring_champion(
    entries: list[Entry], model: str, labels: tuple[str, ...], registry: Registry, home: Path
) -> list[Entry]:
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
    entry = Entry(
        candidate=_candidate(
            json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("lineage"), current.version
        ),
        predicted_bytes=bundle.size_bytes,
        is_champion=True,
    )
    if tuple(json.loads((folder / LABELS).read_text(encoding="utf-8"))) != labels:
        return [*entries, replace(entry, obstacle="the champion's labels are not those of today's data")]
    return [*entries, replace(entry, bundle=bundle)]


def _candidate(lineage: object, version: str) -> Candidate:
    """Return the champion as a candidate of its own, named after its version; what its bundle does not say is guessed."""
    known = lineage if isinstance(lineage, dict) else {}
    spec = ModelSpec(
        family=str(known.get("family", "encoder")),
        base=str(known.get("base", "")),
        shape=(f"{CHAMPION_SHAPE}{version}",),
    )
    return Candidate(spec=spec, techniques=tuple(name for name in known.get("techniques", ()) if name in TECHNIQUES))
