"""What a worker on a target does with a request, without Prefect: it verifies, measures, keeps, and refuses by name."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from bundles import write_tiny_bundle

from parsimony.bundle.config_json import CONFIG, written
from parsimony.errors import BundleError
from parsimony.files import MANIFEST, FileRef, write_manifest
from parsimony.measurement.records import MachineClass, TargetSettings
from parsimony.measurement.remote import Request
from parsimony.tasks import target
from parsimony.tasks.store import Store
from parsimony.tasks.target import NotMeasuredError

BOARD = TargetSettings(name="board", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None, pool="edge")
TEXTS = [f"hello rain money {i}" for i in range(30)]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A store, the home of a worker, and a request with two bundles."""

    store: Store
    home: Path
    request: Request

    def ask(self, request: Request | None = None) -> target.Answer:
        return target.answer(self.store.put_bytes((request or self.request).dumps()), self.store, self.home)

    def path(self, reference: FileRef) -> Path:
        return Path(self.store.address) / reference.uri


@pytest.fixture
def place(tmp_path: Path) -> Place:
    store = Store(address=str(tmp_path / "store"), cache=tmp_path / "home" / "fetched")
    names = ("encoder", "linear")
    bundles = [store.put_folder(Path(write_tiny_bundle(tmp_path / name, name=name).folder)) for name in names]
    texts = store.put_bytes(json.dumps(TEXTS).encode())
    request = Request(
        target=BOARD,
        baseline="encoder",
        bundles=tuple(zip(names, bundles, strict=True)),
        validation=texts,
        test=texts,
        code=target.measuring_code(),
    )
    return Place(store=store, home=tmp_path / "home", request=request)


@pytest.mark.slow
def test_a_request_is_measured_once_and_its_predictions_are_kept(place: Place) -> None:
    first = place.ask()
    result = first.result
    assert set(result.measurements) == set(result.predictions) == {"encoder", "linear"}
    assert (result.remade, result.refused) == (2, {})
    assert {m.ratio.baseline for m in result.measurements.values() if m.ratio} == {"encoder"}
    assert all(len(predicted) == len(TEXTS) for predicted in result.predictions.values())
    assert target.result_in(str(first)) == replace(
        first.reference, uri=f"sha256:{first.reference.sha256}, {first.reference.size_bytes} bytes"
    )
    # Another attempt finds the result where it is steady, and the predictions in any case.
    again = place.ask()
    assert again.reference == first.reference or (again.result.remade == 0 and not result.is_fresh())
    # What is no result of the request is none, whatever its name; only the timings are taken again.
    place.path(again.reference).write_bytes(b"{}")
    reference = place.store.put_bytes(place.request.dumps())
    assert target.kept(place.request, reference, place.store) is None
    place.store.note(reference.sha256, place.store.put_bytes(replace(result, request="0" * 64).dumps()))
    assert target.kept(place.request, reference, place.store) is None


@pytest.mark.slow
def test_what_cannot_be_predicted_with_is_refused_with_a_reason_unless_it_is_the_baseline(
    place: Place, tmp_path: Path
) -> None:
    broken = Path(write_tiny_bundle(tmp_path / "broken", labels=("one", "two"), name="broken").folder)
    labels = ("one", "two", "three")
    (broken / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    config = written({}, tokens=8, padding=0, labels=labels)
    (broken / CONFIG).write_text(config, encoding="utf-8")
    facts = json.loads((broken / MANIFEST).read_text(encoding="utf-8"))
    write_manifest(broken, {name: value for name, value in facts.items() if name != "files"})
    reference = place.store.put_folder(broken)
    request = replace(place.request, bundles=(*place.request.bundles[:1], ("broken", reference)))
    result = place.ask(request).result
    assert set(result.measurements) == {"encoder"}
    assert "expected logits of 3" in result.refused["broken"]
    with pytest.raises(BundleError, match="expected logits of 3"):
        place.ask(replace(request, baseline="broken"))


@pytest.mark.parametrize("what", ["manifest", "model", "texts", "request"])
def test_what_was_changed_in_the_store_is_refused_before_anything_is_measured(place: Place, what: str) -> None:
    bundle = place.request.bundles[1][1]
    manifest = json.loads(place.store.get_bytes(bundle))
    model = next(each["sha256"] for each in manifest["files"] if each["path"] == "model.onnx")
    request = place.store.put_bytes(place.request.dumps())
    changed = {
        "manifest": bundle.uri,
        "model": f"sha256/{model[:2]}/{model[2:]}",
        "texts": place.request.test.uri,
        "request": request.uri,
    }[what]
    (Path(place.store.address) / changed).write_bytes(b"[]")
    with pytest.raises(NotMeasuredError, match="is not what was put there") as refused:
        target.answer(request, place.store, place.home)
    assert refused.value.state == "Changed"
    assert not (place.home / "predictions").exists()


@pytest.mark.parametrize(
    ("machine", "state"),
    [
        (MachineClass(cpu="no such processor"), "Wrong class"),
        (MachineClass(cores=4096), "Wrong class"),
        (MachineClass(memory_bytes=1 << 60), "Wrong class"),
        (MachineClass(onnxruntime="1.0.0"), "Wrong version"),
    ],
)
def test_a_machine_of_another_class_or_version_measures_nothing(
    place: Place, machine: MachineClass, state: str
) -> None:
    with pytest.raises(NotMeasuredError) as refused:
        place.ask(replace(place.request, target=replace(BOARD, machine=machine)))
    assert refused.value.state == state
    assert not (place.home / "predictions").exists()


def test_another_version_of_the_code_measures_nothing(place: Place) -> None:
    with pytest.raises(NotMeasuredError, match="install the same version") as refused:
        place.ask(replace(place.request, code="0" * 64))
    assert refused.value.state == "Wrong version"
    with pytest.raises(NotMeasuredError, match="install the same version"):
        target.answer(place.store.put_bytes(b'{"format": 99}'), place.store, place.home)
