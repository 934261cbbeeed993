"""The result of `parsimony bench` as a table, as lines and as JSON."""

from __future__ import annotations

import json

import decisions

from parsimony.measurement.records import Quantile
from parsimony.measurement.scenarios.bench import Bench
from parsimony.measurement.scenarios.load_generator import Scenario
from parsimony.reporting import bench_text

OFFLINE = Scenario(
    name="offline", kind="batch", samples=400, p50=Quantile(value_ms=12.0, low_ms=11.9, high_ms=12.1), p99=None,
    throughput_per_s=2_600.4, note="32 texts a batch",
)  # fmt: skip
ABSENT = Scenario(
    name="128 tokens", kind="service", samples=0, p50=None, p99=None, throughput_per_s=None, note="left out: too long"
)
BENCH = Bench(
    size_bytes=3_742_118, digest="ab" * 32, measurement=decisions.measurement(0.71), scenarios=(OFFLINE, ABSENT)
)


def test_the_table_has_a_row_a_scenario_and_the_single_stream_first() -> None:
    assert bench_text.table(BENCH) == [
        ("scenario", "time of", "p50 ms", "p99 ms", "texts/s", "samples", "about"),
        ("single stream", "service", "0.710", "1.56", "1,280", "4,000", ""),
        ("offline", "batch", "12.0", "–", "2,600", "400", "32 texts a batch"),
        ("128 tokens", "service", "–", "–", "–", "0", "left out: too long"),
    ]


def test_the_lines_say_size_roofline_noise_and_machine() -> None:
    size, efficiency, peaks, noise, machine = bench_text.lines(BENCH)
    assert size == "size        3.74 MB, memory 91.3 MB at most, start-up 0.15 s"
    assert efficiency == "efficiency  14.1 % of the roofline peak (86.0 million operations for 13 tokens)"
    assert peaks == "peaks       int8 860 GOP/s, fp32 220 GFLOP/s, memory 29.0 GB/s (measured)"
    assert noise == "noise       1.2% between blocks, A/A control 0.173×, noise floor 2.1%"
    assert machine.endswith("; threads: 1 intra-op, 1 inter-op, spinning off; on core 1")


def test_the_json_has_the_bundle_its_measurement_and_every_scenario() -> None:
    paper = json.loads(json.dumps(bench_text.to_json(BENCH)))
    assert (paper["size_bytes"], paper["digest"], paper["target"]) == (3_742_118, "ab" * 32, "here")
    assert paper["p50"] == {"value_ms": 0.71, "low_ms": 0.71 * 0.985, "high_ms": 0.71 * 1.012}
    assert [scenario["name"] for scenario in paper["scenarios"]] == ["offline", "128 tokens"]
