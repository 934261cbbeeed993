"""Recompute a receipt from its evidence and name every difference.

The evidence is what a run keeps beside the receipt: the splits, each candidate's predictions to every row, and the bundles.
From it follow scores, the order of the tests, certificates, gates, verdicts, the winner and the sizes. Taken from the
receipt as they are: the plan's settings, how much harder the test texts looked, what was measured (no later run can measure the same moment again), costs,
predicted sizes, and why a candidate was not built.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from parsimony.bundle.folder import LABELS, describe
from parsimony.candidates import BuiltBundle, Candidate, ModelSpec, champion_version
from parsimony.data.row_digests import TRAINING_ROWS, read_row_digests
from parsimony.data.splits import Splits, read_splits
from parsimony.decision import fixed_sequence, gates, procedure
from parsimony.decision.certification import on_targets
from parsimony.decision.champion import GATE, LABELS_GATE, cover
from parsimony.decision.procedure import Case, Choice, RunFacts
from parsimony.decision.records import NO_SHIFT, NOTHING_SAID, Cost, GateSettings, Rules, Shift, Standing
from parsimony.decision.shortlist import shortlist
from parsimony.decision.verdicts import NOT_REACHED, Entry
from parsimony.errors import DataError, InfrastructureError
from parsimony.files import MANIFEST, digest_file
from parsimony.measurement.json_format import from_json, target_from_json
from parsimony.reporting.evidence import CHAMPION, prediction_file, read_predictions
from parsimony.reporting.receipt import RECEIPT_FORMAT, receipt

Paper = Mapping[str, Any]
# Receipts of this format were decided by one fixed sequence of tests, and are judged by that.
_FIXED_SEQUENCE = 2


class _NotTestedError(LookupError):
    """The evidence asks the test split about a candidate that the run did not test."""


def audit(folder: Path, bundles: Sequence[Path]) -> tuple[str, ...]:
    """Return one line for each place where a run's receipt is not what its evidence gives.

    folder: the run's folder with `receipt.json`, `data` and `predictions`; bundles: folders below which bundles are
    kept. Raises DataError when evidence is missing or unreadable.
    """
    try:
        paper: Paper = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
        _require_format(folder, paper)
        again = json.loads(json.dumps(_again(paper, folder, by_digest(bundles)), allow_nan=False))
    except _NotTestedError as error:
        return (f"candidates[{error}].certified: the receipt says None, the evidence gives it a place among the tests",)
    except (OSError, KeyError, TypeError, ValueError, InfrastructureError) as error:
        raise DataError(f"{folder}: the receipt cannot be recomputed: {type(error).__name__}: {error}") from error
    return tuple(_differences("", paper, again))


def _require_format(folder: Path, paper: Paper) -> None:
    if (written := paper.get("format", 1)) not in (_FIXED_SEQUENCE, RECEIPT_FORMAT):
        raise DataError(
            f"{folder}: the receipt has format {written}, this version reads {_FIXED_SEQUENCE} and {RECEIPT_FORMAT}; audit it "
            "with the version that wrote it"
        )


def by_digest(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the bundles kept below these folders by their digests."""
    manifests = (manifest for folder in folders for manifest in folder.glob(f"*/{MANIFEST}"))
    return {digest_file(manifest): manifest.parent for manifest in manifests}


def _again(paper: Paper, folder: Path, bundles: Mapping[str, Path]) -> Mapping[str, object]:
    """Return the receipt that the evidence gives."""
    splits = read_splits(folder / "data")
    case = case_of(paper, splits)
    rules = Rules(gates=case.gates, seed=paper["seed"])
    entries = [entry_of(candidate, splits, folder, bundles) for candidate in paper["candidates"]]
    covered = {entry.id: entry.covered for entry in entries if entry.covered is not None}
    predictions = {target: _predictions(paper, folder, splits, target) for target in procedure.predicting(case.targets)}
    tests = on_targets(procedure.test_set(splits), predictions, case.reference, rules, covered)
    comparisons = procedure.compare(case, entries, splits.truth("validation"))
    ruling = procedure.decide(case, entries, comparisons, tests, _rule(paper))
    facts = RunFacts(
        model=paper["model"],
        run_id=paper["run_id"],
        started_at=paper["started_at"],
        seed=rules.seed,
        test_reuse=paper["test_reuse"],
        cost=_cost(paper["cost"]),
    )
    decision = procedure.decision_of(case, ruling, splits.dataset, facts)
    again = receipt(decision, version=None if paper["winner"] is None else paper["winner"]["version"])
    return _as_before(again) if paper["format"] == _FIXED_SEQUENCE else again


def case_of(paper: Paper, splits: Splits) -> Case:
    """Return what the decision of a receipt was about."""
    # Receipts of format 2 set no limit beside the champion.
    promises = {"champion_margin": 1.0, **paper["gates"]}
    return Case(
        reference=paper["reference"]["candidate"],
        gates=GateSettings(**promises),
        targets=tuple(target_from_json(target) for target in paper["targets"]),
        test_rows=splits.dataset.test_rows,
        shift=Shift(**paper["shift"]) if "shift" in paper else NO_SHIFT,
        standing=_standing(paper.get("standing")),
    )


