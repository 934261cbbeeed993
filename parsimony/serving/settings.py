"""What a server is asked to do: which bundle, where it listens, what it takes at most."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from parsimony.bundle.predict import MAX_CHARS
from parsimony.errors import require


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server takes at most; what is above is refused with 4xx. `waiting_texts` is the length of its queue."""

    body_bytes: int = 1 << 20
    texts: int = 128
    chars: int = MAX_CHARS
    waiting_texts: int = 256
    open_requests: int = 1024
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("body_bytes", "texts", "chars", "waiting_texts", "open_requests", "timeout_s"):
            require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}, expected more than 0")
        require(
            self.texts <= self.waiting_texts,
            f"a request of {self.texts} texts would never enter a queue of {self.waiting_texts}; expected at most that many",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which texts are kept, and where: this share of them, so many at most. Nobody's texts are kept unless this is given."""

    path: Path
    most: int = 10_000
    share: float = 0.01

    def __post_init__(self) -> None:
        require(self.most > 0, f"the sample keeps {self.most} texts, expected at least 1")
        require(0 < self.share <= 1, f"the sample's share is {self.share}, expected above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A server. `source` is a bundle's folder, or the file that names the champion's (see `champion_file`).

    `follow` is the command of the process that keeps that file; `scratch` a folder that all processes of this server share.
    """

    name: str
    source: Path
    host: str = "127.0.0.1"
    port: int = 8080
    processes: int = 1
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    token: str = field(default="", repr=False)
    sample: Sample | None = None
    follow: tuple[str, ...] = ()
    scratch: Path | None = None

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65_535, f"port is {self.port}, expected 0 to 65535")
        require(self.processes >= 1, f"processes is {self.processes}, expected at least 1")
        require(self.threads >= 1, f"threads is {self.threads}, expected at least 1")
