"""The instrument, tested on workloads whose predictions, speed and size are known beforehand."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import LABELS, WORDS, write_tiny_bundle
from onnx import helper, numpy_helper

from parsimony.audit import instrument, known_work
from parsimony.bundle.folder import Contents, write_bundle
from parsimony.bundle.predict import load
from parsimony.candidates import BuiltBundle
from parsimony.errors import InfrastructureError
from parsimony.measurement import machine, worker
from parsimony.measurement.interleaving import mixed
from parsimony.measurement.measure import (
    BLOCK,
    NOISE_LIMIT,
    ROUNDS,
    STRETCH,
    Predicted,
    judge,
    measure,
    noise_of,
)
from parsimony.measurement.processes import Process, ask, started, texts_file
from parsimony.measurement.records import Disturbance, TargetSettings
from parsimony.measurement.turns import MOST_TURNS, is_disturbed

pytestmark = pytest.mark.slow

HERE = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
TEXTS = tuple(f"{first} and {second}" for first in WORDS for second in ("hello", "sun", "money", "nothing"))
MIB = 1 << 20


def write_changed_bundle(folder: Path, change: Callable[[onnx.GraphProto], None]) -> BuiltBundle:
    """Write the tiny bundle with another graph."""
    made = write_tiny_bundle(folder / "tiny")
    model = onnx.load_model_from_string((folder / "tiny" / "model.onnx").read_bytes())
    change(model.graph)
    tokenizer = (folder / "tiny" / "tokenizer.json").read_text(encoding="utf-8")
    assert made.size_bytes
    return write_bundle(
        folder / "changed", Contents(model=model.SerializeToString(), tokenizer=tokenizer, labels=LABELS, lineage={})
    )


def slowed(graph: onnx.GraphProto) -> None:
    """Multiply by an identity matrix of 500 columns 40 times before the logits come out: the same logits, later."""
    size, turns = 500, 40
    wide = np.zeros((len(LABELS), size), dtype=np.float32)
    wide[:, : len(LABELS)] = np.eye(len(LABELS))
    constants = {"wide": wide, "narrow": wide.T.copy(), "one": np.eye(size, dtype=np.float32)}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    last = next(node for node in graph.node if node.output[0] == "logits")
    last.output[0] = "soon"
    steps = [("soon", "wide"), *[(f"step{i}", "one") for i in range(turns)], (f"step{turns}", "narrow")]
    names = [*(f"step{i}" for i in range(turns + 1)), "logits"]
    for (left, right), out in zip(steps, names, strict=True):
        graph.node.append(helper.make_node("MatMul", [left, right], [out]))


def failing(graph: onnx.GraphProto) -> None:
    """Look a row up that is not there when the text has more than three words."""
    last = next(node for node in graph.node if node.output[0] == "logits")
    last.output[0] = "soon"
    graph.initializer.append(numpy_helper.from_array(np.zeros((4, 1), dtype=np.float32), "short"))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 1], dtype=np.int64), "both"))
    graph.node.extend(
        [
            helper.make_node("Shape", ["input_ids"], ["tokens"], start=1),
            helper.make_node("Gather", ["short", "tokens"], ["zero"]),
            helper.make_node("Add", ["soon", "zero"], ["logits"]),
        ]
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> BuiltBundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="module")
def predicted(tiny: BuiltBundle) -> Predicted:
    ballast = np.ones(24 * MIB)
    predicted = judge(Path(tiny.folder), TEXTS * 10, HERE)
    assert ballast.nbytes == 192 * MIB
    return predicted


def test_the_predictions_are_those_of_the_bundle(tiny: BuiltBundle, predicted: Predicted) -> None:
    expected = load(Path(tiny.folder)).predict(TEXTS)
    assert [LABELS[number] for number in predicted.classes] == expected * 10
    assert set(expected) == set(LABELS)


def test_every_text_is_one_sample_and_the_record_says_where_it_was_taken(predicted: Predicted) -> None:
    measurement = predicted.measurement
    assert (measurement.target, measurement.samples) == ("here", len(TEXTS) * 10)
    assert measurement.environment.threads == 1
    assert dict(measurement.environment.versions).keys() >= {"onnxruntime", "tokenizers", "numpy"}
    assert (
        0
        < measurement.p50.low_ms
        <= measurement.p50.value_ms
        <= measurement.p90.value_ms
        <= measurement.p99.value_ms
        <= measurement.p99.high_ms
    )
    assert 1e3 / measurement.throughput_per_s == pytest.approx(measurement.p50.value_ms, rel=5)
    assert 0.01 < measurement.startup_s < 60


def test_a_graph_that_works_longer_is_measured_to_take_longer(tiny: BuiltBundle, tmp_path: Path) -> None:
    slow = write_changed_bundle(tmp_path, slowed)
    measurements = measure({"slow": Path(slow.folder), "fast": Path(tiny.folder)}, TEXTS, HERE)
    assert list(measurements) == ["slow", "fast"]
    assert measurements["slow"].p50.low_ms > 2 * measurements["fast"].p50.high_ms
    assert measurements["slow"].throughput_per_s < measurements["fast"].throughput_per_s
    for measurement in measurements.values():
        assert measurement.samples in {ROUNDS * BLOCK * tries for tries in range(1, MOST_TURNS + 1)}
    again = judge(Path(slow.folder), TEXTS, HERE)
    assert [LABELS[n] for n in again.classes] == load(Path(tiny.folder)).predict(TEXTS)


def test_peak_memory_grows_with_the_bundle(predicted: Predicted, tmp_path: Path) -> None:
    heavy = write_tiny_bundle(tmp_path / "heavy", padding_floats=8 * MIB)
    assert heavy.size_bytes > 32 * MIB
    measurement = judge(Path(heavy.folder), TEXTS, HERE).measurement
    assert measurement.peak_rss_bytes - predicted.measurement.peak_rss_bytes > 32 * MIB


def test_the_memory_of_the_measuring_side_is_not_counted(predicted: Predicted) -> None:
    """It held 192 MiB of ballast meanwhile."""
    assert predicted.measurement.peak_rss_bytes < 192 * MIB


def test_a_bundle_that_cannot_be_loaded_ends_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"the measuring process ended: .*nowhere has no manifest\.json"):
        judge(tmp_path / "nowhere", TEXTS, HERE)


def test_a_bundle_that_was_damaged_ends_the_measurement_of_all(tiny: BuiltBundle, tmp_path: Path) -> None:
    damaged = write_tiny_bundle(tmp_path / "damaged")
    (Path(damaged.folder) / "labels.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InfrastructureError, match=r"the measuring process ended: .*labels\.json has "):
        measure({"good": Path(tiny.folder), "bad": Path(damaged.folder)}, TEXTS, HERE)


def test_a_process_that_dies_at_a_text_ends_with_its_last_line(tmp_path: Path) -> None:
    fragile = write_changed_bundle(tmp_path, failing)
    assert len(judge(Path(fragile.folder), TEXTS, HERE).classes) == len(TEXTS)
    with pytest.raises(InfrastructureError, match=r"the measuring process ended: .*indices element out of data bounds"):
        judge(Path(fragile.folder), (*TEXTS, "one two three four five six"), HERE)


def test_a_text_is_in_every_place_of_the_mixed_order_once() -> None:
    for count in (1, 2, 3, 50, 99, 100, 101, 3_080):
        assert sorted(mixed(["a" * (i % 7) for i in range(count)])) == list(range(count))


def test_sorted_texts_are_measured_in_blocks_that_are_alike() -> None:
    texts = ["a" * i for i in range(20 * STRETCH)]
    as_given = np.arange(20.0 * STRETCH).reshape(-1, STRETCH)
    taken = np.array([float(len(texts[i])) for i in mixed(texts)]).reshape(-1, STRETCH)
    assert noise_of(list(as_given)) > 0.5
    assert noise_of(list(taken)) < 0.05


def test_the_predictions_come_back_in_the_order_of_the_texts(tiny: BuiltBundle) -> None:
    texts = ("send money now please", "hi", "the sun", "money", "rain and sun and rain")
    classes = judge(Path(tiny.folder), texts, HERE).classes
    assert [LABELS[n] for n in classes] == ["transfer", "greeting", "weather", "transfer", "weather"]


# --- side by side ---------------------------------------------------------------------------------


def test_the_first_is_the_baseline_and_its_own_ratio_is_that_of_its_control(tiny: BuiltBundle, tmp_path: Path) -> None:
    slow = write_changed_bundle(tmp_path, slowed)
    folders = {"fast": Path(tiny.folder), "slow": Path(slow.folder)}
    ratios = {name: measurement.ratio for name, measurement in measure(folders, TEXTS, HERE).items()}
    control, ratio = ratios["fast"], ratios["slow"]
    assert control is not None and ratio is not None
    assert {control.baseline, ratio.baseline} == {"fast"}
    assert control.noise_floor == ratio.noise_floor >= max(0.02, control.high - 1, 1 - control.low)
    assert control.verdict in {"same", "inconclusive"}
    assert 2 < ratio.low <= ratio.value <= ratio.high
    assert ratio.verdict in {"slower", "inconclusive"}
    backwards = measure(folders, TEXTS, HERE, baseline="slow")["fast"].ratio
    assert backwards is not None
    assert backwards.baseline == "slow" and backwards.high < 0.5
    assert backwards.verdict in {"faster", "inconclusive"}


def test_the_record_says_what_the_process_said_of_its_threads_and_what_disturbed_it(predicted: Predicted) -> None:
    measurement = predicted.measurement
    environment = measurement.environment
    assert (environment.intra_op_threads, environment.inter_op_threads, environment.spinning) == (1, 1, False)
    assert environment.affinity == machine.measuring_cores(1)
    assert measurement.disturbance is not None
    assert measurement.disturbance.steal_share is not None
    assert measurement.disturbance.waited_share is not None
    assert measurement.warm_up is not None and measurement.warm_up >= 3 * min(BLOCK, len(TEXTS))
    assert (measurement.ratio, measurement.roofline_peaks, measurement.roofline_efficiency) == (None, None, None)


@pytest.mark.parametrize(
    ("steal_share", "throttled", "disturbed"),
    [(0.0, 0, False), (0.01, 0, False), (0.0101, 0, True), (0.0, 1, True), (None, None, False), (None, 2, True)],
)
def test_more_than_one_percent_stolen_or_any_holding_back_disturbs(
    steal_share: float | None, throttled: int | None, disturbed: bool
) -> None:
    assert is_disturbed(Disturbance(steal_share=steal_share, throttled=throttled)) == disturbed


def counted_by(monkeypatch: pytest.MonkeyPatch, *throttled: int) -> None:
    """Let the counter of the control group read these numbers one after the other, and steal nothing be read."""
    numbers = iter(throttled)
    monkeypatch.setattr(machine, "throttled_count", lambda: next(numbers))
    monkeypatch.setattr(machine, "core_ticks", lambda _: None)


def test_a_machine_that_is_disturbed_for_a_moment_is_measured_again_and_the_quiet_turn_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = known_work.write(tmp_path / "work.json", known_work.Known(hashed_bytes=40_000))
    counted_by(monkeypatch, 3, 5, 5, *[5] * 9)  # held back twice during the first turn, and never again
    measurement = measure({"work": work}, TEXTS, HERE, module=known_work.MODULE)["work"]
    assert measurement.disturbance is not None and measurement.ratio is not None
    assert measurement.disturbance.set_aside == 1
    assert measurement.samples == ROUNDS * BLOCK * measurement.disturbance.turns
    assert measurement.ratio.rounds == ROUNDS * measurement.disturbance.turns  # each beside its control's
    assert measurement.stable == (measurement.noise <= NOISE_LIMIT)


def test_a_machine_that_is_disturbed_in_every_turn_stays_unsteady(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = known_work.write(tmp_path / "work.json", known_work.Known(hashed_bytes=4_000))
    counted_by(monkeypatch, *range(2 * MOST_TURNS))
    measurement = measure({"work": work}, TEXTS, HERE, module=known_work.MODULE)["work"]
    assert measurement.disturbance is not None and measurement.ratio is not None
    assert (measurement.stable, measurement.samples) == (False, ROUNDS * BLOCK * MOST_TURNS)
    taken = measurement.disturbance
    assert (taken.throttled, taken.turns, taken.set_aside) == (MOST_TURNS, MOST_TURNS, 0)
    assert measurement.ratio.verdict == "inconclusive"


# --- known beforehand -----------------------------------------------------------------------------


def processes_with(folder: Path, **work: tuple[float, float]) -> list[Process]:
    """Start a process with the first and one with the second value of this kind of work; return both and their memory."""
    [(kind, values)] = work.items()
    started_processes = []
    for value in values:
        known = known_work.Known(**{"hashed_bytes": 1000, kind: value})
        path = known_work.write(folder / f"{value}.json", known)
        with texts_file(TEXTS) as texts, started(path, texts, 1, known_work.MODULE) as process:
            memory = ask(process.process, do="memory")
            started_processes.append(replace(process, said={**process.said, **memory}))
    return started_processes


def test_a_process_is_started_when_its_work_is_loaded(tmp_path: Path) -> None:
    quick, slow = processes_with(tmp_path, load_s=(0.0, 2.0))  # far more than a busy machine adds to a start
    assert 1.0 < slow.startup_s - quick.startup_s < 3.0


def test_the_peak_memory_of_a_process_is_what_it_really_held(tmp_path: Path) -> None:
    light, heavy = processes_with(tmp_path, ballast_bytes=(0, 100 * MIB))
    held = heavy.said["peak_rss_bytes"] - light.said["peak_rss_bytes"]
    assert held == pytest.approx(100 * MIB, rel=0.05)


def test_startup_lasts_as_long_as_loading_does(tmp_path: Path) -> None:
    quick, slow = (
        known_work.write(tmp_path / f"{load_s}.json", known_work.Known(hashed_bytes=1000, load_s=load_s))
        for load_s in (0.0, 0.6)
    )
    differences = []
    for _ in range(3):  # a start that another test disturbs is repeated
        measurements = measure({"quick": quick, "slow": slow}, TEXTS, HERE, module=known_work.MODULE)
        differences.append(measurements["slow"].startup_s - measurements["quick"].startup_s)
        if 0.3 < differences[-1] < 0.9:
            return
    raise AssertionError(differences)


def test_peak_memory_is_what_the_process_really_held(tmp_path: Path) -> None:
    light, heavy = (
        known_work.write(tmp_path / f"{size}.json", known_work.Known(hashed_bytes=1000, ballast_bytes=size))
        for size in (0, 100 * MIB)
    )
    measurements = measure({"light": light, "heavy": heavy}, TEXTS, HERE, module=known_work.MODULE)
    held = measurements["heavy"].peak_rss_bytes - measurements["light"].peak_rss_bytes
    assert held == pytest.approx(100 * MIB, rel=0.05)


def test_work_that_is_twice_as_long_takes_twice_as_long(tmp_path: Path) -> None:
    single, twice = (
        known_work.write(tmp_path / f"{size}.json", known_work.Known(hashed_bytes=size)) for size in (400_000, 800_000)
    )
    measurements = measure({"single": single, "twice": twice}, TEXTS, HERE, module=known_work.MODULE)
    assert list(measurements) == ["single", "twice"]
    allowed = {ROUNDS * BLOCK * tries for tries in range(1, MOST_TURNS + 1)}
    assert all(m.samples in allowed for m in measurements.values())
    control, ratio = measurements["single"].ratio, measurements["twice"].ratio
    assert control is not None and ratio is not None
    assert {control.baseline, ratio.baseline} == {"single"}
    assert control.noise_floor == ratio.noise_floor >= max(0.02, control.high - 1, 1 - control.low)
    assert control.verdict in {"same", "inconclusive"}
    assert ratio.value == pytest.approx(2, rel=0.1)
    assert ratio.low < 2.1 and ratio.high > 1.9


def test_who_shares_its_core_waits_about_half_of_the_time_and_this_is_recorded(tmp_path: Path) -> None:
    work = known_work.write(tmp_path / "work.json", known_work.Known(hashed_bytes=1_000_000))
    with instrument.one_core_loaded():
        disturbance = measure({"work": work}, TEXTS, HERE, module=known_work.MODULE)["work"].disturbance
    assert disturbance is not None and disturbance.waited_share is not None
    assert 0.2 < disturbance.waited_share < 1.0


def test_blocks_that_disagree_are_noise() -> None:
    level = [np.full(BLOCK, 1.0)] * 9
    assert noise_of(level) == 0.0
    assert noise_of([block * factor for factor, block in zip((1, 2, 3) * 3, level, strict=True)]) > NOISE_LIMIT
    one_slow_block = [*level[1:], level[0] * 100]
    assert noise_of(one_slow_block) == 0.0


# --- the worker -----------------------------------------------------------------------------------


def _served(*orders: dict[str, object]) -> list[dict[str, object]]:
    replies = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(order) + "\n" for order in orders)), replies)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


def test_the_worker_replies_to_each_order_with_one_line(tiny: BuiltBundle, tmp_path: Path) -> None:
    import gc

    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps(["hello", "rain", "send"]), encoding="utf-8")
    try:
        loaded, reply, memory = _served(
            {"do": "load", "bundle": tiny.folder, "threads": 1, "texts": str(texts)},
            {"do": "predict", "start": 1, "stop": 3},
            {"do": "memory"},
        )
    finally:
        gc.enable()
    assert loaded == {
        "intra_op_threads": 1,
        "inter_op_threads": 1,
        "spinning": False,
        "affinity": sorted(os.sched_getaffinity(0)),
        "batches": True,
    }
    assert reply["classes"] == [1, 2]
    assert len(reply["durations_ns"]) == 2
    assert min(reply["durations_ns"]) > 0
    assert memory["peak_rss_bytes"] > 10 * MIB


def test_an_order_that_cannot_be_followed_is_refused() -> None:
    import gc

    try:
        with pytest.raises(ValueError, match="found the order 'predict' before 'load'"):
            _served({"do": "predict", "start": 0, "stop": 1})
        with pytest.raises(
            ValueError,
            match="found the order 'dance', expected import, fork, leave, load, predict, batch, arrivals, peaks or memory",
        ):
            _served({"do": "dance"})
    finally:
        gc.enable()


def test_a_target_with_more_threads_gets_them(tiny: BuiltBundle) -> None:
    measurement = judge(Path(tiny.folder), TEXTS, replace(HERE, name="two", threads=2)).measurement
    assert (measurement.target, measurement.environment.threads) == ("two", 2)
