"""Reviews in MLflow, in Prefect and from two terminals at once: what each said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tinymodels import tables, write_csv

from parsimony.tasks.registry import review
from tests.drills.stage import MODEL, Row, Stage, after, said


def drill(stage: Stage) -> Iterator[Row]:
    """Let winners wait, and answer in every way."""
    yield from _in_mlflow(stage)
    yield from _at_once(stage)
    yield from _in_prefect(stage)


def _in_mlflow(stage: Stage) -> Iterator[Row]:
    version = _waits(stage, 11, "mlflow")
    _set(stage, version, review="perhaps")
    seconds, problem = after(lambda: _tags(stage, version).get("review_problem"))
    yield Row(what="MLflow, wrong answer first", shown=problem, seconds=seconds)
    _set(stage, version, review="approved", reviewer="ada", note="fine")
    seconds, _ = after(lambda: stage.model().aliases.get("champion") == version)
    yield Row(what="MLflow, approved", shown=_tags(stage, version)["note"], seconds=seconds)
    version = _waits(stage, 12, "mlflow")
    _set(stage, version, review="rejected", reviewer="bob", note="too rude")
    seconds, note = after(lambda: _tags(stage, version).get("reviewed_at") and _tags(stage, version)["note"])
    yield Row(what="MLflow, rejected", shown=note, seconds=seconds)
    version = _waits(stage, 13, "mlflow")
    _set(stage, version, review_until="2026-01-05T03:00:00+00:00")
    seconds, note = after(lambda: _tags(stage, version).get("reviewed_at") and _tags(stage, version)["note"])
    yield Row(what="MLflow, nobody in time", shown=note, seconds=seconds)


def _at_once(stage: Stage) -> Iterator[Row]:
    older = _waits(stage, 14, "mlflow")
    newer = _waits(stage, 15, "mlflow")
    yield Row(what="a newer challenger", shown=f"version {older}: {_tags(stage, older)['note']}")
    verbs = ("--approve", "--reviewer", "ada"), ("--reject", "--reviewer", "bob")
    started = [_review(stage, newer, *verb) for verb in verbs]
    lines = [" ".join(process.communicate()[0].split()) for process in started]
    yield Row(what="two reviewers at once", shown="; ".join(lines))


def _in_prefect(stage: Stage) -> Iterator[Row]:
    for seed, decision in ((16, "approve"), (17, "reject")):
        _data(stage, seed)
        run = stage.search(gates=_gates(stage, "prefect"))
        yield Row(what=f"Prefect, to {decision}: the run", shown=f"*{run['state_name']}*")
        reply = _resume(stage, run, {"decision": "perhaps", "reviewer": "ada", "note": ""})
        yield Row(what="Prefect, wrong answer first", shown=reply)
        for process in stage.processes("process worker"):
            process.kill()
        _resume(stage, run, {"decision": decision, "reviewer": "ada", "note": "read it"})
        ended = lambda run=run: (there := stage.rests(run["id"])) and there["state_type"] == "COMPLETED" and there  # noqa: E731
        seconds, state = after(ended)
        yield Row(what=f"Prefect, worker killed while it waited, then {decision}", shown=said(state), seconds=seconds)


def _resume(stage: Stage, run: dict[str, Any], answer: dict[str, str]) -> str:
    reply = stage.up.ask(f"/flow_runs/{run['id']}/resume", {"run_input": answer})
    return f"{reply['status']}: {reply['details'].get('reason') or 'taken'}"


def _gates(stage: Stage, approval: str) -> dict[str, Any]:
    plan = stage.up.deployment("smallest-model/on-demand")["parameters"]["plan"]
    return {**plan["gates"], "approval": approval}


def _data(stage: Stage, seed: int) -> None:
    write_csv(stage.up.folder / "train.csv", *tables(seed))


def _waits(stage: Stage, seed: int, approval: str) -> str:
    """Search on other data, and return the version that waits."""
    _data(stage, seed)
    run = stage.search(gates=_gates(stage, approval))
    there = review.waiting(stage.registry, MODEL)
    if there is None:
        raise RuntimeError(f"nothing waits: {said(run)}")
    return there.version


def _set(stage: Stage, version: str, **tags: str) -> None:
    for name, value in tags.items():
        stage.client.set_model_version_tag(MODEL, version, name, value)


def _tags(stage: Stage, version: str) -> dict[str, str]:
    tags: dict[str, str] = stage.client.get_model_version(MODEL, version).tags
    return tags


def _review(stage: Stage, version: str, *verb: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "parsimony.flows.cli.main", "review", MODEL, "--version", version, *verb]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": stage.up.mlflow,
        "PARSIMONY_HOME": str(stage.up.folder / "home"),
    }
    return subprocess.Popen(
        [*command, "--reason", "at once"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
