"""Lines of JSON about requests, without their texts; and, where that was asked for, a sample of texts in a file of its own.

Both are collected and written now and then: a write for every request would take a tenth of its time.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson

from parsimony.serving.settings import Sample

_MOST_WAITING = 1_000
_KEPT_BY = 0o600  # texts of people: readable by their owner alone


def now() -> str:
    """Return the time as it is written in a line."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True, kw_only=True)
class Lines:
    """Lines that wait to be written to standard error; at most a thousand, then they are written at once."""

    waiting: list[bytes] = field(default_factory=list)

    def add(self, **facts: object) -> None:
        """Add a line."""
        self.waiting.append(orjson.dumps({"at": now(), **facts}))
        if len(self.waiting) >= _MOST_WAITING:
            self.write()

    def write(self) -> None:
        """Write the lines that wait."""
        if self.waiting:
            lines, self.waiting = b"\n".join(self.waiting) + b"\n", []
            sys.stderr.buffer.write(lines)
            sys.stderr.flush()


@dataclass(slots=True, kw_only=True)
class Sampled:
    """A sample of texts with their labels, one JSON object a line; nothing once the file holds as many as were allowed."""

    sample: Sample
    kept: int
    rng: random.Random = field(default_factory=random.SystemRandom)
    waiting: list[bytes] = field(default_factory=list)

    def add(self, texts: Sequence[str], labels: Sequence[str], version: str) -> None:
        """Keep some of these texts."""
        for text, label in zip(texts, labels, strict=True):
            if self.kept < self.sample.most and self.rng.random() < self.sample.share:
                self.kept += 1
                self.waiting.append(orjson.dumps({"at": now(), "text": text, "label": label, "version": version}))

    def write(self) -> None:
        """Append what waits to the file."""
        if self.waiting:
            lines, self.waiting = b"\n".join(self.waiting) + b"\n", []
            number = os.open(self.sample.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _KEPT_BY)
            with os.fdopen(number, "ab") as stream:
                stream.write(lines)


def sampled(sample: Sample) -> Sampled:
    """Go on with a sample: what its file holds already counts."""
    return Sampled(sample=sample, kept=_count(sample.path))


def _count(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as stream:
        return sum(1 for _ in stream)
