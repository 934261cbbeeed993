"""What a bundle does on this machine: predictions and latency together, in a process of its own, one at a time.

Bundles go through short rounds on the same texts side by side, so that a slow second of the machine falls on all of them and
the comparison is paired. An A/A control, a second process with the baseline's bundle, shows the noise floor. A turn of such
rounds that was disturbed or noisy is repeated (see `turns`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from parsimony.measurement import comparison, interleaving, machine, quantiles, turns
from parsimony.measurement.interleaving import mixed
from parsimony.measurement.processes import WORKER, Process, ask, forked, started, texts_file
from parsimony.measurement.records import Disturbance, Environment, Measurement, TargetSettings
from parsimony.measurement.turns import Turn, is_disturbed

BLOCK = 25
ROUNDS = 20
STRETCH = 100
LEAD = 3
NOISE_LIMIT = 0.15
_CONTROL = "\N{BULLET}control"  # no candidate's name begins so


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The predictions of one bundle for every text, class numbers [texts], and its measurement."""

    classes: np.ndarray
    measurement: Measurement


@dataclass(slots=True, kw_only=True)
class _Arm:
    """One process in the rounds: by the number of the round its durations in milliseconds, how long it took and waited."""

    process: Process
    warm_up: int
    rounds: dict[int, np.ndarray] = field(default_factory=dict)
    lasted_ns: dict[int, int] = field(default_factory=dict)
    waited_ns: dict[int, int | None] = field(default_factory=dict)

    def take(self, number: int, reply: Mapping[str, Any]) -> None:
        self.rounds[number] = _durations(reply)
        self.lasted_ns[number], self.waited_ns[number] = reply["lasted_ns"], reply["waited_ns"]

    def of(self, chosen: Sequence[Turn]) -> _Arm:
        """Return the arm with the rounds of these turns alone."""
        first = [turn.number * ROUNDS for turn in chosen]
        numbers = [number for start in first for number in range(start, start + ROUNDS) if number in self.rounds]
        return replace(
            self,
            rounds={number: self.rounds[number] for number in numbers},
            lasted_ns={number: self.lasted_ns[number] for number in numbers},
            waited_ns={number: self.waited_ns[number] for number in numbers},
        )

    def waited_share(self) -> float | None:
        waited_ns = [waited for waited in self.waited_ns.values() if waited is not None]
        known = len(waited_ns) == len(self.waited_ns)
        return min(sum(waited_ns) / sum(self.lasted_ns.values()), 1.0) if known else None

    def samples(self) -> np.ndarray:
        return np.concatenate(list(self.rounds.values()))

    def medians(self, numbers: Sequence[int]) -> np.ndarray:
        return np.array([float(np.median(self.rounds[number])) for number in numbers])


def judge(folder: Path, texts: Sequence[str], target: TargetSettings) -> Predicted:
    """Predict every text once in a process of its own; return the predictions and the measurement."""
    environment = machine.environment(target.threads)
    order = mixed(texts)
    with (
        texts_file([texts[i] for i in order]) as path,
        forked(folder, path, target.threads) as process,
    ):
        arm = _Arm(process=process, warm_up=_warmed(process, len(texts)))
        since = machine.watch(target.threads)
        replies = [_block(process, start, min(start + STRETCH, len(texts))) for start in range(0, len(texts), STRETCH)]
        disturbance = machine.disturbance(since)
        for number, reply in enumerate(replies):
            arm.take(number, reply)
        measurement = _measurement(target, arm, environment, disturbance)
    classes = np.empty(len(texts), dtype=np.int64)
    classes[order] = np.concatenate([np.array(reply["classes"]) for reply in replies])
    return Predicted(classes=classes, measurement=measurement)


