"""Progress as Prefect shows it: the lines of the terminal in the run's log, and an artifact with the share that is done."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

_LOGGER = "parsimony"
_EVERY_S = 3.0


@dataclass(slots=True, kw_only=True)
class Progress:
    """The artifact of a run in progress, and when it was last brought up to date."""

    artifact: UUID
    begun: float = field(default_factory=time.monotonic)
    told: float = 0.0

    def take(self, record: logging.LogRecord) -> None:
        """Bring the artifact up to date from a progress record that says how much time is left; at most every few seconds."""
        left_s, now = getattr(record, "left_s", None), time.monotonic()
        if left_s is None or now - self.told < _EVERY_S:
            return
        self.told, past_s = now, now - self.begun
        stage, detail = getattr(record, "stage", ""), getattr(record, "detail", "")
        share = min(100 * past_s / (past_s + left_s), 99.0) if past_s + left_s > 0 else 0.0
        self.tell(share, f"{stage} {detail}")

    def tell(self, share: float, words: str) -> None:
        """Bring the artifact up to date; a server that does not take it is no reason to end a run."""
        with contextlib.suppress(httpx.HTTPError, PrefectException):
            update_progress_artifact(self.artifact, share, description=words)


@contextlib.contextmanager
def shown(key: str) -> Iterator[None]:
    """Show the progress of the block in the run's log and as an artifact of this key."""
    created = create_progress_artifact(0.0, key=key, description="starts")
    if not isinstance(created, UUID):
        raise TypeError(f"Prefect gave {type(created).__name__} as the id of an artifact; expected a UUID")
    progress = Progress(artifact=created)
    handler = logging.Handler(logging.INFO)
    handler.emit = progress.take  # type: ignore[method-assign]  # a handler is one function; no class is needed for it
    logger = logging.getLogger(_LOGGER)
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    progress.tell(100.0, "done")
