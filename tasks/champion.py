"""Bring the champion of the last run into this one, so that it is judged beside the new candidates."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from parsimony.bundle.folder import LABELS
from parsimony.candidates import CHAMPION_SHAPE, BuiltBundle, Candidate, ModelSpec
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.row_digests import TRAINING_ROWS, write_row_digests
from parsimony.data.splits import Splits
from parsimony.decision.champion import cover
from parsimony.decision.journal import Champion, fold
from parsimony.decision.verdicts import Entry
from parsimony.errors import first_line
from parsimony.files import MANIFEST, write_json
from parsimony.reporting.evidence import CHAMPION
from parsimony.tasks.notices import notice
from parsimony.tasks.registry.promotion import cached, champion, history
from parsimony.tasks.registry.refusals import ChangedError, MissingError
from parsimony.tasks.registry.stored_bundles import training_rows
from parsimony.tasks.registry.tracking import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a champion comes from, and where it and the evidence about it are kept: the home, the run's folder."""

    registry: Registry
    home: Path
    folder: Path


@task(name="bring the champion", task_run_name="bring the champion", cache_policy=NO_CACHE)
def bring_champion(entries: list[Entry], model: str, splits: Splits, place: Place) -> list[Entry]:
    """Return the entries with the champion marked: one of them when its bundle is the same, else one more.

    What it cannot be judged on is left out of its tests: rows of labels that it does not know, and rows that it was trained on. One of
    which nothing is left cannot be compared; it is not brought, and the reason is noted.
    """
    registry = place.registry
    try:
        current = champion(registry, model)
        if current is None:
            return entries
        if marked := _marked(entries, current.digest):
            return marked
        current, bundle = cached(registry, model, place.home / "champions")
    except (MissingError, ChangedError) as error:  # neither it nor one before it is whole any more
        return [*entries, _lost(registry, model, error)]
    return _marked(entries, current.digest) or [*entries, _brought(current, bundle, splits, place)]


def _marked(entries: list[Entry], digest: str) -> list[Entry]:
    """Return the entries with the one marked whose bundle is the champion's; none when there is no such one."""
    for i, entry in enumerate(entries):
        if entry.bundle is not None and entry.bundle.digest == digest:
            return [*entries[:i], replace(entry, is_champion=True), *entries[i + 1 :]]
    return []


def _brought(current: Champion, bundle: BuiltBundle, splits: Splits, place: Place) -> Entry:
    for line in current.notes:
        notice("champion", line)
    folder = Path(bundle.folder)
    lineage = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("lineage")
    entry = Entry(candidate=_candidate(lineage, current.version), predicted_bytes=bundle.size_bytes, is_champion=True)
    labels = tuple(json.loads((folder / LABELS).read_text(encoding="utf-8")))
    evidence = place.folder / CHAMPION
    trained = training_rows(place.registry, current.model, current.version, evidence)
    write_json(evidence / LABELS, labels)
    coverage, covered = cover(current.version, labels, splits, trained)
    return replace(entry, bundle=bundle, coverage=coverage, covered=covered)


def write_training_rows(splits: Splits, folder: Path) -> None:
    """Keep which rows the models of a run are trained and chosen on, as digests, in the run's folder."""
    texts = (*splits.tables["train"].texts, *splits.tables["validation"].texts)
    write_row_digests(folder / TRAINING_ROWS, texts)


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
