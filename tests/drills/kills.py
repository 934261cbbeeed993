"""A worker that is stopped, and a worker and a flow that are killed while they train."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.drills.stage import Row, Stage, after, said

PERIODS, PERIOD_S = 3, 20


def missed(stage: Stage) -> Iterator[Row]:
    """Stop the worker while three runs of a schedule become due, then let it go on."""
    worker = stage.processes("process worker")[0]
    worker.send_signal(signal.SIGSTOP)
    begun = datetime.now(UTC)
    moments = [begun + timedelta(seconds=15 + PERIOD_S * n) for n in range(PERIODS)]
    deployment = stage.up.schedule("smallest-model/weekly", moments)
    after(lambda: datetime.now(UTC) > moments[-1] and len(_due(stage, deployment, begun)) >= PERIODS)
    worker.send_signal(signal.SIGCONT)
    since = time.monotonic()
    runs = [stage.up.ended(run["id"]) for run in _due(stage, deployment, begun)]
    names = Counter(run["state_name"] for run in runs)
    stage.up.ask(f"/deployments/{deployment}", {"paused": True}, method="PATCH")
    yield Row(
        what=f"{PERIODS} runs due while it was stopped, until the last has ended",
        shown="; ".join(f"{count} {name}" for name, count in names.items()),
        seconds=time.monotonic() - since,
    )


def _due(stage: Stage, deployment: str, begun: datetime) -> list[dict[str, str]]:
    return [run for run in stage.up.due(deployment) if run["expected_start_time"] > begun.isoformat()]


def killed(stage: Stage) -> Iterator[Row]:
    """Kill worker and flow after an epoch, wait until the run is marked, and press Retry."""
    store = stage.up.folder / "home" / "checkpoints"
    run = stage.begin(search={"families": ["encoder"]}, training={"epochs": 40})
    after(lambda: len(_kept(store)) >= 2)
    for process in (*stage.processes("process worker"), *stage.processes("prefect.engine")):
        process.kill()
    before = _kept(store)
    seconds, state = after(lambda: (there := stage.rests(run["id"])) and there["state_name"] == "Crashed" and there)
    yield Row(what="until the run is marked", shown=said(state), seconds=seconds)
    queue = next(q for q in stage.up.ask("/work_pools/parsimony/queues/filter", {}) if q["name"] == "search")
    busy = stage.up.ask("/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}})
    yield Row(what="its place", shown=f"{busy} runs hold one of the {queue['concurrency_limit']} in the queue")
    stage.up.ask(
        f"/flow_runs/{run['id']}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    )
    seconds, there = after(lambda: stage.processes("prefect.engine") and min(_kept(store), default=0))
    yield Row(what="Retry, until its process is there", shown=f"checkpoints kept at steps {sorted(before)}; none below {there} is written again", seconds=seconds)  # fmt: skip
    seconds, state = after(lambda: (there := stage.rests(run["id"])) and there["state_type"] != "CRASHED" and there)
    yield Row(what="until it has ended", shown=said(state), seconds=seconds)


def _kept(store: object) -> set[int]:
    """Return the steps at which trainings in progress have whole checkpoints."""
    from pathlib import Path

    folders = Path(str(store)).glob("*/checkpoint-*/manifest.json")
    return {int(path.parent.name.removeprefix("checkpoint-")) for path in folders}
