"""Fixed lengths, many at once, and random arrivals, on work whose length and stalls are known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import write_tiny_bundle
from test_measure import HERE, TEXTS, write_changed_bundle

from parsimony.audit import known_work
from parsimony.bundle import batch
from parsimony.bundle.predict import load, logits
from parsimony.candidates import BuiltBundle
from parsimony.measurement.interleaving import mixed
from parsimony.measurement.processes import ask, started, texts_file
from parsimony.measurement.scenarios import load_generator, synthetic_texts
from parsimony.measurement.scenarios.load_generator import Load

SERVICE_MS = 0.25


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> BuiltBundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


def one_at_a_time(graph: onnx.GraphProto) -> None:
    """Fix the number of texts to one."""
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1


# --- fixed lengths --------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [1, 16, 32, 64, 128])
def test_texts_have_just_the_tokens_that_they_should_have(tiny: BuiltBundle, tokens: int) -> None:
    count = synthetic_texts.counter_of(Path(tiny.folder))
    assert count is not None
    made = synthetic_texts.texts_of(count, tokens, TEXTS)
    assert len(made) == synthetic_texts.TEXTS
    assert {count(text) for text in made} == {tokens}
    assert {word for text in made for word in text.split()} <= {word for text in TEXTS for word in text.split()}


def test_a_length_is_reached_past_words_that_are_too_long_for_it() -> None:
    made = synthetic_texts.texts_of(len, 5, ["abcdefgh xy", "vw"])  # letters and spaces instead of tokens
    assert {len(text) for text in made} == {5}


def test_a_length_that_no_words_make_up_is_nearly_reached() -> None:
    made = synthetic_texts.texts_of(len, 10, ["abc abc"])
    assert {len(text) for text in made} == {7}


@pytest.mark.slow
def test_lengths_beyond_the_cut_are_left_out_and_this_is_said(tiny: BuiltBundle) -> None:
    short, whole, beyond = load_generator.fixed_lengths(Path(tiny.folder), TEXTS, HERE, (8, 32, 64))
    assert [scenario.note for scenario in (short, whole)] == ["8 texts of 8 tokens", "8 texts of 32 tokens"]
    assert whole.samples == 400 and whole.p50 is not None and whole.p99 is not None
    assert whole.p99.value_ms >= whole.p50.value_ms > 0
    assert (beyond.samples, beyond.p50, beyond.p99) == (0, None, None)
    assert beyond.note == "left out: the bundle cuts texts at 32 tokens"


# --- offline --------------------------------------------------------------------------------------


def test_a_batch_is_padded_and_predicted_in_the_order_of_its_texts(tiny: BuiltBundle) -> None:
    model = load(Path(tiny.folder))
    predict = batch.many(model)
    assert predict is not None
    texts = ("hello", "money money now and then", "sun")
    assert predict(texts) == [int(logits(model, text).argmax()) for text in texts]
    assert model.tokenizer is not None
    assert batch.padded(model, model.tokenizer.encode_batch(texts))["input_ids"].shape == (3, 5)


@pytest.mark.slow
def test_offline_says_how_many_predictions_a_batch_does_not_change(tiny: BuiltBundle) -> None:
    scenario = load_generator.offline(Path(tiny.folder), TEXTS, HERE)
    assert (scenario.kind, scenario.samples) == ("batch", 13)
    assert scenario.note == "padded batches of 32; 100.0% of the predictions are those of one at a time"
    assert scenario.p99 is None  # of 13 batches there is none
    assert scenario.throughput_per_s is not None and scenario.throughput_per_s > 0


@pytest.mark.slow
def test_a_graph_for_one_text_is_asked_one_at_a_time_and_this_is_said(tmp_path: Path) -> None:
    single = write_changed_bundle(tmp_path, one_at_a_time)
    scenario = load_generator.offline(Path(single.folder), TEXTS, HERE)
    assert (scenario.kind, scenario.samples, scenario.note) == ("service", 400, "the graph takes one text at a time")


# --- server ---------------------------------------------------------------------------------------


def with_one_stall() -> list[str]:
    """Return a thousand texts, one of which stalls, not among those that warm a process up."""
    texts = [*(f"text number {number:04d}" for number in range(999)), known_work.STALL]
    order = [texts[i] for i in mixed(texts)]
    return order[1:] + order[:1] if known_work.STALL in order[:25] else order


def work(folder: Path, stall_s: float) -> Path:
    return known_work.write(folder / f"{stall_s}.json", known_work.Known(hashed_bytes=450_000, stall_s=stall_s))


@pytest.mark.slow
def test_a_stall_is_felt_by_all_who_arrive_meanwhile_and_by_one_in_a_closed_loop(tmp_path: Path) -> None:
    """The coordinated omission: asked one after the other, a thousand texts hold one bad sample and no bad p99."""
    texts, stalling = with_one_stall(), work(tmp_path, 0.2)
    with texts_file(texts) as path, started(stalling, path, 1, known_work.MODULE) as process:
        closed = np.array(ask(process.process, do="predict", start=0, stop=1000)["durations_ns"]) / 1e6
    assert (closed > 150).sum() == 1
    assert np.quantile(closed, 0.99) < 50
    quiet, stalled = (
        load_generator.server(
            work(tmp_path, stall_s), texts, HERE, Load(share=0.25, per_second=1000), known_work.MODULE
        )
        for stall_s in (0.0, 0.2)
    )
    assert quiet.p99 is not None and stalled.p99 is not None
    assert quiet.samples == stalled.samples == load_generator.ARRIVALS
    assert stalled.p99.value_ms > 150
    assert stalled.p99.value_ms > quiet.p99.value_ms + 100


@pytest.mark.slow
def test_a_response_is_never_shorter_than_its_service_and_waits_for_those_before(tmp_path: Path) -> None:
    texts = ["one", "two"]
    with texts_file(texts) as path, started(work(tmp_path, 0.0), path, 1, known_work.MODULE) as process:
        together = ask(process.process, do="arrivals", arrivals_s=[0.01] * 20)
        spread = ask(process.process, do="arrivals", arrivals_s=[0.02 * number for number in range(1, 21)])
    for reply in (together, spread):
        assert len(reply["responses_ns"]) == len(reply["services_ns"]) == 20
        assert all(r >= s > 0 for r, s in zip(reply["responses_ns"], reply["services_ns"], strict=True))
    assert together["responses_ns"] == sorted(together["responses_ns"])
    assert together["responses_ns"][-1] >= sum(together["services_ns"])
    assert np.median(spread["responses_ns"]) < together["responses_ns"][-1]


@pytest.mark.slow
def test_more_load_means_longer_waiting(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(50)]
    free, busy = (
        load_generator.server(
            work(tmp_path, 0.0), texts, HERE, Load(share=share, per_second=share * 1000 / SERVICE_MS), known_work.MODULE
        )
        for share in (0.2, 1.5)
    )
    assert free.p50 is not None and busy.p50 is not None
    assert (free.name, busy.name) == ("server 20%", "server 150%")
    assert busy.p50.value_ms > 2 * free.p50.value_ms
    assert free.kind == "response" and "800 arrivals a second" in free.note
