"""The cores of this process: how many there are, how many a quota leaves, and how many others keep busy."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_STAT = Path("/proc/stat")
# Threads wait for the slowest of them: a core on which another program runs a third of the time or more is not worth a thread.
_BUSY = 0.3


def affinity() -> tuple[int, ...] | None:
    """Return the numbers of the cores that this process may run on, None where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None


def cores() -> int:
    """Return how many cores this process may run on."""
    mine = affinity()
    return (os.cpu_count() or 1) if mine is None else len(mine)


def quota_cores(groups: Path = _GROUPS) -> float | None:
    """Return the CPU quota of this control group (version 2 or 1) in cores, or None when there is no quota."""
    if (unified := groups / "cpu.max").is_file():
        limit, _, period = unified.read_text(encoding="utf-8").strip().partition(" ")
    elif (first := groups / "cpu" / "cpu.cfs_quota_us").is_file():
        limit, period = (p.read_text(encoding="utf-8").strip() for p in (first, first.with_name("cpu.cfs_period_us")))
    else:
        return None
    return None if limit in ("max", "-1") else int(limit) / int(period)


def usable_threads() -> int:
    """Return how many threads can really run at once: cores, cut by the quota."""
    quota = quota_cores()
    return cores() if quota is None else max(1, min(cores(), int(quota)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Until now: seconds in which each core of this process was busy, those that this process took, and the time."""

    busy_s: tuple[tuple[int, float], ...]
    own_s: float
    at_s: float


def reading(path: Path = _STAT) -> Reading | None:
    """Read how busy this process's cores were until now; None where the system does not say.

    The fields of a core's line are ticks: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)); what the hypervisor
    took is lost to this process as well.
    """
    mine = affinity()
    if mine is None or not path.is_file():
        return None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    busy = tuple(
        (core, tick_s * (sum(ticks) - ticks[3] - ticks[4]))
        for core, ticks in _ticks(path)
        if core in mine and len(ticks) == 8
    )
    return Reading(busy_s=busy, own_s=time.process_time(), at_s=time.monotonic()) if busy else None


def _ticks(path: Path) -> Iterator[tuple[int, list[int]]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        name, *fields = line.split() or [""]
        if name.startswith("cpu") and name[3:].isdigit():
            yield int(name[3:]), [int(value) for value in fields[:8]]


def busy_cores(before: Reading, now: Reading) -> float:
    """Return how many of this process's cores others kept busy between two readings, in cores."""
    earlier = dict(before.busy_s)
    all_s = sum(seconds - earlier.get(core, seconds) for core, seconds in now.busy_s)
    passed_s = now.at_s - before.at_s
    return max(0.0, all_s - (now.own_s - before.own_s)) / passed_s if passed_s > 0 else 0.0


def threads_beside(busy: float, most: int, available: int) -> int:
    """Return how many threads to run while others keep so many of the available cores busy: at least one, at most `most`."""
    return max(1, min(most, math.floor(available - busy + _BUSY)))
