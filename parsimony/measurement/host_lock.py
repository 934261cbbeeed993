"""Locks of a whole host: held by one process at a time, whoever started it and wherever it keeps its files."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.files.locks import host_folder, take

log = logging.getLogger("parsimony.progress")

_mine: ContextVar[frozenset[str]] = ContextVar("host locks of this process", default=frozenset())


@contextlib.contextmanager
def host_lock(name: str, stage: str) -> Iterator[None]:
    """Hold the host's lock of this name in the block; wait for another process that has it, which is said in one line.

    A block within a block of the same name holds it already. The lock is let go when its process ends, however it ends.
    Raises InfrastructureError when the file that carries it cannot be opened.
    """
    if name in _mine.get() or os.name != "posix":
        yield
        return
    path = host_folder() / f"parsimony-{name}.lock"

    def waiting() -> None:
        detail = f"waits for another process of this machine that does the same ({path})"
        log.info("%s %s", stage, detail, extra={"stage": stage, "detail": detail})

    number = _opened(path)
    before = _mine.set(_mine.get() | {name})
    try:
        take(number, patience="wait", waiting=waiting)
        yield
    finally:
        _mine.reset(before)
        os.close(number)


def is_held(name: str) -> bool:
    """Say whether a process of this machine holds the lock of this name now."""
    path = host_folder() / f"parsimony-{name}.lock"
    if os.name != "posix" or not path.exists():
        return False
    number = _opened(path)
    try:
        return take(number, "together") == "theirs"
    finally:
        os.close(number)


def _opened(path: Path) -> int:
    """Open the file of a lock, made when it is missing: whoever can read it can lock it, whoever made it.

    It is opened for writing only by who makes it, because a system may refuse that to everybody but its owner (Linux's
    fs.protected_regular); a link or a pipe that somebody put there is not followed and not waited for.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with contextlib.suppress(FileExistsError):
            number = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
            os.fchmod(number, 0o644)  # the umask of one user would shut out all others
            return number
        return os.open(path, flags)
    except OSError as error:
        raise InfrastructureError(
            f"{path} cannot be opened ({error.strerror}); expected a file that everybody may read, by which the processes of "
            "this machine wait for one another; remove it and run again, or name another folder in PARSIMONY_LOCKS"
        ) from error
