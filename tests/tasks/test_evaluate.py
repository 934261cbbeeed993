"""A candidate that cannot be predicted with, on either split, is a row with its reason; the others go on."""

from __future__ import annotations

from pathlib import Path

import hostile
import numpy as np
import onnx
import pytest
from bundles import LABELS, WORDS, write_tiny_bundle
from onnx import numpy_helper

from parsimony.bundle.folder import MODEL, describe
from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.data.splits import Splits, write_splits
from parsimony.data.table import Table
from parsimony.decision import procedure
from parsimony.decision.procedure import Case
from parsimony.decision.records import GateSettings, Rules
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry
from parsimony.errors import BundleError
from parsimony.measurement.records import TargetSettings
from parsimony.tasks.build import evaluate
from parsimony.tasks.certify import Place, certify

pytestmark = pytest.mark.slow  # brings Prefect

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    rows = Table(
        source="train.csv", texts=("hello", "rain", "a word", "send"), labels=(*LABELS, "transfer"), rows=(2, 3, 4, 5)
    )
    return write_splits(tmp_path / "splits", {"train": rows, "validation": rows, "test": rows}, (), ())


def entry(bundle: BuiltBundle, *, is_champion: bool = False) -> Entry:
    candidate = Candidate(spec=ModelSpec(family="linear", base="base"))
    return Entry(candidate=candidate, predicted_bytes=1, bundle=bundle, is_champion=is_champion)


def test_a_candidate_without_finite_logits_is_a_row_with_its_reason(splits: Splits, tmp_path: Path) -> None:
    hostile.CASES["graph: logits of no number"](tmp_path / "b")
    odd = describe(tmp_path / "b")
    judged = evaluate.fn(entry(odd), splits, HERE, tmp_path)
    assert (judged.bundle, judged.predictions) == (None, None)
    assert judged.obstacle.startswith(
        "it cannot be predicted with: the measuring process ended: the graph gives logits that are not finite"
    )
    with pytest.raises(BundleError, match="logits that are not finite"):
        evaluate.fn(entry(odd, is_champion=True), splits, HERE, tmp_path)


def test_a_sound_candidate_keeps_its_bundle(splits: Splits, tmp_path: Path) -> None:
    judged = evaluate.fn(entry(write_tiny_bundle(tmp_path / "b")), splits, HERE, tmp_path)
    assert judged.obstacle == ""
    assert judged.predictions is not None
    labels = [
        splits.dataset.labels[number] for number in judged.predictions
    ]  # today's, not in the order of the bundle's
    assert labels == ["greeting", "weather", "greeting", "transfer"]


# --- on the test split ----------------------------------------------------------------------------

GATES = GateSettings(metric="accuracy", margin=0.3, confidence=0.9, floor=0.0, slice_margin=0.5, slice_floor=0.0)


@pytest.fixture
def snowy(tmp_path: Path) -> Splits:
    """Return splits of which only the test rows hold the word `snow`."""
    texts, labels = ("hello", "rain", "send", "hi", "sun", "money") * 6, (*LABELS, *LABELS) * 6
    rows = Table(source="train.csv", texts=texts, labels=labels, rows=tuple(range(2, 38)))
    tests = Table(source="test.csv", texts=("rain snow", *texts[1:]), labels=("weather", *labels[1:]), rows=rows.rows)
    return write_splits(tmp_path / "snowy", {"train": rows, "validation": rows, "test": tests}, (), ())


def without_snow(folder: Path) -> BuiltBundle:
    """Return a bundle whose logits are finite until it reads `snow`."""
    write_tiny_bundle(folder, words={**WORDS, "snow": 1}, name=folder.name)
    model = onnx.load_model_from_string((folder / MODEL).read_bytes())
    votes = numpy_helper.to_array(model.graph.initializer[0]).copy()
    votes[len(WORDS) + 1] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(votes, "votes"))
    (folder / MODEL).write_bytes(model.SerializeToString())
    hostile.vouch(folder)
    return describe(folder)


def judged_on_snow(splits: Splits, tmp_path: Path, champion: str) -> list[Entry]:
    bundles = {name: write_tiny_bundle(tmp_path / name, name=name) for name in ("reference", "sound")}
    bundles |= {"odd": without_snow(tmp_path / "odd")}
    entries = [
        Entry(
            candidate=Candidate(spec=ModelSpec(family="linear", base="base", shape=(name,))),
            predicted_bytes=1,
            bundle=bundle,
            is_champion=name == champion,
        )
        for name, bundle in bundles.items()
    ]
    return [evaluate.fn(each, splits, HERE, tmp_path) for each in entries]


@pytest.mark.parametrize("champion", ["", "odd"])
def test_a_candidate_that_is_finite_on_validation_alone_is_a_row_with_its_reason(
    champion: str, snowy: Splits, tmp_path: Path
) -> None:
    entries = judged_on_snow(snowy, tmp_path, champion)
    reference, sound, odd = (each.id for each in entries)
    chosen = Shortlist(order=(odd, sound, reference), left_out=())
    rules, place = Rules(gates=GATES), Place(target=HERE, folder=tmp_path / "run", home=tmp_path)
    certified = {each.id: each for each in certify.fn(entries, chosen, reference, snowy, rules, place)}
    assert (certified[odd].bundle, certified[odd].certificate) == (None, None)
    assert certified[odd].obstacle.startswith(
        "it cannot be predicted with on the test split: the measuring process ended: the graph gives logits that are not finite"
    )
    for name, position in ((sound, 1), (reference, 2)):
        certificate = certified[name].certificate
        assert certificate is not None
        assert (certificate.verdict, certificate.position) == ("pass", position)
    case = Case(reference=reference, gates=GATES, targets=(HERE,), test_rows=36)
    entries = list(certified.values())
    comparisons = procedure.compare(case, entries, snowy.truth("validation"))
    ruling = procedure.conclude(case, entries, chosen, comparisons)
    [row] = [each for each in ruling.judged if each.candidate == odd]
    assert (ruling.outcome, ruling.winner in (sound, reference)) == ("promoted", True)
    assert (row.verdict, row.reason, row.is_champion) == ("not built", certified[odd].obstacle, champion == "odd")


def test_a_reference_that_cannot_be_tested_ends_the_run_with_its_name(snowy: Splits, tmp_path: Path) -> None:
    entries = judged_on_snow(snowy, tmp_path, "")
    odd = entries[-1].id
    rules, place = Rules(gates=GATES), Place(target=HERE, folder=tmp_path / "run", home=tmp_path)
    with pytest.raises(BundleError, match=f"^{odd} cannot be predicted with on the test split: .* not finite"):
        certify.fn(entries, Shortlist(order=(entries[0].id,), left_out=()), odd, snowy, rules, place)
