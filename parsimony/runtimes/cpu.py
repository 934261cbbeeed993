"""The processor: its name and the instruction sets that decide which kernels run."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

# The instruction sets that decide which kernels ONNX Runtime and torch choose.
INSTRUCTION_SETS = (
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
    return tuple(name for name in INSTRUCTION_SETS if name in flags)


def has_fast_bf16() -> bool:
    """Say whether the processor multiplies bfloat16 itself."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(isa()))
