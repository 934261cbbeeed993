"""Ctrl-C and SIGTERM: one line, exit status 130 or 143, within seconds, whatever the process is doing.

A signal raises KeyboardInterrupt, so that what is in hand is put away. That may wait for a server that does not respond, or never
come out of a library, so a thread that looks at nothing else ends the process after a moment; a second signal ends it at once. Every
child ends with its parent (`parsimony.measurement.parent`), and a run can be killed at any instruction.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType

GRACE_S = 3.0
_IMPATIENT_S = 0.5  # a signal that comes sooner after the first is the same one, passed on by a library
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SHOW_CURSOR = b"\x1b[?25h"


@dataclass(slots=True, kw_only=True)
class Interrupt:
    """The first signal that came, None before; `told` once it was said on standard error."""

    number: int | None = None
    told: bool = False
    writer: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def exit_code(self) -> int:
        """The exit status of a process that this signal ended."""
        return 128 + (self.number or signal.SIGINT)

    def tell(self) -> None:
        """Say once that the process was interrupted."""
        with self.lock:
            if self.told:
                return
            self.told = True
        word = _WORDS.get(signal.Signals(self.number or signal.SIGINT), "interrupted")
        with contextlib.suppress(OSError):
            os.write(2, f"parsimony: {word}; run it again to go on where it stopped\n".encode())

    def leave(self) -> None:
        """End the process now, without waiting for any thread or library."""
        self.tell()
        with contextlib.suppress(OSError):
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
        os._exit(self.exit_code)

    def handle(self, number: int, _: FrameType | None) -> None:
        """Take a signal in the main thread."""
        with contextlib.suppress(OSError):
            os.write(self.writer, bytes([number]))  # also where a library has taken the wake-up for itself
        if self.number is None:
            self.number = number
        raise KeyboardInterrupt

    def guard(self, reader: int) -> None:
        """Wait for signals, and end the process when it does not end by itself."""
        since: float | None = None
        while True:
            left = None if since is None else max(since + GRACE_S - time.monotonic(), 0.0)
            if not select.select([reader], [], [], left)[0]:
                self.leave()
            numbers = os.read(reader, 64)
            if not numbers:
                return
            for number in numbers:
                if number not in _WORDS:
                    continue
                if since is None:
                    self.number, since = number, time.monotonic()
                elif time.monotonic() - since > _IMPATIENT_S:
                    self.leave()


@contextlib.contextmanager
def watched() -> Iterator[Interrupt]:
    """Take Ctrl-C and SIGTERM in this block; what is ignored from outside stays ignored."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    reader, interrupt.writer = os.pipe()
    os.set_blocking(interrupt.writer, False)
    wakeup = signal.set_wakeup_fd(interrupt.writer, warn_on_full_buffer=False)
    numbers = [number for number in _WORDS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt.handle) for number in numbers}
    guard = threading.Thread(target=interrupt.guard, args=(reader,), daemon=True)
    guard.start()
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(interrupt.writer)
        guard.join()
        os.close(reader)


def leave_if_alone(interrupt: Interrupt, arguments: object) -> int:
    """Tell of the interruption and end: at once where the whole process is this command, else with the exit status."""
    interrupt.tell()
    if arguments is None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        interrupt.leave()
    return interrupt.exit_code
