"""Places where a process can be stopped, found by watching it: no line of the product knows of them.

Watched are operations on files (Python's audit events, and fsync), every call of MLflow's client, before and after, and every
function of the registry, where it begins and ends. A place is named after what is done and the line of ours that asks for it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from tests.storm.forks import HUNG

Mode = Literal["kill", "raise", "hang"]
MODES: tuple[Mode, ...] = ("kill", "raise", "hang")
ROOT = str(Path(__file__).parents[2]) + os.sep
_STEPS = tuple(f"{ROOT}tasks{os.sep}{name}" for name in ("registry/", "publish.py"))
_OURS = tuple(f"{ROOT}{name}{os.sep}" for name in ("tasks", "parsimony", "flows"))
_FILES = {"os.rename", "os.mkdir", "os.remove", "os.link", "os.rmdir", "os.truncate", "os.symlink"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place and which time it is reached."""

    name: str
    time: int = 1


@dataclass(slots=True, kw_only=True)
class Watch:
    """What a process does at its edges: how often each place was reached, and what happens at the chosen one."""

    chosen: Place | None = None
    act: Callable[[], None] = lambda: None
    counts: Counter[str] = field(default_factory=Counter)
    busy: bool = False

    def reach(self, what: str, site: str) -> None:
        """Count a place; act at the chosen one."""
        name = f"{what} in {site}"
        self.counts[name] += 1
        if self.chosen is not None and name == self.chosen.name and self.counts[name] == self.chosen.time:
            self.act()

    def begin(self) -> None:
        """Watch this process from now on, for good."""
        sys.addaudithook(self._audit)
        self._watch_client()
        real = os.fsync

        def fsync(file: int) -> None:
            self.reach("fsync", _site(sys._getframe(1)))
            real(file)

        os.fsync = fsync
        sys.settrace(self._trace)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.busy or (event not in _FILES and event != "open"):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
            return
        self.busy = True
        try:
            site = _site(sys._getframe(1))
        finally:
            self.busy = False
        if site:
            self.reach(event, site)

    def _watch_client(self) -> None:
        from mlflow import MlflowClient

        for name, call in list(vars(MlflowClient).items()):
            if callable(call) and not name.startswith("_"):
                setattr(MlflowClient, name, self._watched(name, call))

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def watched(*arguments: Any, **keywords: Any) -> Any:
            site = _site(sys._getframe(1))
            self.reach(f"before {name}", site)
            result = call(*arguments, **keywords)
            self.reach(f"after {name}", site)
            return result

        return watched

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_STEPS) or code.co_name.startswith("<"):
            return None
        frame.f_trace_lines = False
        self.reach("begin", _name(frame))
        return self._trace_end

    def _trace_end(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "return":
            self.reach("end", _name(frame))
        return self._trace_end


def _name(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename.removeprefix(ROOT)}:{frame.f_code.co_name}"


def _site(frame: FrameType | None) -> str:
    """Return the function of ours that asks for something; "" when none does."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_OURS):
            return _name(frame)
        frame = frame.f_back
    return ""


def act(mode: Mode, pipe: int) -> Callable[[], None]:
    """Return what happens at the chosen place."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def hang() -> None:
        os.write(pipe, HUNG)
        while True:
            signal.pause()

    return {"kill": kill, "raise": fail, "hang": hang}[mode]


def observed(action: Callable[[], object]) -> Callable[[int], dict[str, int]]:
    """Return an action that does this one and gives the places that it reached, with how often."""

    def watch_it(_: int) -> dict[str, int]:
        watch = Watch()
        watch.begin()
        action()
        sys.settrace(None)
        return dict(watch.counts)

    return watch_it


def stopped_at(action: Callable[[], object], place: Place, mode: Mode) -> Callable[[int], object]:
    """Return an action that does this one and is stopped at a place."""

    def stop_it(pipe: int) -> object:
        Watch(chosen=place, act=act(mode, pipe)).begin()
        return action()

    return stop_it
