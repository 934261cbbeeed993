"""Recompute a receipt from its evidence and name every difference.

The evidence is what a run keeps beside the receipt: the splits, each candidate's answers to every row, and the bundles.
From it follow scores, the order of the tests, certificates, gates, verdicts, the winner and the sizes. Taken from the
receipt as they are: the plan's settings, what was measured (no later run can measure the same moment again), costs,
predicted sizes, and why a candidate was not built.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from parsimony import gates, judging, selection
from parsimony.bundle import describe
from parsimony.data.slicing import rows_of
from parsimony.data.splits import load_split, read_dataset
from parsimony.errors import DataError, InfrastructureError
from parsimony.files import MANIFEST, digest_file
from parsimony.judging import Entry
from parsimony.measurement_json import from_json
from parsimony.receipt import receipt
from parsimony.records import (
    BuiltBundle,
    Candidate,
    Cost,
    Dataset,
    Decision,
    GateSettings,
    SplitName,
    TargetSettings,
    Trunk,
)
from parsimony.run import prediction_file

Paper = Mapping[str, Any]


def audit(folder: Path, bundles: Sequence[Path]) -> tuple[str, ...]:
    """Return one line for each place where a run's receipt is not what its evidence gives.

    folder: the run's folder with `receipt.json`, `data` and `predictions`; bundles: folders below which bundles are
    kept. Raises DataError when evidence is missing or unreadable.
    """
    try:
        paper: Paper = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
        again = json.loads(json.dumps(_again(paper, folder, by_digest(bundles)), allow_nan=False))
    except (OSError, KeyError, TypeError, ValueError, InfrastructureError) as error:
        raise DataError(f"{folder}: the receipt cannot be recomputed: {type(error).__name__}: {error}") from error
    return tuple(_differences("", paper, again))


def by_digest(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the bundles kept below these folders by their digests."""
    return {digest_file(found): found.parent for folder in folders for found in folder.glob(f"*/{MANIFEST}")}


def _again(paper: Paper, folder: Path, bundles: Mapping[str, Path]) -> Mapping[str, object]:
    """Return the receipt that the evidence gives."""
    dataset = read_dataset(folder / "data")
    exam = load_split(dataset, "sealed")
    search, sealed = (_numbers(t.labels, dataset) for t in (load_split(dataset, "search"), exam))
    entries = [_entry(found, search, dataset, folder, bundles) for found in paper["candidates"]]
    settings, targets = GateSettings(**paper["gates"]), tuple(TargetSettings(**t) for t in paper["targets"])
    reference = next(e for e in entries if e.id == paper["reference"]["candidate"])
    seen = [judging.searched(e, reference, search, settings) for e in entries if e.answers is not None]
    chosen = judging.fitting(entries, selection.shortlist(seen, dataset.sealed, settings), targets)

    def answers(name: str) -> np.ndarray:
        return _answers(folder, name, "sealed", dataset)

    classes, seed = len(dataset.labels), paper["seed"]
    rows = rows_of(exam)
    entries = judging.certified(entries, chosen.order, answers, reference.id, sealed, classes, rows, settings, seed)
    left_out = dict(chosen.left_out)
    judged = tuple(judging.verdict(entry, targets, settings, left_out, reference.id) for entry in entries)
    outcome, winner, reason = selection.decide(judged)
    decision = Decision(
        outcome=outcome,
        reason=reason,
        model=paper["model"],
        winner=winner,
        reference=reference.id,
        judged=judged,
        gates=settings,
        targets=targets,
        dataset=dataset,
        smallest_certifiable_margin=judging.certifiable_margin(seen, dataset.sealed, settings),
        cost=_cost(paper["cost"]),
        exposures=paper["exposures"],
        seed=seed,
        started_at=paper["started_at"],
        run_id=paper["run_id"],
    )
    return receipt(decision, version=None if paper["winner"] is None else paper["winner"]["version"])


def _entry(found: Paper, truth: np.ndarray, dataset: Dataset, folder: Path, bundles: Mapping[str, Path]) -> Entry:
    """Return a candidate of the receipt with its evidence; truth: class numbers of the search split [rows]."""
    entry = Entry(
        candidate=_candidate(found),
        predicted_bytes=found["predicted_bytes"],
        cost_s=found["cost_s"],
        measurements=tuple(from_json(seen) for seen in found["measurements"]),
        is_champion=found["is_champion"],
        obstacle=found["reason"] if found["verdict"] == "not built" else "",
    )
    if found["digest"] is None:
        return entry
    kept = bundles.get(found["digest"])
    bundle = BuiltBundle(folder="", digest="not kept", size_bytes=1) if kept is None else describe(kept)
    answers = _answers(folder, entry.id, "search", dataset)
    return replace(entry, bundle=bundle, answers=answers, search=gates.score(truth, answers, len(dataset.labels)))


def _candidate(found: Paper) -> Candidate:
    after = tuple(found["candidate"].rpartition(")")[2].split("+")[1:])
    shape = tuple(found["techniques"])
    trunk = Trunk(family=found["family"], base=found["base"], shape=shape[: len(shape) - len(after)])
    candidate = Candidate(trunk=trunk, after=after)
    if candidate.id == found["candidate"]:
        return candidate
    # A champion from elsewhere is named after its version, not after its shape.
    name = found["candidate"].partition("(")[0].split(".", 1)[1:]
    return Candidate(trunk=replace(trunk, shape=tuple(name)), after=shape)


def _answers(folder: Path, candidate: str, split: SplitName, dataset: Dataset) -> np.ndarray:
    labels = json.loads(prediction_file(folder, candidate, split).read_text(encoding="utf-8"))
    return _numbers(labels, dataset)


def _numbers(labels: Sequence[str], dataset: Dataset) -> np.ndarray:
    number = {label: i for i, label in enumerate(dataset.labels)}
    return np.array([number[label] for label in labels], dtype=np.int64)


def _cost(found: Paper) -> Cost:
    stages = tuple((stage["stage"], stage["duration_s"]) for stage in found["stages"])
    return Cost(**{**found, "stages": stages})


def _differences(place: str, claimed: Any, found: Any) -> Iterator[str]:
    """Yield one line for each leaf where two JSON values differ."""
    if isinstance(claimed, dict) and isinstance(found, dict):
        for key in claimed.keys() | found.keys():
            yield from _differences(f"{place}.{key}".lstrip("."), claimed.get(key), found.get(key))
    elif isinstance(claimed, list) and isinstance(found, list) and len(claimed) == len(found):
        for i, (one, other) in enumerate(zip(claimed, found, strict=True)):
            name = one.get("candidate", i) if isinstance(one, dict) else i
            yield from _differences(f"{place}[{name}]", one, other)
    elif claimed != found or type(claimed) is not type(found):
        yield f"{place}: the receipt says {claimed!r}, the evidence gives {found!r}"
