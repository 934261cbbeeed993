"""What this machine is: processor, instruction sets, cores, quota, memory, load."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from functools import lru_cache
from pathlib import Path

from parsimony.records import Environment

# The instruction sets that decide which kernels ONNX Runtime and torch choose.
_TELLING = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
)
_GROUPS = Path("/sys/fs/cgroup")
_PACKAGES = ("onnxruntime", "tokenizers", "numpy")


@lru_cache(maxsize=1)
def _cpuinfo() -> dict[str, str]:
    """Return the first processor's fields of /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    block = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu() -> str:
    """Return the processor's name, or its architecture where it tells none."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def isa() -> tuple[str, ...]:
    """Return the instruction sets of this processor that matter here."""
    fields = _cpuinfo()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return tuple(name for name in _TELLING if name in flags)


def has_fast_bf16() -> bool:
    """Say whether the processor multiplies bfloat16 itself."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(isa()))


def cores() -> int:
    """Return the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def memory_bytes() -> int:
    """Return the physical memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def throttled_count(groups: Path = _GROUPS) -> int:
    """Return how often this control group (version 2 or 1) was held back by its quota so far."""
    for path in (groups / "cpu.stat", groups / "cpu" / "cpu.stat"):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            name, _, value = line.partition(" ")
            if name == "nr_throttled":
                return int(value)
    return 0


def environment(threads: int) -> Environment:
    """Return the environment of a measurement that runs with `threads` threads."""
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return Environment(
        cpu=cpu(),
        isa=isa(),
        cores=cores(),
        quota_cores=quota_cores(),
        memory_bytes=memory_bytes(),
        governor=governor.read_text(encoding="utf-8").strip() if governor.is_file() else "unknown",
        load_1m=os.getloadavg()[0],
        platform=platform.platform(),
        python=platform.python_version(),
        versions=tuple((name, importlib.metadata.version(name)) for name in _PACKAGES),
        threads=threads,
    )
