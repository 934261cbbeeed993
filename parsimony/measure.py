"""What a bundle does on this machine: answers and latency together, in a process of its own, one at a time.

Bundles take turns in short rounds on the same texts, so that a slow second of the machine falls on all of them and a
comparison is paired. A twin, a second process with the base line's bundle, shows what differs without any reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from parsimony import machine, pacing, ratios, stats
from parsimony.pacing import mixed
from parsimony.processes import WORKER, Process, ask, started, texts_file
from parsimony.records import Disturbance, Environment, Measurement, TargetSettings

BLOCK = 25
ROUNDS = 20
STRETCH = 100
LEAD = 3
NOISE_LIMIT = 0.15
STEAL_LIMIT = 0.01
_TRIES = 3
_TWIN = "\N{BULLET}twin"  # no candidate's name begins so


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The answers of one bundle to every text, class numbers [texts], and its measurement."""

    classes: np.ndarray
    measurement: Measurement


@dataclass(slots=True, kw_only=True)
class _Arm:
    """One process in the rounds, its durations in milliseconds by the number of the round, and how long it waited."""

    process: Process
    warm_up: int
    rounds: dict[int, np.ndarray] = field(default_factory=dict)
    lasted_ns: int = 0
    waited_ns: int | None = 0

    def take(self, number: int, answer: Mapping[str, Any]) -> None:
        self.rounds[number] = _durations(answer)
        self.lasted_ns += answer["lasted_ns"]
        both = self.waited_ns is not None and answer["waited_ns"] is not None
        self.waited_ns = self.waited_ns + answer["waited_ns"] if both else None

    def waited_share(self) -> float | None:
        return None if self.waited_ns is None else min(self.waited_ns / self.lasted_ns, 1.0)

    def samples(self) -> np.ndarray:
        return np.concatenate(list(self.rounds.values()))

    def medians(self, numbers: Sequence[int]) -> np.ndarray:
        return np.array([float(np.median(self.rounds[number])) for number in numbers])


def judge(folder: Path, texts: Sequence[str], target: TargetSettings) -> Seen:
    """Predict every text once, in a fresh process, and keep what it took."""
    environment = machine.environment(target.threads)
    order = mixed(texts)
    with (
        texts_file([texts[i] for i in order]) as path,
        started(folder, path, target.threads) as process,
    ):
        arm = _Arm(process=process, warm_up=_warmed(process, len(texts)))
        since = machine.watch(target.threads)
        answers = [_block(process, start, min(start + STRETCH, len(texts))) for start in range(0, len(texts), STRETCH)]
        disturbance = machine.disturbance(since)
        for number, answer in enumerate(answers):
            arm.take(number, answer)
        measurement = _measurement(target, arm, environment, disturbance)
    classes = np.empty(len(texts), dtype=np.int64)
    classes[order] = np.concatenate([np.array(answer["classes"]) for answer in answers])
    return Seen(classes=classes, measurement=measurement)


