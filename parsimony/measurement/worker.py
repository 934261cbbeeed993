"""The measured process: it holds one bundle and follows orders, one JSON object a line.

Run as `python -m parsimony.measurement.worker PARENT`, the number of the process that it ends with. It imports what a serving container imports and nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from parsimony.bundle import batch, predict
from parsimony.errors import ParsimonyError, first_line
from parsimony.measurement import machine, memory
from parsimony.measurement.parent import end_with_parent

_ORDERS = "import, fork, leave, load, predict, batch, arrivals, peaks or memory"
_SLEEP_NS = 2_000_000  # nearer than this to an arrival the clock is watched, because a sleep ends late


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is measured: a class number for each raw text, one at a time or many at once.

    `many` is None where only one at a time is possible; `threads` is what the session says of its threads.
    """

    one: Callable[[str], int]
    many: Callable[[Sequence[str]], list[int]] | None = None
    threads: dict[str, Any] = field(default_factory=dict)


def bundled(folder: Path, threads: int) -> Work:
    """Load a bundle as work."""
    model = predict.load(folder, threads=threads)
    return Work(
        one=lambda text: int(predict.logits(model, text).argmax()),
        many=batch.many(model),
        threads=predict.thread_settings(model),
    )


def serve(orders: TextIO, replies: TextIO, opened: Callable[[Path, int], Work] = bundled) -> None:
    """Follow orders until the input ends or one says `leave`, each with one reply: `load` first, then whatever is to be measured.

    `opened` makes work of what `load` names: a bundle, or a workload that is known beforehand. `fork` lets a child follow the
    orders until it is to leave; it has imported everything already, and takes with it all that it has loaded.
    """
    _follow(_Hands(opened=opened), orders, replies)


def _follow(hands: _Hands, orders: TextIO, replies: TextIO) -> None:
    gc.disable()
    for line in orders:
        order = json.loads(line)
        if order["do"] == "leave":
            return
        if order["do"] == "fork":
            _send(replies, _forked(hands.opened, orders, replies))
            continue
        try:
            reply = hands.follow(order)
        except ParsimonyError as error:  # of this bundle: it is the last reply
            reply = {"refused": first_line(error, 300)}
        _send(replies, reply)
        if "refused" in reply:
            return


