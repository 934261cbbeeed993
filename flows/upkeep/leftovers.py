"""What killed runs left behind: their folders, folders half-written, and servers that nobody uses."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parsimony.files import discard, folder_bytes, unfinished
from parsimony.files.locks import held
from parsimony.flows.engine import SERVER

if TYPE_CHECKING:
    import psutil

RUNS, RECEIPT = "runs", "receipt.json"
# What is kept by content, below the home.
STORES = ("bundles", "champions", "checkpoints")
_YOUNG_S = 60.0  # a run locks its folder just after it has made it
# Prefect's own temporary server, as it was started before this version had one.
_FOREIGN = "prefect.server.api.server:create_app"

Kind = Literal["dead run", "half-written folder", "orphaned server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that no running process uses: a folder, or a process by its number."""

    kind: Kind
    path: Path | None = None
    process: int | None = None

    @property
    def size_bytes(self) -> int:
        """The bytes on disk; 0 for a process."""
        return 0 if self.path is None else folder_bytes(self.path)

    def __str__(self) -> str:
        return f"{self.kind} {self.process if self.path is None else self.path}"


@contextlib.contextmanager
def running(home: Path, folder: Path) -> Iterator[None]:
    """Make a run's folder and hold it in the block, so that others see that the run is alive; nothing is cleared meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(home / RUNS, "together", "wait"):
        folder.mkdir()
        with held(folder):
            yield


def leftovers(home: Path) -> tuple[Leftover, ...]:
    """Return what killed runs of this home have left."""
    dead = [Leftover(kind="dead run", path=folder) for folder in _dead_runs(home)]
    half = [
        Leftover(kind="half-written folder", path=folder) for store in STORES for folder in unfinished(home / store)
    ]
    servers = [Leftover(kind="orphaned server", process=process.pid) for process in _orphans(home)]
    return (*dead, *half, *servers)


def clear(home: Path) -> tuple[Leftover, ...]:
    """Remove what killed runs of this home have left, end its orphaned servers, and return what was there."""
    import psutil

    left = leftovers(home)
    for leftover in left:
        if leftover.path is not None:
            discard(leftover.path)
        if leftover.process is not None:
            with contextlib.suppress(psutil.Error):  # it has ended by itself
                psutil.Process(leftover.process).kill()
    return left


def _dead_runs(home: Path) -> Iterator[Path]:
    """Yield the folders of runs that have no receipt and that no process holds."""
    for folder in sorted((home / RUNS).glob("*/")):
        if (folder / RECEIPT).exists() or folder.is_symlink():
            continue
        with contextlib.suppress(OSError), held(folder) as hold:
            if hold == "mine" and time.time() - folder.stat().st_mtime > _YOUNG_S:
                yield folder


def _orphans(home: Path) -> Iterator[psutil.Process]:
    """Yield the temporary servers of this home whose run has ended."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if SERVER not in words and _FOREIGN not in words:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            left_alone = process.ppid() in (0, 1) or (SERVER in words and str(process.ppid()) != words[-1])
            if left_alone and process.environ().get("PREFECT_HOME") == str(home / "prefect"):
                yield process
