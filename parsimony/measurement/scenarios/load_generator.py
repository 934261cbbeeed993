"""Other ways to use a bundle than one text after the other: fixed lengths, many at once, and texts that arrive at random.

Named after MLPerf's scenarios: single stream (see `measure`), offline, server. In the server scenario a response is
counted from the moment at which its text was to arrive, never from the moment at which the server was ready for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from parsimony.measurement import quantiles
from parsimony.measurement.interleaving import mixed, warmed
from parsimony.measurement.measure import BLOCK
from parsimony.measurement.processes import WORKER, Process, ask, started, texts_file
from parsimony.measurement.records import Quantile, TargetSettings
from parsimony.measurement.scenarios.synthetic_texts import counter_of, limit_of, texts_of

LENGTHS = (16, 32, 64, 128)
BATCH = 32
LOADS = (0.5, 0.8)
ARRIVALS = 1_000
_SAMPLES, _LONGEST_S, _FEWEST = 400, 8.0, 40

Kind = Literal["service", "response", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one way of use took. `kind` says what the durations are; None and a note where there is no number.

    service: from the beginning of the work on a text to its end. response: from its arrival, waiting included. batch:
    of a whole batch. `p99` is None with fewer samples than its interval needs.
    """

    name: str
    kind: Kind
    samples: int
    p50: Quantile | None
    p99: Quantile | None
    throughput_per_s: float | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Texts that arrive at random (Poisson), `per_second` on average: this share of the single stream's throughput."""

    share: float
    per_second: float
    seed: int = 0


def every(folder: Path, texts: Sequence[str], target: TargetSettings, per_second: float) -> tuple[Scenario, ...]:
    """Measure a bundle in all scenarios but the single stream, whose throughput was `per_second`."""
    loads = (Load(share=share, per_second=share * per_second) for share in LOADS)
    busy = tuple(server(folder, texts, target, load) for load in loads)
    return (*fixed_lengths(folder, texts, target), offline(folder, texts, target), *busy)


def fixed_lengths(
    folder: Path, texts: Sequence[str], target: TargetSettings, lengths: Sequence[int] = LENGTHS
) -> tuple[Scenario, ...]:
    """Measure texts of so many tokens, made of the words of the texts, one at a time."""
    count, limit = counter_of(folder), limit_of(folder)
    scenarios = []
    for tokens in lengths:
        name = f"{tokens} tokens"
        if count is None:
            scenarios.append(_absent(name, "service", "left out: the graph reads text, not tokens"))
        elif limit is not None and tokens > limit:
            scenarios.append(_absent(name, "service", f"left out: the bundle cuts texts at {limit} tokens"))
        else:
            scenarios.append(_of_length(name, folder, texts_of(count, tokens, texts), count, target))
    return tuple(scenarios)


def _of_length(
    name: str, folder: Path, made: Sequence[str], count: Callable[[str], int], target: TargetSettings
) -> Scenario:
    with texts_file(made) as path, started(folder, path, target.threads) as process:
        _warm(process, len(made))
        durations = _repeated(process, len(made))
    real = sorted(count(text) for text in made)
    tokens = f"{real[0]}" if real[0] == real[-1] else f"{real[0]} to {real[-1]}"
    return _scenario(name, "service", durations, _rate(durations), f"{len(made)} texts of {tokens} tokens")


def offline(folder: Path, texts: Sequence[str], target: TargetSettings, module: str = WORKER) -> Scenario:
    """Measure how many texts a second go through when all are there at once: padded batches of 32, or one by one."""
    asked = ([texts[i] for i in mixed(texts)] * -(-_SAMPLES // len(texts)))[:_SAMPLES]
    with texts_file(asked) as path, started(folder, path, target.threads, module) as process:
        _warm(process, min(BLOCK, len(asked)))
        single = ask(process.process, do="predict", start=0, stop=len(asked))
        if not process.said["batches"]:
            durations = np.array(single["durations_ns"]) / 1e6
            return _scenario("offline", "service", durations, _rate(durations), "the graph takes one text at a time")
        ask(process.process, do="batch", start=0, stop=len(asked), size=BATCH)  # allocates for batches
        batched = ask(process.process, do="batch", start=0, stop=len(asked), size=BATCH)
    durations = np.array(batched["durations_ns"]) / 1e6
    same = float(np.mean(np.array(batched["classes"]) == np.array(single["classes"])))
    note = f"padded batches of {BATCH}; {same:.1%} of the predictions are those of one at a time"
    return _scenario("offline", "batch", durations, len(asked) / (float(durations.sum()) / 1e3), note)


def server(folder: Path, texts: Sequence[str], target: TargetSettings, load: Load, module: str = WORKER) -> Scenario:
    """Measure responses to texts that arrive under this load and wait their turn before one server."""
    count = min(ARRIVALS, max(_FEWEST, int(_LONGEST_S * load.per_second)))
    arrivals = np.cumsum(np.random.default_rng(load.seed).exponential(1 / load.per_second, count))
    asked = [texts[i] for i in mixed(texts)]
    with texts_file(asked) as path, started(folder, path, target.threads, module) as process:
        _warm(process, min(BLOCK, len(asked)))
        reply = ask(process.process, do="arrivals", arrivals_s=arrivals.tolist())
    durations, services = (np.array(reply[name]) / 1e6 for name in ("responses_ns", "services_ns"))
    done_per_s = count / (arrivals[-1] + durations[-1] / 1e3)
    busy = services.sum() / 1e3 * done_per_s / count
    note = f"{load.per_second:,.0f} arrivals a second, {load.share:.0%} of the single stream; busy {busy:.0%}"
    return _scenario(f"server {load.share:.0%}", "response", durations, done_per_s, note)


def _warm(process: Process, count: int) -> None:
    warmed(lambda: ask(process.process, do="predict", start=0, stop=count)["durations_ns"])


def _repeated(process: Process, count: int) -> np.ndarray:
    """Return the durations of these texts, asked again and again: 400 of them, or as many as 8 seconds allow."""
    durations_ns: list[float] = []
    end = time.monotonic() + _LONGEST_S
    while len(durations_ns) < _SAMPLES and time.monotonic() < end:
        durations_ns += ask(process.process, do="predict", start=0, stop=count)["durations_ns"]
    return np.array(durations_ns) / 1e6


def _rate(durations_ms: np.ndarray) -> float:
    return len(durations_ms) / (float(durations_ms.sum()) / 1e3)


def _scenario(name: str, kind: Kind, durations_ms: np.ndarray, per_second: float, note: str) -> Scenario:
    enough = len(durations_ms) >= quantiles.fewest_samples(0.99)
    return Scenario(
        name=name,
        kind=kind,
        samples=len(durations_ms),
        p50=quantiles.quantile(durations_ms, 0.50),
        p99=quantiles.quantile(durations_ms, 0.99) if enough else None,
        throughput_per_s=per_second,
        note=note,
    )


def _absent(name: str, kind: Kind, note: str) -> Scenario:
    return Scenario(name=name, kind=kind, samples=0, p50=None, p99=None, throughput_per_s=None, note=note)
