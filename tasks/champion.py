"""Bring the champion of the last run into this one, so that it is judged beside the new candidates."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.bundle.folder import LABELS
from parsimony.candidates import CHAMPION_SHAPE, BuiltBundle, Candidate, ModelSpec
from parsimony.compression.techniques import TECHNIQUES
from parsimony.decision.journal import Champion, fold
from parsimony.decision.verdicts import Entry
from parsimony.errors import first_line
from parsimony.files import MANIFEST
from parsimony.tasks.registry.promotion import cached, champion, history
from parsimony.tasks.registry.refusals import ChangedError, MissingError
from parsimony.tasks.registry.tracking import Registry

log = logging.getLogger("parsimony.progress")


@task(name="bring the champion", task_run_name="bring the champion", cache_policy=NO_CACHE)
def bring_champion(
    entries: list[Entry], model: str, labels: tuple[str, ...], registry: Registry, home: Path
) -> list[Entry]:
    """Return the entries with the champion marked: one of them when its bundle is the same, else one more.

    A champion whose labels differ from the data's, or of which nothing is left, cannot be compared; it is not brought, and the
    reason is noted.
    """
    try:
        current = champion(registry, model)
        if current is None:
            return entries
        if marked := _marked(entries, current.digest):
            return marked
        current, bundle = cached(registry, model, home / "champions")
    except (MissingError, ChangedError) as error:  # neither it nor one before it is whole any more
        return [*entries, _lost(registry, model, error)]
    return _marked(entries, current.digest) or [*entries, _brought(current, bundle, labels)]


def _marked(entries: list[Entry], digest: str) -> list[Entry]:
    """Return the entries with the one marked whose bundle is the champion's; none when there is no such one."""
    for i, entry in enumerate(entries):
        if entry.bundle is not None and entry.bundle.digest == digest:
            return [*entries[:i], replace(entry, is_champion=True), *entries[i + 1 :]]
    return []


def _brought(current: Champion, bundle: BuiltBundle, labels: tuple[str, ...]) -> Entry:
    for line in current.notes:
        log.warning("%s", line, extra={"stage": "champion", "detail": line, "left_s": None})
    folder = Path(bundle.folder)
    lineage = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("lineage")
    entry = Entry(candidate=_candidate(lineage, current.version), predicted_bytes=bundle.size_bytes, is_champion=True)
    if tuple(json.loads((folder / LABELS).read_text(encoding="utf-8"))) != labels:
        return replace(entry, obstacle="the champion's labels are not those of today's data")
    return replace(entry, bundle=bundle)


def _lost(registry: Registry, model: str, error: Exception) -> Entry:
    """Return a champion that cannot be judged, because nothing of it is left."""
    head = fold(history(registry, model))
    if head is None:
        raise error
    return Entry(
        candidate=_candidate(None, head.version),
        predicted_bytes=head.size_bytes,
        is_champion=True,
        obstacle=first_line(error),
    )


def _candidate(lineage: object, version: str) -> Candidate:
    """Return the champion as a candidate of its own, named after its version; what its bundle does not say is guessed."""
    known = lineage if isinstance(lineage, dict) else {}
    spec = ModelSpec(
        family=str(known.get("family", "encoder")),
        base=str(known.get("base", "")),
        shape=(f"{CHAMPION_SHAPE}{version}",),
    )
    return Candidate(spec=spec, techniques=tuple(name for name in known.get("techniques", ()) if name in TECHNIQUES))