def measure(
    folders: Mapping[str, Path],
    texts: Sequence[str],
    target: TargetSettings,
    baseline: str | None = None,
    module: str = WORKER,
) -> dict[str, Measurement]:
    """Measure several bundles side by side; repeat what was disturbed or is noisy up to three times.

    baseline: the bundle that the others are compared with, the first when it is None. Fewer texts than a block holds
    are predicted several times, so that there are always ROUNDS x BLOCK samples or more. `module` follows the orders
    (see `processes.started`).
    """
    if baseline is None:
        baseline = next(iter(folders))
    environment = machine.environment(target.threads)
    asked = [texts[i] for i in mixed(texts)] * -(-BLOCK // len(texts))
    with texts_file(asked) as path, contextlib.ExitStack() as stack:
        arms: dict[str, _Arm] = {}
        for name, folder in {**folders, _CONTROL: folders[baseline]}.items():
            process = stack.enter_context(started(folder, path, target.threads, module))
            arms[name] = _Arm(process=process, warm_up=_warmed(process, len(asked)))

        def take(number: int, names: frozenset[str]) -> Turn:
            since, start = machine.watch(target.threads), time.monotonic()
            _rounds({name: arm for name, arm in arms.items() if name in names}, number, len(asked))
            lasted_s = time.monotonic() - start
            return Turn(number=number, names=names, disturbance=machine.disturbance(since), lasted_s=lasted_s)

        def is_noisy(name: str, chosen: Sequence[Turn]) -> bool:
            return _noise(arms[name].of(chosen)) > NOISE_LIMIT

        every = turns.taken(arms, (baseline, _CONTROL), take, is_noisy)
        chosen = turns.counting(every)
        counted = {name: arm.of(chosen) for name, arm in arms.items()}
        measurements = {
            name: _measurement(target, arm, environment, _disturbance(name, every)) for name, arm in counted.items()
        }
    return _compared(counted, measurements, baseline)


def _disturbance(name: str, every: Sequence[Turn]) -> Disturbance:
    """Return what the machine took away during the turns of one bundle that count."""
    mine = [turn for turn in every if name in turn.names]
    chosen = [turn for turn in turns.counting(every) if name in turn.names]
    return turns.together(chosen, len(mine) - len(chosen))


def noise_of(blocks: Sequence[np.ndarray]) -> float:
    """Return how much the medians of the blocks differ, relative to their median."""
    return quantiles.spread(np.array([float(np.median(block)) for block in blocks]))


def _warmed(process: Process, count: int) -> int:
    """Predict the same texts until their latency is flat; return the number of predictions."""
    return interleaving.warmed(lambda: list(_durations(_block(process, 0, min(BLOCK, count)))))


def _rounds(arms: Mapping[str, _Arm], turn: int, count: int) -> None:
    """Let every process predict the same block of texts in each of ROUNDS rounds."""
    for number, order in enumerate(interleaving.turns(tuple(arms), ROUNDS, seed=turn), start=turn * ROUNDS):
        start = (number * BLOCK) % max(count - BLOCK + 1, 1)
        for name in order:
            reply = _block(arms[name].process, start, min(start + BLOCK, count), lead=LEAD)
            arms[name].take(number, reply)


def _block(process: Process, start: int, stop: int, lead: int = 0) -> dict[str, Any]:
    return ask(process.process, do="predict", start=start, stop=stop, lead=lead)


def _durations(reply: Mapping[str, Any]) -> np.ndarray:
    return np.array(reply["durations_ns"]) / 1e6


def _noise(arm: _Arm) -> float:
    """Return the noise of an arm between stretches of about 100 predictions; shorter ones differ by their texts."""
    rounds = list(arm.rounds.values())
    together = max(1, STRETCH // max(len(block) for block in rounds))
    return noise_of([np.concatenate(rounds[i : i + together]) for i in range(0, len(rounds), together)])


def _measurement(target: TargetSettings, arm: _Arm, before: Environment, disturbance: Disturbance) -> Measurement:
    samples, noise, process = arm.samples(), _noise(arm), arm.process
    return Measurement(
        target=target.name,
        samples=len(samples),
        p50=quantiles.quantile(samples, 0.50),
        p90=quantiles.quantile(samples, 0.90),
        p99=quantiles.quantile(samples, 0.99),
        throughput_per_s=len(samples) / (float(samples.sum()) / 1e3),
        peak_rss_bytes=int(ask(process.process, do="memory")["peak_rss_bytes"]),
        startup_s=process.startup_s,
        noise=noise,
        stable=noise <= NOISE_LIMIT and not is_disturbed(disturbance),
        environment=_environment(before, process.said),
        disturbance=replace(disturbance, waited_share=arm.waited_share()),
        warm_up=arm.warm_up,
    )


def _environment(before: Environment, said: Mapping[str, Any]) -> Environment:
    """Return the environment with the threads that the measured process reported, None where it reported none."""
    affinity = said.get("affinity")
    return replace(
        before,
        intra_op_threads=said.get("intra_op_threads"),
        inter_op_threads=said.get("inter_op_threads"),
        spinning=said.get("spinning"),
        affinity=None if affinity is None else tuple(affinity),
    )


def _compared(
    arms: Mapping[str, _Arm], measurements: Mapping[str, Measurement], baseline: str
) -> dict[str, Measurement]:
    """Return the measurements without the A/A control's, each with its ratio to the baseline.

    The ratio of the baseline itself is that of the A/A control.
    """
    numbers = list(arms[baseline].rounds)
    floor = comparison.noise_floor(arms[baseline].medians(numbers), arms[_CONTROL].medians(numbers))
    compared = {}
    for name in (name for name in measurements if name != _CONTROL):
        other = _CONTROL if name == baseline else name
        numbers = list(arms[other].rounds)
        ratio = comparison.ratio(
            baseline,
            arms[other].medians(numbers),
            arms[baseline].medians(numbers),
            floor,
            trusted=measurements[other].stable and measurements[baseline].stable,
        )
        compared[name] = replace(measurements[name], ratio=ratio)
    return compared
