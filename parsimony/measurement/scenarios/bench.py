"""Everything about how one bundle runs here: the single stream against the roofline peaks, then the other scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parsimony.bundle import trial
from parsimony.bundle.folder import describe
from parsimony.measurement import measure
from parsimony.measurement.records import Measurement, TargetSettings
from parsimony.measurement.roofline import efficiency
from parsimony.measurement.scenarios import load_generator
from parsimony.measurement.scenarios.load_generator import Scenario

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
    """A bundle, its measurement with roofline peaks and efficiency, and the other scenarios."""

    size_bytes: int
    digest: str
    measurement: Measurement
    scenarios: tuple[Scenario, ...]


def bench(folder: Path, texts: Sequence[str], target: TargetSettings) -> Bench:
    """Measure a bundle in every scenario; half a minute or so."""
    trial.require(folder)
    built, folders = describe(folder), {NAME: folder}
    measurement = efficiency.with_roofline(measure.measure(folders, texts, target), folders, texts, target)[NAME]
    return Bench(
        size_bytes=built.size_bytes,
        digest=built.digest,
        measurement=measurement,
        scenarios=load_generator.every(folder, texts, target, measurement.throughput_per_s),
    )
