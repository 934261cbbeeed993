"""What a check of this machine says: whether all is well, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# "note" stops no run and endangers none; "wrong" does.
State = Literal["well", "note", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at: its state, what was found, and what to do about it, "" where all is well."""

    subject: str
    state: State
    message: str
    remedy: str = ""
