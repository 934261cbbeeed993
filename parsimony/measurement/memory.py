"""How much memory a process has held at most, and what one that was forked would have held had it imported everything itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_SELF = Path("/proc/self")
_PRESENT = np.uint64(1 << 63)  # of an entry of pagemap, see proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What a process holds that is about to fork: which pages of files it has touched, by mapping."""

    touched: dict[str, np.ndarray]


def peak_rss_bytes() -> int:
    """Return this process's peak resident memory; not its parent's, which getrusage would count after a fork."""
    if (peak_bytes := _status_bytes("VmHWM")) is not None:
        return peak_bytes
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def inherited() -> Inherited:
    """Return what a child that is forked now has without holding it: Linux lets it touch the pages of files again."""
    return Inherited(touched=dict(_touched()))


def peak_rss_bytes_with(before: Inherited) -> int:
    """Return the peak of a forked process, with the pages of files that the one before it had touched and it did not."""
    missing = 0
    for mapping, mine in _touched():
        theirs = before.touched.get(mapping)
        if theirs is not None and len(theirs) == len(mine):
            missing += int(np.count_nonzero(theirs & ~mine))
    return peak_rss_bytes() + missing * _page_bytes()


def _touched() -> Iterator[tuple[str, np.ndarray]]:
    """Yield every mapping of a file and which of its pages are in memory, bool [pages]."""
    page_bytes = _page_bytes()
    with (_SELF / "pagemap").open("rb", buffering=0) as pagemap:
        for line in (_SELF / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
            place, _, _, _, inode, *_ = line.split()
            if inode == "0":
                continue
            first, last = (int(end, 16) // page_bytes for end in place.split("-"))
            pagemap.seek(first * 8)
            entries = np.frombuffer(pagemap.read((last - first) * 8), dtype=np.uint64)
            yield place, (entries & _PRESENT) != 0


def _page_bytes() -> int:
    import resource

    return resource.getpagesize()


def _status_bytes(name: str) -> int | None:
    """Return a figure of the memory of this process; None where the system does not say."""
    status = _SELF / "status"
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
