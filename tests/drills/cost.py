"""What it costs to look: a minute of the watcher, and one flow run of each deployment that does the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil

from tests.drills.stage import Row, Stage, after

SETTLED_S = 10.0  # a worker counts the time of a process once that has ended


def drill(stage: Stage) -> Iterator[Row]:
    """Count the processor's seconds of both."""
    watcher, worker = (stage.processes(f"process {kind}")[0] for kind in ("watcher", "worker"))
    time.sleep(SETTLED_S)
    before = _cpu_s(watcher)
    time.sleep(60.0)
    yield Row(what="the watcher, a minute", shown=f"{_cpu_s(watcher) - before:.1f} CPU-seconds")
    for name in ("reconcile/every-minute", "review/every-minute"):
        before = _cpu_s(worker)
        made = stage.up.ask(f"/deployments/{stage.up.deployment(name)['id']}/create_flow_run", {})
        after(lambda made=made: stage.rests(made["id"]))
        time.sleep(SETTLED_S)
        yield Row(what=f"one run of `{name}`", shown=f"{_cpu_s(worker) - before:.1f} CPU-seconds")


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
