"""What this machine is: processor, instruction sets, cores, quota, memory, load."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from parsimony.measurement.records import Disturbance, Environment
from parsimony.runtimes.cores import affinity as affinity
from parsimony.runtimes.cores import cores, quota_cores
from parsimony.runtimes.cores import usable_threads as usable_threads
from parsimony.runtimes.cpu import cpu, isa

_GROUPS = Path("/sys/fs/cgroup")
_STAT = Path("/proc/stat")
_SCHEDULED = Path("/proc/self/schedstat")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_PACKAGES = ("onnxruntime", "tokenizers", "numpy")


def kind() -> tuple[object, ...]:
    """Return what two machines must have in common to measure alike: processor, instruction sets, threads that run at once."""
    return cpu(), isa(), usable_threads()


def memory_bytes() -> int:
    """Return the physical memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_memory_bytes(groups: Path = _GROUPS) -> int:
    """Return how much memory a process can have: this machine's, cut by the limit of this control group (version 2 or 1)."""
    for path in (groups / "memory.max", groups / "memory" / "memory.limit_in_bytes"):
        if path.is_file() and (limit := path.read_text(encoding="utf-8").strip()).isdigit():
            return min(int(limit), memory_bytes())
    return memory_bytes()


def throttled_count(groups: Path = _GROUPS) -> int | None:
    """Return how often this control group (version 2 or 1) was held back by its quota so far, None where none says."""
    for path in (groups / "cpu.stat", groups / "cpu" / "cpu.stat"):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            name, _, value = line.partition(" ")
            if name == "nr_throttled":
                return int(value)
    return None


def core_ticks(core_numbers: Collection[int], path: Path = _STAT) -> tuple[int, int] | None:
    """Return the ticks that the hypervisor took from these cores so far, and all their ticks; None where none says.

    The fields of a core's line are user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user
    already (proc_stat(5)).
    """
    names = {f"cpu{number}" for number in core_numbers}
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()
    counters = [[int(value) for value in fields[1:9]] for fields in lines if fields and fields[0] in names]
    if not counters or any(len(ticks) < 8 for ticks in counters):
        return None
    return sum(ticks[7] for ticks in counters), sum(sum(ticks) for ticks in counters)


def waited_ns(path: Path = _SCHEDULED) -> int | None:
    """Return how long this process was ready and waited for a core so far, None where the system does not say.

    The second number of schedstat, in nanoseconds, of the first thread (the kernel's sched-stats.rst).
    """
    return int(path.read_text(encoding="utf-8").split()[1]) if path.is_file() else None


def measuring_cores(threads: int) -> tuple[int, ...]:
    """Return the cores of a measured process: as many as it has threads, the last ones, away from the process that measures.

    Empty where the system does not say which cores this process may use.
    """
    return (affinity() or ())[-threads:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The counters of the machine at the beginning of a measurement."""

    core_numbers: tuple[int, ...]
    ticks: tuple[int, int] | None
    throttled: int | None


def watch(threads: int) -> Watch:
    """Begin to watch what the machine takes away from a process with this many threads."""
    mine = measuring_cores(threads)
    return Watch(core_numbers=mine, ticks=core_ticks(mine), throttled=throttled_count())


def disturbance(since: Watch) -> Disturbance:
    """Return what the machine took away since the watch began."""
    ticks, throttled = core_ticks(since.core_numbers), throttled_count()
    share = None
    if ticks is not None and since.ticks is not None:
        stolen, all_ticks = (now - before for now, before in zip(ticks, since.ticks, strict=True))
        share = min(max(stolen, 0) / all_ticks, 1.0) if all_ticks > 0 else 0.0
    held = None if throttled is None or since.throttled is None else throttled - since.throttled
    return Disturbance(steal_share=share, throttled=held)


def governor(path: Path = _GOVERNOR) -> str | None:
    """Return the frequency governor of the first core, None where none is shown, as in most virtual machines."""
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def environment(threads: int) -> Environment:
    """Return the environment of a measurement that is about to run with `threads` threads."""
    return Environment(
        cpu=cpu(),
        isa=isa(),
        cores=cores(),
        quota_cores=quota_cores(),
        memory_bytes=memory_bytes(),
        governor=governor(),
        load_1m=os.getloadavg()[0],
        platform=platform.platform(),
        python=platform.python_version(),
        versions=tuple((name, importlib.metadata.version(name)) for name in _PACKAGES),
        threads=threads,
    )
