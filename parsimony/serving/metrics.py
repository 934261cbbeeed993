"""What a server counts, in Prometheus' text format. Processes of one server add up what each of them has counted."""

from __future__ import annotations

import json
import os
import resource
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from parsimony.files import write_json

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


@dataclass(slots=True, kw_only=True)
class Counts:
    """What one process has counted since it started."""

    requests: Counter[str] = field(default_factory=Counter)  # "endpoint status"
    predictions: Counter[str] = field(default_factory=Counter)  # label
    durations: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    seconds: float = 0.0
    swaps: int = 0
    refused_bundles: int = 0

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests[f"{endpoint} {status}"] += 1
        self.durations[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds += seconds

    def publish(self, folder: Path) -> None:
        """Write what was counted to where the other processes read it."""
        write_json(folder / f"{os.getpid()}.json", self._plain())

    def _plain(self) -> dict[str, object]:
        return {
            "requests": dict(self.requests), "predictions": dict(self.predictions), "durations": self.durations,
            "seconds": self.seconds, "swaps": self.swaps, "refused_bundles": self.refused_bundles,
        }  # fmt: skip

    def with_others(self, folder: Path | None) -> Counts:
        """Return the sum of what this process counts and what the others have published."""
        total = Counts()
        total.add(self._plain())
        for path in folder.glob("*.json") if folder is not None else ():
            if path.stem != str(os.getpid()):
                with suppress(OSError, ValueError):  # it ended, and its file with it
                    total.add(json.loads(path.read_text(encoding="utf-8")))
        return total

    def add(self, said: dict[str, object]) -> None:
        """Add what a process has counted."""
        self.requests.update(said["requests"])  # type: ignore[call-overload]
        self.predictions.update(said["predictions"])  # type: ignore[call-overload]
        self.durations = [mine + theirs for mine, theirs in zip(self.durations, said["durations"], strict=True)]  # type: ignore[call-overload]
        self.seconds += float(said["seconds"])  # type: ignore[arg-type]
        self.swaps += int(said["swaps"])  # type: ignore[call-overload]
        self.refused_bundles += int(said["refused_bundles"])  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What holds now: the model, its queue, and what is known of production; `followed_s`: since when it was not looked up."""

    model: str
    version: str
    digest: str
    waiting_texts: int
    is_refused: bool
    followed_s: float | None


def text(counts: Counts, state: State) -> bytes:
    """Return everything as Prometheus reads it."""
    return "".join(f"{line}\n" for line in _lines(counts, state)).encode()


def _lines(counts: Counts, state: State) -> Iterator[str]:
    yield from _family("parsimony_requests_total", "counter", "Requests by endpoint and status.")
    for key, number in sorted(counts.requests.items()):
        endpoint, status = key.rsplit(" ", 1)
        yield f"parsimony_requests_total{_labels(endpoint=endpoint, status=status)} {number}"
    yield from _histogram(counts.durations, counts.seconds)
    yield from _family("parsimony_predictions_total", "counter", "Texts by predicted label.")
    for label, number in sorted(counts.predictions.items()):
        yield f"parsimony_predictions_total{_labels(label=label)} {number}"
    about = _labels(model=state.model, version=state.version, digest=state.digest)
    yield from _gauge("parsimony_model_info", "The model that is served.", 1, about)
    yield from _gauge(
        "parsimony_waiting_texts", "Texts that wait for their prediction in this process.", state.waiting_texts
    )
    yield from _family("parsimony_swaps_total", "counter", "Changes of the bundle while serving.")
    yield f"parsimony_swaps_total {counts.swaps}"
    yield from _family("parsimony_refused_bundles_total", "counter", "Bundles that were named and not used.")
    yield f"parsimony_refused_bundles_total {counts.refused_bundles}"
    yield from _gauge(
        "parsimony_bundle_refused", "1 while another bundle than the one named is served.", int(state.is_refused)
    )
    if state.followed_s is not None:
        yield from _gauge(
            "parsimony_followed_seconds", "Seconds since production was looked up.", round(state.followed_s, 3)
        )
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield from _gauge("parsimony_resident_bytes_max", "Most memory that this process has held.", resident)


def _family(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


def _gauge(name: str, about: str, value: float, labels: str = "") -> tuple[str, ...]:
    return (*_family(name, "gauge", about), f"{name}{labels} {value}")


def _histogram(durations: Sequence[int], seconds: float) -> Iterator[str]:
    name, total = "parsimony_request_seconds", 0
    yield from _family(name, "histogram", "Seconds from the request's first byte in this program to its last.")
    for bound, number in zip((*map(str, BUCKETS_S), "+Inf"), durations, strict=True):
        total += number
        yield f'{name}_bucket{{le="{bound}"}} {total}'
    yield f"{name}_sum {seconds:.6f}"
    yield f"{name}_count {total}"


def _labels(**values: str) -> str:
    """Return labels as the format escapes them."""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, value in values.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}"
