"""The process in which candidates are built, one after the other: what crashes, hangs or needs too much memory there ends no run.

It is started with the first candidate, and replaced when it dies; so torch and ONNX Runtime are imported once a run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from parsimony.candidates import BuiltBundle, Candidate
from parsimony.compression.build import Sources
from parsimony.compression.technique import DoesNotApplyError
from parsimony.errors import InfrastructureError
from parsimony.files import sweep
from parsimony.measurement import machine
from parsimony.training.checkpoint import MODEL

log = logging.getLogger(__name__)

Build: TypeAlias = Callable[[Candidate, Sources, Path], BuiltBundle]
WORKER = "parsimony.tasks.candidate_worker"
_START_S = 300.0
_REASON_CHARS = 300


class NotBuiltError(Exception):
    """A candidate that cannot be built; the message is the reason in one line. The other candidates are spared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one candidate may take: seconds, with more for each megabyte of its checkpoint's graph, and bytes of memory."""

    least_s: float = 300.0
    s_per_mb: float = 5.0
    memory_bytes: int

    def seconds(self, checkpoint: Path) -> float:
        """Return how long a candidate of this checkpoint may take."""
        graph = checkpoint / MODEL
        return self.least_s + (self.s_per_mb * graph.stat().st_size / 1e6 if graph.is_file() else 0.0)


@contextlib.contextmanager
def building(limits: Limits | None = None, module: str = WORKER) -> Iterator[Build]:
    """Give a function that builds candidates in a process of their own, for as long as the block lasts.

    It raises DoesNotApplyError and NotBuiltError with the reason, and OSError or ImportError for what no other candidate
    would be spared. `module` follows the orders; another one than the worker holds candidates whose end is known beforehand.
    """
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as errors:
        chosen = limits or Limits(memory_bytes=machine.usable_memory_bytes())
        builder = _Builder(limits=chosen, module=module, scratch=Path(scratch), errors=errors)
        try:
            yield builder.build
        finally:
            builder.end()


@dataclass(slots=True, kw_only=True)
class _Builder:
    limits: Limits
    module: str
    scratch: Path
    errors: IO[bytes]
    process: subprocess.Popen[bytes] | None = None

    def build(self, candidate: Candidate, sources: Sources, target: Path) -> BuiltBundle:
        """Build one candidate in the child."""
        order = {
            "candidate": asdict(candidate),
            "checkpoint": str(sources.checkpoint),
            "base": str(sources.base),
            "texts": str(self._texts(sources)),
            "texts_digest": sources.texts.digest,
            "labels": sources.labels,
            "data_digest": sources.data_digest,
            "windows": sources.windows,
            "target": str(target),
        }
        try:
            reply = self._ask(order, self.limits.seconds(sources.checkpoint))
        except NotBuiltError as error:
            log.warning("%s: %s", candidate.id, error)
            self.end()
            sweep(target.parent)
            raise
        except BaseException:  # an order that was not followed to its end must not be answered to the next one
            self.end()
            raise
        return self._outcome(reply)

    def _texts(self, sources: Sources) -> Path:
        path = self.scratch / f"{sources.texts.digest}.json"
        if not path.exists():
            path.write_text(json.dumps(sources.texts.texts), encoding="utf-8")
        return path

    def _outcome(self, reply: dict[str, Any]) -> BuiltBundle:
        """Return the bundle of a reply, or raise what the child met."""
        if "folder" in reply:
            return BuiltBundle(**reply)
        reason = str(reply["reason"])[:_REASON_CHARS]
        match reply["refused"]:
            case "does not apply":
                raise DoesNotApplyError(reason)
            case "import":
                raise ImportError(reason, name=reply["name"])
            case "system":
                raise OSError(reply["errno"], reason, reply["name"])
        if reply["refused"] == "memory":  # what is left of it may be in pieces
            self.end()
        raise NotBuiltError(reason)

    def _ask(self, order: dict[str, Any], limit_s: float) -> dict[str, Any]:
        process = self._running()
        if process.stdin is None:
            raise InfrastructureError("the process that builds candidates was started without pipes")
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            line = _line(process, limit_s)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            raise NotBuiltError(f"building it took more than {limit_s:.0f} s and was stopped") from None
        if not line:
            raise NotBuiltError(self._cause(process))
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the child, started when there is none; InfrastructureError when it cannot be started."""
        if self.process is not None and self.process.poll() is None:
            return self.process
        self.process = subprocess.Popen(
            # -P: no module of the folder where the run was started.
            [sys.executable, "-P", "-m", self.module, str(os.getpid()), str(self.limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,  # a signal for the group is for the run, which ends this process
        )
        try:
            ready = _line(self.process, _START_S)
        except TimeoutError:
            ready = b""
        if not ready:
            cause = self._cause(self.process)
            self.end()
            raise InfrastructureError(
                f"the process that builds candidates did not start: {cause}; install parsimony again"
            )
        return self.process

    def _cause(self, process: subprocess.Popen[bytes]) -> str:
        """Return why a child that says nothing more has ended."""
        try:
            status = process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            status = 0
        self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(self.errors.tell() - 4_096, 0))
        said = self.errors.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        if -status == signal.SIGKILL:
            return "the process that built it was killed, as the system does when memory runs out"
        kind = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"the process that built it ended ({kind}): {said[-1].strip()[:200]}"

    def end(self) -> None:
        """End the child, if there is one."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def _line(process: subprocess.Popen[bytes], limit_s: float) -> bytes:
    """Return the next line that a child says, b"" when it has ended; TimeoutError when it says none in time."""
    if process.stdout is None:
        return b""
    end, line, number = time.monotonic() + limit_s, b"", process.stdout.fileno()
    while not line.endswith(b"\n"):
        left_s = end - time.monotonic()
        if left_s <= 0 or not select.select([number], [], [], left_s)[0]:
            raise TimeoutError
        piece = os.read(number, 65_536)
        if not piece:
            return b""
        line += piece
    return line
