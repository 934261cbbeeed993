"""A line for whoever follows a run, on the terminal and in Prefect's log, that belongs to no step of its progress."""

from __future__ import annotations

import logging

_log = logging.getLogger("parsimony.progress")


def notice(stage: str, line: str, level: int = logging.WARNING) -> None:
    """Say a line; `stage` is what it is about, for those who read records and not words."""
    _log.log(level, "%s", line, extra={"stage": stage})