def measure(
    folders: Mapping[str, Path],
    texts: Sequence[str],
    target: TargetSettings,
    base_line: str | None = None,
    module: str = WORKER,
) -> dict[str, Measurement]:
    """Measure several bundles side by side, in turn; those that are noisy up to twice more.

    base_line: whom the others are compared with, the first without it. Fewer texts than a block holds are asked
    several times, so that there are always ROUNDS x BLOCK samples or more. `module` answers the orders (see
    `processes.started`).
    """
    line = base_line if base_line is not None else next(iter(folders))
    environment = machine.environment(target.threads)
    asked = [texts[i] for i in mixed(texts)] * -(-BLOCK // len(texts))
    with texts_file(asked) as path, contextlib.ExitStack() as stack:
        arms: dict[str, _Arm] = {}
        for name, folder in {**folders, _TWIN: folders[line]}.items():
            process = stack.enter_context(started(folder, path, target.threads, module))
            arms[name] = _Arm(process=process, warm_up=_warmed(process, len(asked)))
        since = machine.watch(target.threads)
        for turn in range(_TRIES):
            noisy = {name for name, arm in arms.items() if not arm.rounds or _noise(arm) > NOISE_LIMIT}
            if noisy:
                _rounds({name: arm for name, arm in arms.items() if name in noisy | {line, _TWIN}}, turn, len(asked))
        disturbance = machine.disturbance(since)
        found = {name: _measurement(target, arm, environment, disturbance) for name, arm in arms.items()}
    return _compared(arms, found, line)


def noise_of(blocks: Sequence[np.ndarray]) -> float:
    """Return how much the medians of the blocks differ, relative to their median."""
    return stats.spread(np.array([float(np.median(block)) for block in blocks]))


def is_disturbed(seen: Disturbance) -> bool:
    """Say whether the machine took away more than a measurement bears; what cannot be read is not held against it."""
    return (seen.steal_share or 0.0) > STEAL_LIMIT or bool(seen.throttled)


def _warmed(process: Process, count: int) -> int:
    """Predict the same texts again and again until that takes no less time; return the number of predictions."""
    return pacing.warmed(lambda: list(_durations(_block(process, 0, min(BLOCK, count)))))


def _rounds(arms: Mapping[str, _Arm], turn: int, count: int) -> None:
    """Let every process answer the same block of texts in each of ROUNDS rounds."""
    for number, order in enumerate(pacing.turns(tuple(arms), ROUNDS, seed=turn), start=turn * ROUNDS):
        start = (number * BLOCK) % max(count - BLOCK + 1, 1)
        for name in order:
            answer = _block(arms[name].process, start, min(start + BLOCK, count), lead=LEAD)
            arms[name].take(number, answer)


def _block(process: Process, start: int, stop: int, lead: int = 0) -> dict[str, Any]:
    return ask(process.process, do="predict", start=start, stop=stop, lead=lead)


def _durations(answer: Mapping[str, Any]) -> np.ndarray:
    return np.array(answer["durations_ns"]) / 1e6


def _noise(arm: _Arm) -> float:
    """Return the noise of an arm between stretches of about 100 predictions: fewer texts differ by themselves."""
    rounds = list(arm.rounds.values())
    together = max(1, STRETCH // max(len(block) for block in rounds))
    return noise_of([np.concatenate(rounds[i : i + together]) for i in range(0, len(rounds), together)])


def _measurement(target: TargetSettings, arm: _Arm, before: Environment, disturbance: Disturbance) -> Measurement:
    samples, noise, process = arm.samples(), _noise(arm), arm.process
    return Measurement(
        target=target.name,
        samples=len(samples),
        p50=stats.quantile(samples, 0.50),
        p90=stats.quantile(samples, 0.90),
        p99=stats.quantile(samples, 0.99),
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
    """Return the environment with what the measured process said of its threads; None is what it did not say."""
    affinity = said.get("affinity")
    return replace(
        before,
        intra_op_threads=said.get("intra_op_threads"),
        inter_op_threads=said.get("inter_op_threads"),
        spinning=said.get("spinning"),
        affinity=None if affinity is None else tuple(affinity),
    )


def _compared(arms: Mapping[str, _Arm], found: Mapping[str, Measurement], line: str) -> dict[str, Measurement]:
    """Return the measurements but the twin's, each with its ratio to the base line; its own is that of the twin."""
    numbers = list(arms[line].rounds)
    floor = ratios.noise_floor(arms[line].medians(numbers), arms[_TWIN].medians(numbers))
    compared = {}
    for name in (name for name in found if name != _TWIN):
        other = _TWIN if name == line else name
        numbers = list(arms[other].rounds)
        ratio = ratios.ratio(
            line,
            arms[other].medians(numbers),
            arms[line].medians(numbers),
            floor,
            trusted=found[other].stable and found[line].stable,
        )
        compared[name] = replace(found[name], ratio=ratio)
    return compared
