"""Processes that begin where this one stands, with every library loaded, so that a trial costs no import; and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HUNG = b"\x01"
_LIMIT_S = 120.0
End = Literal["ended", "raised", "killed", "endless"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a process ended: what it gave, or the error's kind and message, or the signal; and the memory that it took at most."""

    end: End
    value: Any = None
    error: str = ""
    rss_bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Fork:
    """A process in progress and the pipe on which it tells what it gives."""

    pid: int
    pipe: int
    begun: float
    told: bytes = b""

    def hangs(self, within_s: float = _LIMIT_S) -> bool:
        """Wait until it says that it hangs (True) or ends (False)."""
        end = time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.pipe], [], [], left)
            piece = os.read(self.pipe, 65536) if ready else b""
            self.told += piece
            if HUNG in piece:
                return True
            if ready and not piece:
                return False
        return False

    def kill(self) -> None:
        """End it and everything that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def end(self, within_s: float = _LIMIT_S) -> Outcome:
        """Wait for its end and say how it was; one that does not end in time is killed."""
        endless = self.hangs(within_s) or self._runs(1.0 if self.told else 0.0, within_s)
        if endless:
            self.kill()
        _, status, usage = os.wait4(self.pid, 0)
        self.kill()  # what it has started
        os.close(self.pipe)
        seconds, rss = time.monotonic() - self.begun, usage.ru_maxrss * 1024
        if endless:
            return Outcome(end="endless", rss_bytes=rss, seconds=seconds)
        if os.WIFSIGNALED(status):
            return Outcome(end="killed", error=f"signal {os.WTERMSIG(status)}", rss_bytes=rss, seconds=seconds)
        said = json.loads(self.told.replace(HUNG, b"") or b'{"error": "it ended without a word"}')
        end: End = "raised" if "error" in said else "ended"
        return Outcome(end=end, value=said.get("value"), error=said.get("error", ""), rss_bytes=rss, seconds=seconds)

    def _runs(self, least_s: float, most_s: float) -> bool:
        """Say whether it still runs although it has told everything, or its time is over."""
        end = time.monotonic() + max(least_s, most_s - (time.monotonic() - self.begun))
        while time.monotonic() < end:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                return False
            time.sleep(0.002)
        return True


def fork(action: Callable[[int], object], log: Path | None = None) -> Fork:
    """Let a new process do `action`, which gets the pipe on which it may say that it hangs; its output goes to `log`."""
    reader, writer = os.pipe()
    begun = time.monotonic()
    pid = os.fork()
    if pid:
        os.close(writer)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return Fork(pid=pid, pipe=reader, begun=begun)
    status = 1
    try:
        os.close(reader)
        os.setpgid(0, 0)
        _redirect(log)
        said: dict[str, object] = {"value": action(writer)}
        status = 0
    except BaseException as error:
        traceback.print_exc()
        said = {"error": f"{type(error).__name__}: {error}"}
    with contextlib.suppress(BaseException):
        os.write(writer, json.dumps(said)[:60_000].encode())
    os._exit(status)


def done(action: Callable[[], object], log: Path | None = None) -> Outcome:
    """Let a new process do `action`, and say how it ended."""
    return fork(lambda _: action(), log).end()


def _redirect(log: Path | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    target = os.open("/dev/null" if log is None else log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(target, stream)
