"""A running `parsimony up`, as tests and drills use it: started as from a terminal, asked over HTTP, its processes counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

WAIT_S = 900  # on a machine that is busy with other tests


@dataclass(frozen=True, kw_only=True)
class Up:
    """A running `parsimony up`, its home, and its two addresses."""

    process: subprocess.Popen[str]
    folder: Path
    prefect: str
    mlflow: str

    def ask(self, path: str, body: object = None, *, method: str | None = None) -> Any:
        data = None if body is None and method is None else json.dumps(body or {}, default=str).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.prefect}/api{path}", data, headers, method=method)
        for _ in range(30):
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    said = reply.read()
                return json.loads(said) if said else None
            except urllib.error.HTTPError as error:
                if (
                    error.code != 503
                ):  # Prefect's word for a SQLite file that another request writes; its client asks again
                    raise
                time.sleep(1.0)
        raise AssertionError(f"{path} was busy for half a minute")

    def deployment(self, name: str) -> dict[str, Any]:
        said: dict[str, Any] = self.ask(f"/deployments/name/{name}")
        return said

    def press(self, **changes: Any) -> dict[str, Any]:
        """Press the button of the search, and return the run when it has ended."""
        deployment = self.deployment("smallest-model/on-demand")
        plan = {**deployment["parameters"]["plan"], **changes}
        run = self.ask(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"plan": plan}})
        return self.ended(run["id"])

    def ended(self, run: str) -> dict[str, Any]:
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            state: dict[str, Any] = self.ask(f"/flow_runs/{run}")
            if state["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return state
            time.sleep(0.5)
        raise AssertionError(f"{state['name']} is {state['state_name']} after {WAIT_S} s: {self.log(run)}")

    def schedule(self, name: str, moments: list[datetime]) -> str:
        """Let a deployment run at these moments, and return its id."""
        deployment: str = self.deployment(name)["id"]
        schedules = [
            {
                "active": True,
                "slug": f"at-{at:%H%M%S}",
                "schedule": {"interval": 86400.0, "anchor_date": at.isoformat()},
            }
            for at in moments
        ]
        self.ask(f"/deployments/{deployment}/schedules", schedules)
        return deployment

    def due(self, deployment: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment's schedules that were due, the oldest first."""
        wanted = {
            "flow_runs": {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}},
            "deployments": {"id": {"any_": [deployment]}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return [run for run in self.ask("/flow_runs/filter", wanted) if run["auto_scheduled"]]

    def log(self, run: str) -> str:
        lines = self.ask("/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
        return "\n".join(line["message"] for line in lines)


def family(home: Path) -> list[psutil.Process]:
    """Return every process that works for this home."""
    there = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PARSIMONY_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                there.append(process)
        except psutil.Error:
            continue
    return there


def start(folder: Path, *arguments: str) -> Up:
    """Start `parsimony up` as from a terminal, and wait until it says where the servers are."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment |= {"PARSIMONY_HOME": str(folder / "home"), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    environment["PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS"] = "5"  # 60 by itself
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "parsimony.flows.cli.main",
            "up",
            *arguments,
            "--prefect-port",
            "0",
            "--mlflow-port",
            "0",
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(3)]
    assert said[0] == "parsimony is up; Ctrl-C ends it\n", said
    return Up(process=process, folder=folder, prefect=said[1].split()[1], mlflow=said[2].split()[1])


def until(what: Callable[[], Any], every_s: float = 0.3) -> Any:
    """Return what a look gives as soon as it gives something."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if there := what():
            return there
        time.sleep(every_s)
    raise AssertionError(f"nothing after {WAIT_S} s: {what()}")
