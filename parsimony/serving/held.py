"""What a server process holds while it serves; everything that changes is here."""

from __future__ import annotations

from dataclasses import dataclass, field

from parsimony.serving import champion_file
from parsimony.serving.logs import Lines, Sampled
from parsimony.serving.metrics import Counts
from parsimony.serving.served import Served
from parsimony.serving.settings import Settings


@dataclass(slots=True, kw_only=True)
class Held:
    """The bundle that answers, what waits, what was counted, what is to be written; `refused` says why another bundle is not served."""

    settings: Settings
    served: Served
    counts: Counts = field(default_factory=Counts)
    lines: Lines = field(default_factory=Lines)
    sample: Sampled | None = None
    waiting_texts: int = 0
    open_requests: int = 0
    refused: str = ""

    def followed_s(self) -> float | None:
        """Return since how many seconds production was not looked up; None for a folder, which nobody looks up."""
        return None if self.settings.source.is_dir() else champion_file.age_s(self.settings.source)
