"""The measured processes: started fresh, pinned, given orders as JSON lines, ended by the process that started them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parsimony.errors import BundleError, InfrastructureError
from parsimony.measurement import machine
from parsimony.measurement.host_lock import host_lock

WORKER = "parsimony.measurement.worker"
MEASURING, _STAGE = "measuring", "measure"  # one measurement a machine at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A measured process that has loaded its bundle; `said` is its reply to the order to load."""

    process: subprocess.Popen[str]
    startup_s: float
    said: dict[str, Any]


@contextlib.contextmanager
def texts_file(texts: Sequence[str]) -> Iterator[Path]:
    """Keep texts in a file for as long as processes read them."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "texts.json"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        yield path


@contextlib.contextmanager
def started(folder: Path, texts: Path, threads: int, module: str = WORKER) -> Iterator[Process]:
    """Start a pinned process that holds a bundle, and end it afterwards.

    `startup_s` lasts from the start of the process to the loaded bundle. `module` follows the orders; another one than
    the worker holds workloads that are known beforehand. No other process of this machine measures meanwhile.
    """
    with host_lock(MEASURING, _STAGE):
        start = time.monotonic()
        with _running(module, threads) as process:
            said = ask(process, do="load", bundle=str(folder), threads=threads, texts=str(texts))
            yield Process(process=process, startup_s=time.monotonic() - start, said=said)


@contextlib.contextmanager
def forked(folder: Path, texts: Path, threads: int) -> Iterator[Process]:
    """Give a pinned process that holds a bundle, as `started` does, forked from one that has imported the libraries already.

    That one is started once and ends with this process: to import what predicts takes a second, to load a small bundle much
    less. Its seconds are counted in every `startup_s`. Only Linux forks safely here; elsewhere each process is started.
    """
    if sys.platform != "linux":
        with started(folder, texts, threads) as process:
            yield process
        return
    with host_lock(MEASURING, _STAGE):
        ready = _ready(threads)
        try:
            start = time.monotonic()
            ask(ready.process, do="fork")
            said = ask(ready.process, do="load", bundle=str(folder), threads=threads, texts=str(texts))
            yield Process(process=ready.process, startup_s=ready.startup_s + time.monotonic() - start, said=said)
            ask(ready.process, do="leave")
        except BaseException:  # its child may be anywhere
            _end(ready.process)
            raise
        _spare[os.getpid(), threads] = ready


# By the process that started it, which may have been forked since, and the number of threads: one that waits to be forked.
_spare: dict[tuple[int, int], Process] = {}


def _ready(threads: int) -> Process:
    """Take the process that waits to be forked, or start it."""
    if (spare := _spare.pop((os.getpid(), threads), None)) is not None:
        if spare.process.poll() is None:
            return spare
        _end(spare.process)
    start = time.monotonic()
    process = _popen(WORKER, threads)
    try:
        said = ask(process, do="import")
    except BaseException:
        _end(process)
        raise
    return Process(process=process, startup_s=time.monotonic() - start, said=said)


def once(do: str, threads: int) -> dict[str, Any]:
    """Give a fresh pinned process one order that needs no bundle, and return its reply."""
    with host_lock(MEASURING, _STAGE), _running(WORKER, threads) as process:
        return ask(process, do=do, threads=threads)


@contextlib.contextmanager
def _running(module: str, threads: int) -> Iterator[subprocess.Popen[str]]:
    process = _popen(module, threads)
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _popen(module: str, threads: int) -> subprocess.Popen[str]:
    """Start a process that follows orders, pinned to the cores on which is measured."""
    process = subprocess.Popen(
        # -P: no module of the folder where this one was started.
        [sys.executable, "-P", "-m", module, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a signal for the group is for the process that measures, which ends this one
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
    )
    try:
        if mine := machine.measuring_cores(threads):
            os.sched_setaffinity(process.pid, mine)
    except BaseException:
        _end(process)
        raise
    return process


def ask(process: subprocess.Popen[str], **order: object) -> dict[str, Any]:
    """Give one order and return its reply; raise BundleError when it refuses, or with the last line of its errors when it ended."""
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise InfrastructureError("a measuring process was started without pipes")
    try:
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        why = process.stderr.read().strip().splitlines() or [f"exit status {process.wait()}"]
        raise BundleError(f"the measuring process ended: {why[-1][:300]}")
    reply: dict[str, Any] = json.loads(line)
    if "refused" in reply:
        raise BundleError(f"the measuring process ended: {reply['refused']}")
    return reply
