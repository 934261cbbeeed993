"""A file that nobody may read, watched by the kernel (inotify): a read of it by any process is noticed, by whatever name it was opened."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ACCESS, _MODIFY, _NONBLOCK = 0x1, 0x2, 0o4000


@dataclass(slots=True, kw_only=True)
class Canary:
    """A watched file."""

    path: Path
    content: bytes
    events: int

    def untouched(self) -> None:
        """Hold that nobody has read or changed it since the last time."""
        try:
            noticed = os.read(self.events, 4096)
        except BlockingIOError:
            noticed = b""
        assert not noticed, f"{self.path.name} was read or written"

    def read(self) -> None:
        """Read it ourselves: a watch that notices nothing is none."""
        self.path.read_bytes()
        assert os.read(self.events, 4096)


@contextmanager
def canary(path: Path) -> Iterator[Canary]:
    """Write a file with a content of its own, and watch it in the block."""
    content = b"\x00\x00\xe8\x40" * 18  # eighteen times 7.25, as weights are stored
    path.write_bytes(content)
    system = ctypes.CDLL(None, use_errno=True)
    events = int(system.inotify_init1(_NONBLOCK))
    if events < 0 or system.inotify_add_watch(events, str(path).encode(), _ACCESS | _MODIFY) < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    watched = Canary(path=path, content=content, events=events)
    try:
        watched.read()
        yield watched
    finally:
        os.close(events)
