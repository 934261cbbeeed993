"""A process whose work is known beforehand, so that the instrument itself can be measured. It follows the same orders as the worker.

Run as `python -m parsimony.audit.known_work`. What `load` names is not a bundle but a JSON file that `write` wrote.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from parsimony.measurement.parent import end_with_parent
from parsimony.measurement.worker import Work, serve

MODULE, STALL = "parsimony.audit.known_work", "stall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Work that hashes `hashed_bytes` for every text, about 2 GB a second.

    The text "stall" sleeps for `stall_s`; `load_s` is slept and `ballast_bytes` are written while loading.
    """

    hashed_bytes: int
    stall_s: float = 0.0
    load_s: float = 0.0
    ballast_bytes: int = 0


def write(path: Path, known: Known) -> Path:
    """Write down work for a process to load, and return the path."""
    path.write_text(json.dumps(asdict(known)), encoding="utf-8")
    return path


def opened(path: Path, threads: int) -> Work:
    """Return the work that a file describes: every text gets the class 0, whatever the number of threads."""
    del threads
    known = Known(**json.loads(path.read_text(encoding="utf-8")))
    time.sleep(known.load_s)
    buffer, ballast = bytes(known.hashed_bytes), b"x" * known.ballast_bytes

    def one(text: str) -> int:
        hashlib.sha256(buffer).digest()
        if text == STALL:
            time.sleep(known.stall_s)
        return min(len(ballast), 0)

    return Work(one=one)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    serve(sys.stdin, sys.stdout, opened)
