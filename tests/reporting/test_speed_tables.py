"""What was measured, in words and tables: who is faster, how near to the roofline peak, what disturbed."""

from __future__ import annotations

from dataclasses import replace

import decisions
import pytest
from pages import remeasured

from parsimony.measurement.records import Disturbance
from parsimony.reporting import formatting as say
from parsimony.reporting import html, markdown, speed_text, version_card
from parsimony.reporting.figures.latency import latency
from parsimony.reporting.speed_tables import machines, measurements


def test_the_table_of_speed_says_who_is_faster_than_the_baseline_and_how_near_to_the_roofline_peak() -> None:
    [grid] = measurements(decisions.decision())
    assert grid.title == "Speed on target here"
    rows = {row[0]: row[1:] for row in grid.rows}
    assert rows["student-L2+trim+int4"] == (
        "0.710", "1.56 ms", "0.17× (0.17 to 0.18)", "faster than encoder", "14.1 %", "1.2%", "4,000",
    )  # fmt: skip
    assert rows["linear-char-ngrams"][4] == "–"
    assert rows["encoder"][2:4] == ("1.00× (0.98 to 1.01)", "the baseline; its A/A control")
    assert grid.note == (
        "The A/A control, a second process with the same bundle, sets a noise floor of 2.1%: nothing nearer is "
        "called a difference. No roofline efficiency: the graph multiplies no matrices."
    )


def test_every_row_of_the_table_of_speed_has_a_cell_for_every_column() -> None:
    for grid in measurements(decisions.several_targets()):
        assert {len(row) for row in grid.rows} == {len(grid.columns)}


@pytest.mark.parametrize(
    ("value", "words"),
    [(3.304, "3.30× (3.30 to 3.30)"), (0.1, "0.10× (0.10 to 0.10)"), (0.00346, "0.0035× (0.0035 to 0.0035)")],
)
def test_a_ratio_keeps_two_digits_however_small_it_is(value: float, words: str) -> None:
    ratio = replace(decisions.ratio(1.0, stable=True), value=value, low=value, high=value)
    assert speed_text.ratio(ratio) == words


def test_what_was_not_compared_is_a_dash_and_what_is_unsteady_says_so() -> None:
    missing = {"ratio": None, "roofline_efficiency": None, "roofline_peaks": None, "disturbance": None}
    [grid] = measurements(remeasured(**missing, stable=False))
    assert {row[3:6] for row in grid.rows} == {("–", "", "–")}
    assert all(row[6].endswith(", unsteady") for row in grid.rows)
    assert grid.note == ""


@pytest.mark.slow
@pytest.mark.parametrize("samples", [50, 367])
def test_a_p99_of_too_few_samples_is_printed_nowhere(samples: int) -> None:
    few = remeasured(samples=samples)
    winner = few.of(decisions.WINNER)
    wrong = say.bare_milliseconds(winner.measurements[0].p99.value_ms)
    for text in (html(few, {}), markdown(few), version_card(few)):
        assert "too few samples" in text
        assert wrong not in text
    enough = remeasured(samples=368)
    for text in (html(enough, {}), markdown(enough), version_card(enough)):
        assert "too few samples" not in text
        assert wrong in text
    for shape in ("wide", "narrow"):
        drawn, undrawn = latency(enough, shape), latency(few, shape)
        assert drawn.count("<path") > undrawn.count("<path")


def test_the_machine_is_told_with_its_roofline_peaks_its_threads_and_what_disturbed() -> None:
    rows = dict(machines(decisions.decision())[0].rows)
    assert rows["roofline peaks"] == "int8 860 GOP/s, fp32 220 GFLOP/s, memory 29.0 GB/s (measured)"
    assert rows["disturbance"] == (
        "CPU steal by other machines: 0.04 %; throttled by the quota: 0 times; waited for busy cores: 0.3 % of the time"
    )
    assert rows["threads"] == "1 intra-op, 1 inter-op, spinning off; on core 1"
    assert rows["governor"] == "performance"
    assert rows["cores"] == "2 cores (quota: none), 1 used"


def test_one_core_and_one_throttling_are_told_in_the_singular() -> None:
    single = replace(decisions.ENVIRONMENT, cores=1, quota_cores=1.0, affinity=(0, 1))
    once = remeasured(environment=single, disturbance=Disturbance(steal_share=0.0, throttled=1))
    rows = dict(machines(once)[0].rows)
    assert rows["cores"] == "1 core (quota: 1 core), 1 used"
    assert "throttled by the quota: 1 time;" in rows["disturbance"]
    assert rows["threads"].endswith("; on cores 0, 1")


def test_what_a_machine_does_not_say_is_said_to_be_unknown() -> None:
    unread = replace(
        decisions.ENVIRONMENT, governor=None, intra_op_threads=None, inter_op_threads=None, spinning=None, affinity=None
    )
    nothing = Disturbance(steal_share=None, throttled=None)
    rows = dict(machines(remeasured(environment=unread, disturbance=nothing, roofline_peaks=None))[0].rows)
    assert rows["disturbance"].count("cannot be read here") == 3
    assert (rows["governor"], rows["threads"], rows["roofline peaks"]) == ("cannot be read here", "1 allowed", "–")
