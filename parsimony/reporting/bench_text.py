"""The result of `parsimony bench` as a table, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from parsimony.measurement import quantiles
from parsimony.measurement.records import Measurement, Quantile
from parsimony.measurement.scenarios.bench import Bench
from parsimony.measurement.scenarios.load_generator import Scenario
from parsimony.reporting import formatting as say
from parsimony.reporting import speed_text

HEADER = ("scenario", "time of", "p50 ms", "p99 ms", "texts/s", "samples", "about")


def to_json(bench: Bench) -> dict[str, object]:
    """Return the result as JSON: the bundle, the measurement's own keys beside it, then the scenarios."""
    bundle = {"size_bytes": bench.size_bytes, "digest": bench.digest}
    return {**bundle, **asdict(bench.measurement), "scenarios": [asdict(scenario) for scenario in bench.scenarios]}


def table(bench: Bench) -> list[tuple[str, ...]]:
    """Return one row a scenario, the header first, then the single stream."""
    return rows((_single_stream(bench.measurement), *bench.scenarios))


def rows(scenarios: Sequence[Scenario]) -> list[tuple[str, ...]]:
    """Return one row a scenario, the header first."""
    return [HEADER, *map(_row, scenarios)]


def _single_stream(measurement: Measurement) -> Scenario:
    return Scenario(
        name="single stream",
        kind="service",
        samples=measurement.samples,
        p50=measurement.p50,
        p99=quantiles.p99_of(measurement),
        throughput_per_s=measurement.throughput_per_s,
        note="",
    )


def _row(scenario: Scenario) -> tuple[str, ...]:
    rate = say.NONE if scenario.throughput_per_s is None else f"{scenario.throughput_per_s:,.0f}"
    p50_ms, p99_ms = _milliseconds(scenario.p50), _milliseconds(scenario.p99)
    return (scenario.name, scenario.kind, p50_ms, p99_ms, rate, say.count(scenario.samples), scenario.note)


def _milliseconds(quantile: Quantile | None) -> str:
    return say.bare_milliseconds(None if quantile is None else quantile.value_ms)


def lines(bench: Bench) -> tuple[str, ...]:
    """Return what holds for the whole bench, a line each: size, roofline, noise, machine."""
    measurement = bench.measurement
    ratio = measurement.ratio
    trust = "" if measurement.stable else "; UNSTEADY: repeat it on a quieter machine"
    control = "" if ratio is None else f", A/A control {ratio.value:.3f}×, noise floor {ratio.noise_floor:.1%}"
    threads = speed_text.threads(measurement.environment)
    return (
        f"size        {say.size(bench.size_bytes)}, memory {say.size(measurement.peak_rss_bytes)} at most, "
        f"start-up {measurement.startup_s:.2f} s",
        f"efficiency  {speed_text.efficiency(measurement.roofline_efficiency)}",
        f"peaks       {speed_text.peaks(measurement.roofline_peaks)}",
        f"noise       {measurement.noise:.1%} between blocks{control}{trust}",
        f"machine     {speed_text.disturbance(measurement.disturbance)}; threads: {threads}",
    )
