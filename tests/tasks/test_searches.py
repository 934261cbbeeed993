"""A search in MLflow while it works and when it ends badly, on a real MLflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_registry import MODEL, decision_on, put_into_production, registry, template_database

from parsimony.flows.plan import Plan, flat
from parsimony.tasks.registry import searches
from parsimony.tasks.registry.searches import Search
from parsimony.tasks.registry.tracking import Registry, connected, record

__all__ = ["registry", "template_database"]  # fixtures
pytestmark = pytest.mark.slow

PLAN = Plan(model=MODEL, data={"train": "/data/train.csv", "text": "text", "label": "label"})  # type: ignore[arg-type]


def search(run_id: str) -> Search:
    return Search(model=MODEL, run_id=run_id, plan=flat(PLAN.model_dump()), tags={"environment.cpu": "Example CPU"})


def runs(registry: Registry) -> dict[str, tuple[str, str]]:
    """Return status and reason of every run by its name."""
    with connected(registry) as client:
        experiment = client.get_experiment_by_name(MODEL)
        return {
            run.info.run_name: (run.info.status, run.data.tags.get("reason", ""))
            for run in client.search_runs([experiment.experiment_id])
        }


def test_a_plan_is_flat_with_a_key_for_each_value() -> None:
    values = flat(PLAN.model_dump())
    assert (values["model"], values["gates.margin"], values["targets.0.threads"]) == (MODEL, 0.01, 1)
    assert values["search.families"] == "linear, static, student, encoder"
    assert "data.test" not in values


def test_a_search_is_there_from_its_beginning_and_its_decision_goes_on_with_the_same_runs(
    registry: Registry, tmp_path: Path
) -> None:
    decision = decision_on(tmp_path, "small")
    begun = search(decision.run_id)
    searches.begin(registry, begun)
    assert runs(registry) == {"run-small": ("RUNNING", "")}
    searches.describe_data(registry, begun, decision.dataset, ("/data/train.csv", "/data/test.csv"))
    searches.begin_candidates(registry, begun, ["small"])
    searches.begin_candidates(registry, begun, ["small"])
    assert runs(registry) == {"run-small": ("RUNNING", ""), "small": ("RUNNING", "")}
    recorded = record(registry, decision, tags={})
    with connected(registry) as client:
        parent, child = client.get_run(recorded.run_id), client.get_run(recorded.of("small"))
    assert (parent.info.status, child.info.status, len(runs(registry))) == ("FINISHED", "FINISHED", 2)
    assert (
        parent.data.params.items()
        >= {"data.train": "/data/train.csv", "gates.margin": "0.01", "training.epochs": "5"}.items()
    )
    assert parent.data.tags["environment.cpu"] == "Example CPU"
    sources = {
        i.dataset.name: json.loads(i.dataset.source)["uri"]
        for i in (*parent.inputs.dataset_inputs, *child.inputs.dataset_inputs)
    }
    assert sources == {
        f"{MODEL}-train": "/data/train.csv", f"{MODEL}-validation": "/data/train.csv", f"{MODEL}-test": "/data/test.csv",
    }  # fmt: skip


def test_a_search_that_fails_or_is_killed_says_so_with_the_reason_and_one_that_is_finished_stays(
    registry: Registry, tmp_path: Path
) -> None:
    finished = decision_on(tmp_path, "done")
    record(registry, finished, tags={})
    for name, ending in (("one", "FAILED"), ("two", "KILLED")):
        searches.begin(registry, search(name))
        searches.begin_candidates(registry, search(name), [f"{name}-candidate"])
        searches.end(registry, MODEL, name, ending, f"DataError: broken\n{name}")  # type: ignore[arg-type]
    searches.end(registry, MODEL, finished.run_id, "FAILED", "late")
    assert runs(registry) == {
        "one": ("FAILED", "DataError: broken one"),
        "one-candidate": ("FAILED", "DataError: broken one"),
        "two": ("KILLED", "DataError: broken two"),
        "two-candidate": ("KILLED", "DataError: broken two"),
        "run-done": ("FINISHED", runs(registry)["run-done"][1]),
        "done": ("FINISHED", runs(registry)["done"][1]),
    }
    assert "late" not in str(runs(registry))


def test_an_mlflow_that_is_gone_does_not_hide_why_a_search_ended(tmp_path: Path) -> None:
    gone = Registry(tracking_uri=f"sqlite:///{tmp_path / 'no' / 'folder' / 'mlflow.db'}")
    searches.end(gone, MODEL, "one", "FAILED", "the first error")


def test_model_and_journal_say_what_they_are(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, replace(decision_on(tmp_path, "small")))
    with connected(registry) as client:
        said = {name: client.get_registered_model(name).description for name in (MODEL, f"{MODEL}.promotions")}
    assert said[MODEL].startswith(f"The smallest models for {MODEL} that provably kept the quality")
    assert said[f"{MODEL}.promotions"].startswith(
        f"A record, not a model: who put which version of {MODEL} into production"
    )
