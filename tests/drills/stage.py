"""The stage of the drills: a running `parsimony up`, its registry, and what they say."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
from servers_up import Up, family

from parsimony.tasks.registry.tracking import Registry

MODEL = "drill"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the page: what was done, what came of it, and the seconds until then."""

    what: str
    shown: str
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The servers, and the registry that they keep."""

    up: Up

    @property
    def registry(self) -> Registry:
        return Registry(tracking_uri=self.up.mlflow)

    @property
    def client(self) -> Any:
        import mlflow

        return mlflow.MlflowClient(self.up.mlflow)

    def model(self) -> Any:
        return self.client.get_registered_model(MODEL)

    def search(self, **changes: Any) -> dict[str, Any]:
        """Press the button, and return the run when it has ended or waits."""
        run = self.begin(**changes)
        return after(lambda: self.rests(run["id"]))[1]

    def begin(self, **changes: Any) -> dict[str, Any]:
        there = self.up.deployment("smallest-model/on-demand")
        plan = {**there["parameters"]["plan"], **changes}
        made: dict[str, Any] = self.up.ask(
            f"/deployments/{there['id']}/create_flow_run", {"parameters": {"plan": plan}}
        )
        return made

    def rests(self, run: str) -> dict[str, Any] | None:
        state: dict[str, Any] = self.up.ask(f"/flow_runs/{run}")
        return state if state["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED") else None

    def told(self, since: str) -> list[str]:
        """Return what the watcher has said in Prefect since a moment."""
        wanted = {"flow_runs": {"start_time": {"after_": since}}, "flows": {"name": {"any_": ["watch"]}}}
        return [f"{run['state_name']}: {run['state']['message']}" for run in self.up.ask("/flow_runs/filter", wanted)]

    def processes(self, word: str) -> list[psutil.Process]:
        return [p for p in family(self.up.folder / "home") if word in " ".join(p.cmdline())]


def after(what: Callable[[], Any], most_s: float = 1800.0) -> tuple[float, Any]:
    """Return how long it took until a look gives something, and what."""
    begun = time.monotonic()
    while time.monotonic() - begun < most_s:
        if there := what():
            return time.monotonic() - begun, there
        time.sleep(0.5)
    raise TimeoutError(f"nothing after {most_s:.0f} s")


def said(run: dict[str, Any]) -> str:
    """Return the state of a run in words."""
    return f"*{run['state_name']}*: {run['state']['message']}"
