"""Reviews in MLflow, in Prefect and from two terminals at once: what each said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from tinymodels import tables, write_csv

from parsimony.tasks.registry import review
from tests.drills.stage import MODEL, Row, Stage, after, said


class Waiting(NamedTuple):
    """A version that waits for a person."""

    model: str
    version: str


def drill(stage: Stage) -> Iterator[Row]:
    """Let winners wait, and answer in every way; each of a model of its own, because a champion that still passes stays."""
    yield from _in_mlflow(stage)
    yield from _at_once(stage)
    yield from _in_prefect(stage)


def _in_mlflow(stage: Stage) -> Iterator[Row]:
    waiting = _waits(stage, "approved", seed=11)
    _set(stage, waiting, review="perhaps")
    seconds, problem = after(lambda: _tags(stage, waiting).get("review_problem"))
    yield Row(what="MLflow, wrong answer first", shown=problem, seconds=seconds)
    _set(stage, waiting, review="approved", reviewer="ada", note="fine")
    model = lambda: stage.client.get_registered_model(waiting.model)  # noqa: E731
    seconds, _ = after(lambda: model().aliases.get("champion") == waiting.version)
    yield Row(what="MLflow, approved", shown=_tags(stage, waiting)["note"], seconds=seconds)
    for name, seed, tags in (
        ("rejected", 12, {"review": "rejected", "reviewer": "bob", "note": "too rude"}),
        ("nobody in time", 13, {"review_until": "2026-01-05T03:00:00+00:00"}),
    ):
        seconds, note = _answered(stage, _waits(stage, name, seed=seed), tags)
        yield Row(what=f"MLflow, {name}", shown=note, seconds=seconds)


def _answered(stage: Stage, waiting: Waiting, tags: dict[str, str]) -> tuple[float, str]:
    """Set tags as a reviewer does; return how long it took until they were acted on, and the note."""
    _set(stage, waiting, **tags)
    seconds, _ = after(lambda: _tags(stage, waiting).get("reviewed_at"))
    return seconds, _tags(stage, waiting)["note"]


def _at_once(stage: Stage) -> Iterator[Row]:
    older, newer = (_waits(stage, "replaced", seed=seed) for seed in (14, 15))
    yield Row(what="a newer challenger", shown=f"version {older.version}: {_tags(stage, older)['note']}")
    verbs = ("--approve", "--reviewer", "ada"), ("--reject", "--reviewer", "bob")
    started = [_review(stage, newer, *verb) for verb in verbs]
    lines = [" ".join(process.communicate()[0].split()) for process in started]
    yield Row(what="two reviewers at once", shown="; ".join(lines))


def _in_prefect(stage: Stage) -> Iterator[Row]:
    for seed, decision in ((16, "approve"), (17, "reject")):
        run = _searched(stage, f"to {decision}", seed=seed, approval="prefect")
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
    ask = lambda: stage.up.ask(f"/flow_runs/{run['id']}/resume", {"run_input": answer})  # noqa: E731
    # Prefect keeps the form a moment after it has suspended the run.
    _, reply = after(lambda: (said := ask()) and "schema not found" not in str(said["details"]) and said)
    return f"{reply['status']}: {reply['details'].get('reason') or 'taken'}"


def _searched(stage: Stage, name: str, *, seed: int, approval: str) -> dict[str, Any]:
    """Search on other data for the model of this name, whose winner a person reviews; return the run, which rests."""
    write_csv(stage.up.folder / "train.csv", *tables(seed))
    gates = stage.up.deployment("smallest-model/on-demand")["parameters"]["plan"]["gates"]
    return stage.search(model=_model(name), gates={**gates, "approval": approval})


def _model(name: str) -> str:
    return f"{MODEL}-{name.replace(' ', '-')}"


def _waits(stage: Stage, name: str, *, seed: int) -> Waiting:
    """Search on other data, and return the version that waits for a review in MLflow."""
    run = _searched(stage, name, seed=seed, approval="mlflow")
    there = review.waiting(stage.registry, _model(name))
    if there is None:
        raise RuntimeError(f"nothing waits: {said(run)}")
    return Waiting(_model(name), there.version)


def _set(stage: Stage, waiting: Waiting, **tags: str) -> None:
    for name, value in tags.items():
        stage.client.set_model_version_tag(waiting.model, waiting.version, name, value)


def _tags(stage: Stage, waiting: Waiting) -> dict[str, str]:
    tags: dict[str, str] = stage.client.get_model_version(waiting.model, waiting.version).tags
    return tags


def _review(stage: Stage, waiting: Waiting, *verb: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "parsimony.flows.cli.main", "review", waiting.model, "--version", waiting.version]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": stage.up.mlflow,
        "PARSIMONY_HOME": str(stage.up.folder / "home"),
    }
    return subprocess.Popen(
        [*command, *verb, "--reason", "at once"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