def _rule(paper: Paper) -> Choice:
    return fixed_sequence.shortlist if paper["format"] == _FIXED_SEQUENCE else shortlist


def _as_before(again: Mapping[str, Any]) -> Mapping[str, object]:
    """Return a receipt in the words of format 2, which knows neither planned tests nor their levels, and of the champion a bound."""
    old: dict[str, Any] = json.loads(json.dumps(again, allow_nan=False))
    del old["tests"], old["shift"], old["change"], old["gates"]["champion_margin"], old["gates"]["approval"]
    for candidate in old["candidates"]:
        candidate["gates"] = [gate for gate in candidate["gates"] if gate["gate"] not in (GATE, LABELS_GATE)]
        if (certified := candidate["certified"]) is not None:
            del certified["level"]
            certified["over_champion"] = certified["over_champion"] and certified["over_champion"]["lower_bound"]
        if candidate["reason"] == NOT_REACHED:
            candidate["reason"] = "the sequence of tests ended before it"
    return {**old, "format": _FIXED_SEQUENCE}


def _predictions(paper: Paper, folder: Path, splits: Splits, target: str) -> Callable[[str], np.ndarray]:
    """Return what gives a candidate's class numbers on the test split [rows] on a target, as far as the run has tested it."""
    tested = {candidate["candidate"] for candidate in paper["candidates"] if candidate["certified"] is not None}

    def predictions(name: str) -> np.ndarray:
        file = prediction_file(folder, name, "test", target)
        if name not in tested and not file.exists():
            raise _NotTestedError(name)
        return read_predictions(file, splits.dataset.labels)

    return predictions


def entry_of(candidate: Paper, splits: Splits, folder: Path, bundles: Mapping[str, Path]) -> Entry:
    """Return a candidate of the receipt with its evidence."""
    entry = Entry(
        candidate=_candidate(candidate),
        predicted_bytes=candidate["predicted_bytes"],
        cost_s=candidate["cost_s"],
        measurements=tuple(from_json(measurement) for measurement in candidate["measurements"]),
        is_champion=candidate["is_champion"],
        obstacle=candidate["reason"] if candidate["verdict"] == "not built" else "",
        refused=tuple(candidate.get("refused", {}).items()),
    )
    if candidate["digest"] is None:
        return entry
    kept = bundles.get(candidate["digest"])
    bundle = BuiltBundle(folder="", digest="not kept", size_bytes=1) if kept is None else describe(kept)
    labels = splits.dataset.labels
    predictions = read_predictions(prediction_file(folder, entry.id, "validation"), labels)
    score = gates.score(splits.truth("validation"), predictions, len(labels) + 1)
    return _covered(replace(entry, bundle=bundle, predictions=predictions, validation=score), splits, folder)


def _covered(entry: Entry, splits: Splits, folder: Path) -> Entry:
    """Return a champion of an earlier run with the test rows that it can be judged on; any other entry as it is."""
    version = champion_version(entry.candidate.spec.shape)
    if version is None:
        return entry
    if not (folder / CHAMPION / LABELS).exists():  # of format 2, which judged it on every row
        return entry
    own = json.loads((folder / CHAMPION / LABELS).read_text(encoding="utf-8"))
    file = folder / CHAMPION / TRAINING_ROWS
    coverage, covered = cover(version, own, splits, read_row_digests(file) if file.exists() else None)
    return replace(entry, coverage=coverage, covered=covered)


def _candidate(candidate: Paper) -> Candidate:
    spec = ModelSpec(
        family=candidate["family"],
        base=candidate["base"],
        shape=tuple(candidate["shape"]),
        tag=candidate["candidate"].partition("+")[0].partition("@")[2],
    )
    return Candidate(spec=spec, techniques=tuple(candidate["techniques"]))


def _standing(said: Paper | None) -> Standing:
    """Return what the receipt says a person had said; older receipts know of nothing."""
    if said is None:
        return NOTHING_SAID
    return Standing(hold=said["hold"], withdrawn=tuple((one["digest"], one["reason"]) for one in said["withdrawn"]))


def _cost(cost: Paper) -> Cost:
    stages = tuple((stage["stage"], stage["duration_s"]) for stage in cost["stages"])
    return Cost(**{**cost, "stages": stages})


def _differences(place: str, claimed: Any, computed: Any) -> Iterator[str]:
    """Yield one line for each leaf where two JSON values differ."""
    if isinstance(claimed, dict) and isinstance(computed, dict):
        for key in claimed.keys() | computed.keys():
            yield from _differences(f"{place}.{key}".lstrip("."), claimed.get(key), computed.get(key))
    elif isinstance(claimed, list) and isinstance(computed, list) and len(claimed) == len(computed):
        for i, (one, other) in enumerate(zip(claimed, computed, strict=True)):
            name = one.get("candidate", i) if isinstance(one, dict) else i
            yield from _differences(f"{place}[{name}]", one, other)
    elif claimed != computed or type(claimed) is not type(computed):
        yield f"{place}: the receipt says {claimed!r}, the evidence gives {computed!r}"
