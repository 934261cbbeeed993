"""A process that holds one bundle and answers orders, one JSON object a line: the thing that is measured.

Run as `python -m parsimony.worker`. It imports what a serving container imports and nothing else.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from parsimony import bundle


def serve(orders: TextIO, answers: TextIO) -> None:
    """Answer orders until the input ends: first `load`, then `predict` ranges of the texts, then `memory`."""
    loaded: bundle.Loaded | None = None
    texts: list[str] = []
    gc.disable()
    for line in orders:
        order = json.loads(line)
        if order["do"] == "load":
            loaded = bundle.load(Path(order["bundle"]), threads=order["threads"])
            texts = json.loads(Path(order["texts"]).read_text(encoding="utf-8"))
            answer: dict[str, Any] = {"loaded": True}
        elif order["do"] == "memory":
            answer = {"peak_rss_bytes": peak_rss_bytes()}
        elif order["do"] != "predict":
            raise ValueError(f"found the order {order['do']!r}, expected load, predict or memory")
        elif loaded is None:
            raise ValueError("found the order 'predict' before 'load'")
        else:
            answer = _predict(loaded, texts[order["start"] : order["stop"]])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _predict(loaded: bundle.Loaded, texts: list[str]) -> dict[str, Any]:
    """Predict texts one at a time, each from raw text; durations in nanoseconds."""
    classes, durations_ns = [], []
    for text in texts:
        start = time.perf_counter_ns()
        number = int(bundle.logits(loaded, text).argmax())
        durations_ns.append(time.perf_counter_ns() - start)
        classes.append(number)
    return {"classes": classes, "durations_ns": durations_ns}


def peak_rss_bytes() -> int:
    """Return this process's peak resident memory; not its parent's, which getrusage would count after a fork."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in _lines(status):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _lines(path: Path) -> Iterator[str]:
    yield from path.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