def _send(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def _forked(opened: Callable[[Path, int], Work], orders: TextIO, replies: TextIO) -> dict[str, Any]:
    """Let a child follow the orders, and return how it ended: the last line of its errors where it did not leave by itself."""
    with tempfile.TemporaryFile() as errors:
        parent, before = os.getpid(), memory.inherited()
        if (number := os.fork()) == 0:
            try:
                end_with_parent(parent)
                os.dup2(errors.fileno(), sys.stderr.fileno())
                hands = _Hands(opened=opened, inherited=before)
                _send(replies, {"forked": True})
                _follow(hands, orders, replies)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(1)
        _, status = os.waitpid(number, 0)
        if (code := os.waitstatus_to_exitcode(status)) == 0:
            return {"left": True}
        errors.seek(0)
        lines = errors.read()[-2_000:].decode("utf-8", "replace").strip().splitlines()
        return {"refused": (lines or [f"exit status {code}"])[-1][:300]}


@dataclass(slots=True, kw_only=True)
class _Hands:
    """What is held between two orders; `inherited` is None in a process that imported everything itself."""

    opened: Callable[[Path, int], Work]
    inherited: memory.Inherited | None = None
    work: Work | None = None
    texts: list[str] = field(default_factory=list)

    def follow(self, order: dict[str, Any]) -> dict[str, Any]:
        """Follow one order and return the reply."""
        if order["do"] == "load":
            self.work = self.opened(Path(order["bundle"]), order["threads"])
            self.texts = json.loads(Path(order["texts"]).read_text(encoding="utf-8"))
            return {**self.work.threads, "affinity": machine.affinity(), "batches": self.work.many is not None}
        if order["do"] == "import":
            return _imported()
        if order["do"] == "memory":
            before = self.inherited
            return {"peak_rss_bytes": memory.peak_rss_bytes_with(before) if before else memory.peak_rss_bytes()}
        if order["do"] == "peaks":
            return _peaks(order["threads"])
        if order["do"] not in _TIMED:
            raise ValueError(f"found the order {order['do']!r}, expected {_ORDERS}")
        if self.work is None:
            raise ValueError(f"found the order {order['do']!r} before 'load'")
        return _TIMED[order["do"]](self.work, self.texts, order)


def _predict(work: Work, texts: list[str], order: dict[str, Any]) -> dict[str, Any]:
    """Predict a stretch of the texts one at a time, each from raw text; durations in nanoseconds.

    The first `lead` of them are predicted before, untimed: they bring back what others pushed out of the caches.
    """
    stretch = texts[order["start"] : order["stop"]]
    for text in stretch[: order.get("lead", 0)]:
        work.one(text)
    classes, durations_ns = [], []
    before, begin = machine.waited_ns(), time.perf_counter_ns()
    for text in stretch:
        start = time.perf_counter_ns()
        number = work.one(text)
        durations_ns.append(time.perf_counter_ns() - start)
        classes.append(number)
    lasted_ns, after = time.perf_counter_ns() - begin, machine.waited_ns()
    waited_ns = None if before is None or after is None else after - before
    return {"classes": classes, "durations_ns": durations_ns, "lasted_ns": lasted_ns, "waited_ns": waited_ns}


def _batch(work: Work, texts: list[str], order: dict[str, Any]) -> dict[str, Any]:
    """Predict a stretch of the texts, `size` at once, and take the time of each batch in nanoseconds."""
    if work.many is None:
        raise ValueError("found the order 'batch' for a graph that takes one text at a time; ask for 'predict'")
    classes, durations_ns = [], []
    for first in range(order["start"], order["stop"], order["size"]):
        several = texts[first : min(first + order["size"], order["stop"])]
        start = time.perf_counter_ns()
        classes += work.many(several)
        durations_ns.append(time.perf_counter_ns() - start)
    return {"classes": classes, "durations_ns": durations_ns}


def _arrivals(work: Work, texts: list[str], order: dict[str, Any]) -> dict[str, Any]:
    """Serve texts that arrive at given times, in turn; a text that arrives while another is served waits.

    Arrivals are seconds from now. A response is counted from the moment at which its text was to arrive, so that a
    stall is felt by all who come meanwhile (no coordinated omission); a service from the moment at which it began.
    """
    responses_ns, services_ns = [], []
    begin = time.perf_counter_ns()
    for place, arrival_s in enumerate(order["arrivals_s"]):
        due = begin + int(arrival_s * 1e9)
        start = _wait_until(due)
        work.one(texts[place % len(texts)])
        end = time.perf_counter_ns()
        responses_ns.append(end - due)
        services_ns.append(end - start)
    return {"responses_ns": responses_ns, "services_ns": services_ns}


_TIMED = {"predict": _predict, "batch": _batch, "arrivals": _arrivals}


def _wait_until(due_ns: int) -> int:
    """Wait until this moment and return the moment that it then is."""
    while (now := time.perf_counter_ns()) < due_ns:
        if due_ns - now > _SLEEP_NS:
            time.sleep((due_ns - now - _SLEEP_NS) / 1e9)
    return now


def _imported() -> dict[str, Any]:
    """Import what predicts, so that a child that is forked afterwards has it."""
    import onnxruntime
    import tokenizers

    return {module.__name__: module.__version__ for module in (onnxruntime, tokenizers)}


def _peaks(threads: int) -> dict[str, Any]:
    from dataclasses import asdict

    from parsimony.measurement.roofline import peaks

    return asdict(peaks.here(threads))


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    serve(sys.stdin, sys.stdout)
