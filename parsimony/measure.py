"""What a bundle does on this machine: answers and latency together, in a process of its own, one at a time.

Candidates take turns in blocks, so that a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parsimony import machine, stats
from parsimony.errors import InfrastructureError
from parsimony.records import Measurement, TargetSettings

BLOCK = 100
WARM_UP = 50
ROUNDS = 6
NOISE_LIMIT = 0.15
_TRIES = 3
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The answers of one bundle to every text, class numbers [texts], and its measurement."""

    classes: np.ndarray
    measurement: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worker:
    process: subprocess.Popen[str]
    startup_s: float


def judge(folder: Path, texts: Sequence[str], target: TargetSettings) -> Seen:
    """Predict every text once, in a fresh process, and keep what it took."""
    throttled = machine.throttled_count()
    order = mixed(texts)
    with _texts_file([texts[i] for i in order]) as path, _started(folder, path, target.threads) as worker:
        _ask(worker, do="predict", start=0, stop=min(WARM_UP, len(texts)))
        answers = [_block(worker, start, len(texts)) for start in range(0, len(texts), BLOCK)]
        peak = int(_ask(worker, do="memory")["peak_rss_bytes"])
    classes = np.empty(len(texts), dtype=np.int64)
    classes[order] = np.concatenate([np.array(a["classes"]) for a in answers])
    blocks = [np.array(a["durations_ns"]) / 1e6 for a in answers]
    seen = _measurement(target, blocks, peak, worker.startup_s, throttled)
    return Seen(classes=classes, measurement=seen)


def measure(folders: Mapping[str, Path], texts: Sequence[str], target: TargetSettings) -> dict[str, Measurement]:
    """Measure several bundles side by side, blocks in turn; those that are noisy up to twice more.

    Fewer texts than a block holds are asked several times, so that there are always ROUNDS x BLOCK samples or more.
    """
    throttled = machine.throttled_count()
    asked = [texts[i] for i in mixed(texts)] * -(-BLOCK // len(texts))
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in folders}
    with _texts_file(asked) as path, contextlib.ExitStack() as stack:
        workers = {n: stack.enter_context(_started(f, path, target.threads)) for n, f in folders.items()}
        for worker in workers.values():
            _ask(worker, do="predict", start=0, stop=WARM_UP)
        for _ in range(_TRIES):
            _rounds({n: w for n, w in workers.items() if _is_noisy(blocks[n])}, blocks, len(asked))
        peaks = {name: int(_ask(worker, do="memory")["peak_rss_bytes"]) for name, worker in workers.items()}
    return {
        name: _measurement(target, blocks[name], peaks[name], workers[name].startup_s, throttled) for name in folders
    }


def mixed(texts: Sequence[str]) -> list[int]:
    """Return an order of the texts in which every stretch holds short and long ones alike.

    Data are often sorted by class; blocks of unlike texts would disagree on the quietest machine. Steps of the golden
    ratio through the texts sorted by length spread every stretch evenly (Weyl's sequence).
    """
    count = len(texts)
    by_length = sorted(range(count), key=lambda i: len(texts[i]))
    step = max(1, round(count * _GOLDEN))
    while math.gcd(step, count) > 1:
        step += 1
    return [by_length[j * step % count] for j in range(count)]


def noise_of(blocks: Sequence[np.ndarray]) -> float:
    """Return how much the medians of the blocks differ, relative to their median."""
    return stats.spread(np.array([float(np.median(block)) for block in blocks]))


def _is_noisy(blocks: Sequence[np.ndarray]) -> bool:
    """Say whether more blocks are needed: there are none yet, or they disagree."""
    return not blocks or noise_of(blocks) > NOISE_LIMIT


def _rounds(workers: Mapping[str, _Worker], blocks: dict[str, list[np.ndarray]], count: int) -> None:
    """Let every worker answer the same block in turn, forwards and backwards, ROUNDS times."""
    order = list(workers)
    for turn in range(ROUNDS):
        start = (turn * BLOCK) % max(count - BLOCK + 1, 1)
        for name in order if turn % 2 == 0 else reversed(order):
            answer = _block(workers[name], start, count)
            blocks[name].append(np.array(answer["durations_ns"]) / 1e6)


def _block(worker: _Worker, start: int, count: int) -> dict[str, Any]:
    return _ask(worker, do="predict", start=start, stop=min(start + BLOCK, count))


def _measurement(
    target: TargetSettings, blocks: Sequence[np.ndarray], peak: int, startup_s: float, throttled: int
) -> Measurement:
    samples = np.concatenate(list(blocks))
    noise = noise_of(blocks)
    return Measurement(
        target=target.name,
        samples=len(samples),
        p50=stats.quantile(samples, 0.50),
        p90=stats.quantile(samples, 0.90),
        p99=stats.quantile(samples, 0.99),
        throughput_per_s=len(samples) / (float(samples.sum()) / 1e3),
        peak_rss_bytes=peak,
        startup_s=startup_s,
        noise=noise,
        stable=noise <= NOISE_LIMIT and machine.throttled_count() == throttled,
        environment=machine.environment(target.threads),
    )


@contextlib.contextmanager
def _texts_file(texts: Sequence[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "texts.json"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        yield path


@contextlib.contextmanager
def _started(folder: Path, texts: Path, threads: int) -> Iterator[_Worker]:
    """Start a process with its threads pinned, load the bundle, and end the process afterwards."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "parsimony.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        _pin(process.pid, threads)
        _ask(_Worker(process=process, startup_s=0.0), do="load", bundle=str(folder), threads=threads, texts=str(texts))
        yield _Worker(process=process, startup_s=time.monotonic() - start)
    finally:
        process.kill()
        process.communicate()


def _pin(pid: int, threads: int) -> None:
    """Keep the process on as many cores as it has threads, the last ones, away from the conductor."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, allowed[-threads:])


def _ask(worker: _Worker, **order: object) -> dict[str, Any]:
    if worker.process.stdin is None or worker.process.stdout is None or worker.process.stderr is None:
        raise InfrastructureError("a measuring process was started without pipes")
    try:
        worker.process.stdin.write(json.dumps(order) + "\n")
        worker.process.stdin.flush()
        line = worker.process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        why = worker.process.stderr.read().strip().splitlines() or [f"exit status {worker.process.wait()}"]
        raise InfrastructureError(f"the measuring process ended: {why[-1][:300]}")
    answer: dict[str, Any] = json.loads(line)
    return answer
