"""`parsimony up` as a user has it: real servers, a real worker, real runs; one for the whole file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from browsers import opened, submit
from servers_up import WAIT_S, Up, family, start, until
from tinymodels import SHORT_PLAN, tables, write_csv, write_tiny_base

from parsimony.flows.cli.main import main
from parsimony.flows.servers import deployments

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *tables())
    (folder / "plan.toml").write_text(SHORT_PLAN, encoding="utf-8")
    running = start(folder, "plan.toml")
    yield running
    running.process.kill()
    running.process.wait()


def status(address: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_both_pages_answer_under_names_of_this_machine_alone(up: Up) -> None:
    for address in (f"{up.prefect}/v2/", f"{up.mlflow}/api/2.0/mlflow/experiments/get?experiment_id=0"):
        assert status(address) == 200
        assert status(address.replace("127.0.0.1", "localhost")) == 200
        assert status(address, Host="rebound.example") in (400, 403)


def test_a_second_up_is_harmless_and_says_where_the_first_one_is(
    up: Up, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(up.folder / "home"))
    before = {process.pid for process in family(up.folder / "home")}
    assert main(["up"]) == 0
    said = capsys.readouterr().out
    assert f"runs already (process {up.process.pid})" in said and up.prefect in said and up.mlflow in said
    assert {process.pid for process in family(up.folder / "home")} >= before


def test_a_port_that_another_program_has_is_named(
    up: Up, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path))
    port = up.mlflow.rpartition(":")[2]
    assert main(["up", "--prefect-port", "0", "--mlflow-port", port]) == 4
    said = capsys.readouterr().err
    assert f"port {port}" in said and "choose another port with --mlflow-port" in said


def test_a_schedule_fires_and_promotes_and_says_so_at_a_glance(up: Up) -> None:
    deployment = up.schedule("smallest-model/weekly", [datetime.now(UTC) + timedelta(seconds=25)])
    [due] = until(lambda: up.due(deployment))
    run = up.ended(due["id"])
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Promoted"), up.log(run["id"])
    assert "goes into production" in run["state"]["message"]
    assert run["name"].startswith("tiny, 240 rows, ") and run["name"].endswith("B")
    log = up.log(run["id"])
    assert "validate 4 labels; 120 rows to train" in log and "left)" in log and "Traceback" not in log
    artifacts = {
        a["key"]: a for a in up.ask("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    }
    assert artifacts["progress-tiny"]["data"] == 100.0
    front, _, rest = artifacts["decision-tiny"]["data"].partition("<details>")
    assert len([line for line in front.splitlines() if line]) == 5
    assert f"]({up.mlflow}/#/models/tiny/versions/1)" in front and "## The ladder" in rest
    wanted = {"filter": {"event": {"prefix": ["parsimony.champion"]}}}
    events = until(lambda: up.ask("/events/filter", wanted)["events"])  # the server writes them down after a moment
    assert [event["event"] for event in events] == ["parsimony.champion.promoted"]
    assert _leads_back(up) == {f"{up.prefect}/runs/flow-run/{run['id']}"}


def _leads_back(up: Up) -> set[str]:
    """Return the pages in Prefect to which the runs in MLflow lead."""
    import mlflow

    client = mlflow.MlflowClient(up.mlflow)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    return {run.data.tags["prefect.flow_run_url"] for run in client.search_runs([experiment.experiment_id])}


@pytest.mark.browser
def test_a_person_fills_the_form_and_sees_the_decision(up: Up, tmp_path: Path) -> None:
    """The plan is the one that was decided: the champion is kept, nothing is searched, and the page says so."""
    checkpoints = up.folder / "home" / "checkpoints"
    before = {path: path.stat().st_mtime_ns for path in checkpoints.iterdir()}
    with opened(height=2400, wait_s=WAIT_S) as page:
        page.goto(f"{up.prefect}/v2/deployments/deployment/{up.deployment('smallest-model/on-demand')['id']}/run")
        page.get_by_text("The pretrained models to start from.").first.wait_for()
        form = page.inner_text("body")
        assert form.index("Model\n") < form.index("Train\n") < form.index("Text\n") < form.index("Label\n")
        assert form.index("Label\n") < form.index("Test (Optional)") < form.index("Bases (Optional)")
        assert "Seed" not in form  # the tables that the plan leaves out are folded
        page.screenshot(path=tmp_path / "form.png")
        submit(page)
        [pressed] = until(lambda: [run for run in up.ask("/flow_runs/filter", {}) if _on(up, run)])
        run = up.ended(pressed["id"])
        page.goto(f"{up.prefect}/v2/runs/flow-run/{run['id']}")
        page.get_by_text("Kept: unchanged").first.wait_for()
        page.screenshot(path=tmp_path / "run.png")
    assert run["state_name"] == "Kept: unchanged", up.log(run["id"])
    assert "version 1" in run["state"]["message"]
    assert {path: path.stat().st_mtime_ns for path in checkpoints.iterdir()} == before


def _on(up: Up, run: dict[str, Any]) -> bool:
    """Say whether a run was started by the button of the search."""
    button: str = up.deployment("smallest-model/on-demand")["id"]
    return run["deployment_id"] == button


def test_a_refusal_is_one_line_and_no_crash(up: Up) -> None:
    (up.folder / "one.csv").write_text("text,label\n" + "".join(f"row {i},same\n" for i in range(50)), "utf-8")
    data = {"train": str(up.folder / "one.csv"), "text": "text", "label": "label"}
    run = up.press(data=data)
    assert (run["state_type"], run["state_name"]) == ("FAILED", "Refused: data")
    assert "one.csv" in run["state"]["message"] and "\n" not in run["state"]["message"]
    log = up.log(run["id"])
    assert "Traceback" not in log and "unexpected exception" not in log
    assert run["name"].endswith("refused: data")


def test_of_missed_runs_the_newest_follows_and_the_others_say_so(up: Up) -> None:
    [queue] = [q for q in up.ask("/work_pools/parsimony/queues/filter", {}) if q["name"] == "search"]
    address = f"/work_pools/parsimony/queues/{queue['name']}"
    up.ask(address, {"is_paused": True}, method="PATCH")  # as if no worker were there
    begun = datetime.now(UTC)
    deployment = up.schedule("smallest-model/weekly", [begun + timedelta(seconds=s) for s in (25, 26, 27)])
    until(lambda: len(up.due(deployment)) == 4)
    up.ask(address, {"is_paused": False}, method="PATCH")
    runs = [up.ended(run["id"]) for run in up.due(deployment) if run["expected_start_time"] > begun.isoformat()]
    assert [run["state_name"] for run in runs] == ["Skipped", "Skipped", "Kept: unchanged"]
    assert all("follows instead" in run["state"]["message"] for run in runs[:2])


def test_an_alias_that_is_deleted_by_hand_is_healed_and_both_pages_say_so(up: Up) -> None:
    import mlflow

    client = mlflow.MlflowClient(up.mlflow)
    client.delete_registered_model_alias("tiny", "champion")
    until(lambda: "champion" in client.get_registered_model("tiny").aliases)
    [run] = until(lambda: [run for run in up.ask("/flow_runs/filter", {}) if run["state_name"] == "Mended"])
    told = "the alias champion of tiny named nothing and follows the journal again, to version 1"
    assert (run["name"], run["state"]["message"]) == ("tiny: done", told)
    assert client.get_registered_model("tiny").tags["alarm"].endswith(told)
    wanted = {"filter": {"event": {"prefix": ["parsimony.alias"]}}}
    assert [event["payload"]["lines"] for event in until(lambda: up.ask("/events/filter", wanted)["events"])] == [
        [told]
    ]


FIELDS = ("entrypoint", "description", "tags", "work_pool_name", "work_queue_name", "enforce_parameter_schema")
MORE = ("parameter_openapi_schema", "concurrency_limit", "job_variables")


def test_prefect_deploy_sets_up_the_same_deployments(up: Up) -> None:
    names = [f"{d['flow']}/{d['name']}" for d in _listed(up)]
    before = {name: up.deployment(name) for name in names}
    environment = {**os.environ, "PREFECT_API_URL": f"{up.prefect}/api"}
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    after = {name: up.deployment(name) for name in names}
    assert len(names) == len(deployments.listed())
    for name in names:
        assert _shown(before[name]) == _shown(after[name])
        shipped = [(s["slug"], s["active"]) for s in after[name]["schedules"]]
        assert set(shipped) <= {(s["slug"], s["active"]) for s in before[name]["schedules"]}


def _shown(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return what a person sees of a deployment; a form without parameters may say that it defines nothing."""
    schema = {
        key: value
        for key, value in deployment["parameter_openapi_schema"].items()
        if (key, value) != ("definitions", {})
    }
    return {f: deployment[f] for f in FIELDS + MORE} | {"parameter_openapi_schema": schema}


def _listed(up: Up) -> list[dict[str, Any]]:
    flows = {flow["id"]: flow["name"] for flow in up.ask("/flows/filter", {})}
    return [{**d, "flow": flows[d["flow_id"]]} for d in up.ask("/deployments/filter", {})]


def test_nothing_is_left_of_an_up_that_is_killed_and_nothing_of_one_that_ctrl_c_ends(up: Up) -> None:
    home = up.folder / "home"
    up.ask(f"/deployments/{up.deployment('reconcile/every-minute')['id']}/create_flow_run", {})
    until(lambda: [p for p in family(home) if "prefect.engine" in " ".join(p.cmdline())])
    up.process.kill()
    _assert_gone(home)
    again = start(up.folder)
    assert again.deployment("smallest-model/on-demand")
    again.process.send_signal(signal.SIGINT)
    assert again.process.wait(timeout=30) == 130
    _assert_gone(home)


def _assert_gone(home: Path) -> None:
    until(lambda: not family(home))
