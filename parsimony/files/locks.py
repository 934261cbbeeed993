"""Locks on files and folders; the system lets go of them when their process ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

# Who has a lock; "unknown" where the file system or the system has none, "gone" where another thing has the name by now.
Hold = Literal["mine", "theirs", "unknown", "gone"]
How: TypeAlias = Literal["alone", "together"]
Patience: TypeAlias = Literal["try", "wait"]
Waiting: TypeAlias = Callable[[], object]


def host_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where the processes of this machine wait for one another: PARSIMONY_LOCKS, /tmp when it is not set.

    Not tempfile's folder, which every user may set to another one. Containers that share a machine share such a folder.
    """
    return Path(environment.get("PARSIMONY_LOCKS") or "/tmp").absolute()


@contextmanager
def held(path: Path, how: How = "alone", patience: Patience = "try", waiting: Waiting = bool) -> Iterator[Hold]:
    """Hold a file or folder in this block, alone or together with others who hold it so, and give who has it.

    `waiting` is called once before a wait.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        hold = take(number, how, patience, waiting)
        yield hold if path.exists() and os.path.samestat(os.fstat(number), path.stat()) else "gone"
    finally:
        os.close(number)


def take(number: int, how: How = "alone", patience: Patience = "try", waiting: Waiting = bool) -> Hold:
    """Lock an open file until it is closed, as `held` does."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return "unknown"
    kind = fcntl.LOCK_EX if how == "alone" else fcntl.LOCK_SH
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if patience == "try":
            return "theirs"
        waiting()
        fcntl.flock(number, kind)
    except OSError:  # a file system without locks
        return "unknown"
    return "mine"
