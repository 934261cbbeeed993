"""One run: its name, its folder, the time its stages take, and what it says while it works."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger("parsimony.progress")


@dataclass(slots=True)
class Run:
    """A run in progress. Everything that is kept lies below `home`; what is this run's own below `folder`.

    `stages` collects the seconds that each stage took, `left_s` what is probably still to come.
    """

    home: Path
    id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}")
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    stages: dict[str, float] = field(default_factory=dict)
    left_s: float | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def folder(self) -> Path:
        """The folder of this run's own files."""
        return self.home / "runs" / self.id

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    @contextlib.contextmanager
    def stage(self, name: str, detail: str = "") -> Iterator[None]:
        """Say what is being done and count the seconds that it takes; stages add up under one name."""
        self.say(name, detail)
        start = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - start

    def say(self, stage: str, detail: str) -> None:
        """Tell whoever follows the run where it is."""
        log.info("%s %s", stage, detail, extra={"stage": stage, "detail": detail, "left_s": self.left_s})


def prediction_file(folder: Path, candidate: str, split: str) -> Path:
    """Return the file that keeps a candidate's answers on a split; the name is safe on every file system."""
    safe = "".join(c if c.isalnum() or c in ".-+" else "_" for c in candidate)
    return folder / "predictions" / f"{safe}.{split}.json"
