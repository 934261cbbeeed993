"""Everything about how one bundle runs here: the single stream against the machine's roofs, then the other scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from parsimony import bundle, efficiency, measure, scenarios, speed
from parsimony import wording as say
from parsimony.readings import p99_of
from parsimony.records import Measurement, Quantile, TargetSettings
from parsimony.scenarios import Scenario

NAME = "bundle"
# What `bench` reads to a bundle when no texts are given: one line each of 3 to 40 words.
SAMPLE_TEXTS = (
    "where is my order",
    "I cannot log in since this morning, the page just says try again later.",
    "Could you tell me how to change the address on the invoice that you sent us last week?",
    "It worked for two years without any trouble, then came the update, and now every second file that I save "
    "comes back with a different name and nobody in the office knows which of them is the right one.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A bundle, its measurement with roofs and efficiency, and the other scenarios."""

    size_bytes: int
    digest: str
    measurement: Measurement
    scenarios: tuple[Scenario, ...]


def bench(folder: Path, texts: Sequence[str], target: TargetSettings) -> Bench:
    """Measure a bundle in every scenario; half a minute or so."""
    built, folders = bundle.describe(folder), {NAME: folder}
    seen = efficiency.with_roofs(measure.measure(folders, texts, target), folders, texts, target)[NAME]
    return Bench(
        size_bytes=built.size_bytes,
        digest=built.digest,
        measurement=seen,
        scenarios=scenarios.every(folder, texts, target, seen.throughput_per_s),
    )


def to_json(found: Bench) -> dict[str, object]:
    """Return what was found as JSON: the measurement's own keys, the bundle's beside them, then the scenarios."""
    rest = {"size_bytes": found.size_bytes, "digest": found.digest}
    return {**rest, **asdict(found.measurement), "scenarios": [asdict(scenario) for scenario in found.scenarios]}


def table(found: Bench) -> list[tuple[str, ...]]:
    """Return one row a scenario, the header first; the single stream first of all."""
    seen = found.measurement
    header = ("scenario", "time of", "p50 ms", "p99 ms", "texts/s", "samples", "about")
    single = _row("single stream", "service", seen.p50, p99_of(seen), seen.throughput_per_s, seen.samples, "")
    return [
        header,
        single,
        *(_row(s.name, s.kind, s.p50, s.p99, s.throughput_per_s, s.samples, s.note) for s in found.scenarios),
    ]


def _row(
    name: str, kind: str, p50: Quantile | None, p99: Quantile | None, per_second: float | None, samples: int, note: str
) -> tuple[str, ...]:
    p50_ms, p99_ms = (say.bare_milliseconds(found.value_ms if found else None) for found in (p50, p99))
    rate = say.NONE if per_second is None else f"{per_second:,.0f}"
    return (name, kind, p50_ms, p99_ms, rate, say.count(samples), note)


def lines(found: Bench) -> tuple[str, ...]:
    """Return what holds for the whole bench, a line each: size, memory, start, efficiency, roofs, how far to trust it."""
    seen = found.measurement
    ratio = seen.ratio
    trust = "" if seen.stable else "; UNSTEADY: repeat it on a quieter machine"
    apart = "" if ratio is None else f", its twin {ratio.value:.3f}×, noise floor {ratio.noise_floor:.1%}"
    return (
        f"size        {say.size(found.size_bytes)}, memory {say.size(seen.peak_rss_bytes)} at most, "
        f"start-up {seen.startup_s:.2f} s",
        f"efficiency  {speed.efficiency(seen.efficiency)}",
        f"roofs       {speed.roofs(seen.roofs)}",
        f"noise       {seen.noise:.1%} between blocks{apart}{trust}",
        f"machine     {speed.disturbance(seen.disturbance)}; threads: {speed.threads(seen.environment)}",
    )
