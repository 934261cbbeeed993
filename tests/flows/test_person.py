"""What a person does, in a real browser: starts a search in Prefect, reads in MLflow what changed, approves it, and goes back.

`make screenshots` keeps the pages as pictures for the documentation; then everything lies below /srv/parsimony, which names no machine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsers import opened, submit
from servers_up import WAIT_S, Up, start, until
from tinymodels import PLAN_HEAD, tables, write_csv, write_tiny_base

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.long, pytest.mark.browser]

SHOTS, STAGE = "PARSIMONY_SCREENSHOTS", Path("/srv/parsimony")
MODEL = "intents"
PLAN = f"""{PLAN_HEAD.replace('"tiny"', f'"{MODEL}"')}[search]
families = ["linear"]
[gates]
margin = 0.3
slice_margin = 0.3
champion_margin = 0.3
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Start everything on a plan, with yesterday's data and today's."""
    folder = STAGE if os.environ.get(SHOTS) else tmp_path_factory.mktemp("person")
    write_tiny_base(folder / "base")
    parts = tables()
    write_csv(folder / "train.csv", *parts)
    write_csv(folder / "today.csv", *parts, tables(seed=1)[0].take(tuple(range(24))))
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    running = start(folder, "plan.toml")
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture(scope="module")
def page(up: Up) -> Iterator[Page]:
    """Open a browser's page; the first champion is there, from a search on yesterday's data."""
    first = up.press(search={"families": ["encoder"]}, training={"epochs": 2})
    assert first["state_name"] == "Promoted", up.log(first["id"])
    with opened(wait_s=WAIT_S, motion="reduce") as there:
        yield there


def shot(page: Page, name: str) -> None:
    """Keep the page as a picture, where pictures are wanted."""
    if folder := os.environ.get(SHOTS):
        page.screenshot(path=Path(folder) / f"{name}.png")


def without_assistant(page: Page) -> None:
    """Close what MLflow opens beside every page for a newcomer."""
    close = page.locator('[data-component-id="mlflow.assistant.chat_panel.close"]')
    if close.count():
        close.click()
        close.wait_for(state="hidden")


def pressed(up: Up, name: str) -> dict[str, Any]:
    """Return the newest run of a deployment once there is one that has not ended."""
    there: str = up.deployment(name)["id"]
    wanted = {"deployments": {"id": {"any_": [there]}}, "sort": "EXPECTED_START_TIME_DESC"}
    runs = until(lambda: [run for run in up.ask("/flow_runs/filter", wanted) if not run["end_time"]])
    return dict(runs[0])


@pytest.fixture(scope="module")
def asked(up: Up, page: Page) -> dict[str, Any]:
    """Fill in the form for today's data, with an approval in MLflow, press the button, and return the run when it has ended."""
    button = "smallest-model/on-demand"
    page.goto(f"{up.prefect}/v2/deployments/deployment/{up.deployment(button)['id']}/run")
    page.get_by_label("Train", exact=True).fill(str(up.folder / "today.csv"))
    approval = page.get_by_label("Select Approval", exact=True)
    approval.click()
    page.get_by_role("option", name="mlflow").click()
    page.get_by_role("listbox").wait_for(state="hidden")
    assert approval.inner_text() == "mlflow"
    page.get_by_label("Label", exact=True).scroll_into_view_if_needed()
    page.mouse.wheel(0, -10_000)
    shot(page, "prefect-form")
    submit(page)
    run = pressed(up, button)
    page.goto("about:blank")  # a page that follows the run takes as much of a core as the run
    return up.ended(run["id"])


def test_the_run_passes_its_stages_and_waits_for_a_person(up: Up, page: Page, asked: dict[str, Any]) -> None:
    assert asked["state_name"] == "Waiting for review", up.log(asked["id"])
    page.goto(f"{up.prefect}/v2/runs/flow-run/{asked['id']}")
    page.get_by_text("Waiting for review").first.wait_for()
    page.get_by_role("tab", name="Task Runs").click()
    page.get_by_text("publish: waiting").first.wait_for()
    assert "certify on the test split" in page.inner_text("body")
    page.mouse.wheel(0, 400)
    shot(page, "prefect-run")
    log = up.log(asked["id"])
    stages = ("validate", "evaluate", "measure", "certify", "publish")
    assert [log.index(f"{stage} ") for stage in stages] == sorted(log.index(f"{stage} ") for stage in stages)
    assert asked["name"].startswith(f"{MODEL}, 264 rows, ")
    page.goto(f"{up.prefect}/v2/runs?tab=flow-runs")
    page.get_by_text(asked["name"]).first.wait_for()


def test_the_report_says_what_won_and_leads_to_the_version(up: Up, page: Page, asked: dict[str, Any]) -> None:
    made = up.ask("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [asked["id"]]}}})
    [report] = [artifact for artifact in made if artifact["key"] == f"decision-{MODEL}"]
    page.goto(f"{up.prefect}/v2/artifacts/artifact/{report['id']}")
    link = page.get_by_role("link", name="version 2").first
    link.wait_for()
    assert " waits for review: " in page.inner_text("body")
    assert link.get_attribute("href") == f"{up.mlflow}/#/models/{MODEL}/versions/2"
    shot(page, "prefect-report")
    page.locator("summary", has_text="The whole report").click()  # the raw text beside it has the same words
    page.get_by_text("test rows, accuracy is", exact=False).first.wait_for()


def test_a_person_reads_what_changes_and_approves_it_in_mlflow(up: Up, page: Page, asked: dict[str, Any]) -> None:
    assert asked["state_type"] == "COMPLETED"
    page.goto(f"{up.mlflow}/#/models/{MODEL}/versions/2")
    page.get_by_text("test rows, accuracy is", exact=False).first.wait_for()
    without_assistant(page)
    assert re.search(r"On the same \d+ test rows, accuracy is", page.inner_text("body"))
    shot(page, "mlflow-version")
    for name, value in (("reviewer", "ada"), ("note", "fine on our hard cases"), ("review", "approved")):
        tagged(page, name, value)
    until(lambda: aliases(up).get("champion") == "2")
    page.reload()
    page.get_by_text("approved by ada", exact=False).first.wait_for()
    assert "champion" in page.inner_text("body")
    shot(page, "mlflow-approved")


def test_a_person_goes_back_with_the_form_of_the_rollback(up: Up, page: Page, asked: dict[str, Any]) -> None:
    assert asked["state_type"] == "COMPLETED" and aliases(up)["champion"] == "2"
    button = "rollback/on-demand"
    page.goto(f"{up.prefect}/v2/deployments/deployment/{up.deployment(button)['id']}/run")
    page.get_by_label("model", exact=True).fill(MODEL)
    page.get_by_label("reason", exact=True).fill("it fails on travel")
    shot(page, "prefect-rollback")
    submit(page)
    run = up.ended(pressed(up, button)["id"])
    assert run["state_name"] == "Rolled back", up.log(run["id"])
    assert run["state"]["message"] == f"Version 1 of {MODEL} is in production: it fails on travel"
    page.goto(f"{up.prefect}/v2/runs/flow-run/{run['id']}")
    page.get_by_text("Rolled back").first.wait_for()
    assert aliases(up)["champion"] == "1"


def tagged(page: Page, name: str, value: str) -> None:
    """Set a tag on the page of a version: edit it where it is there, else add it."""
    row = page.locator(f'tr[data-row-key="{name}"]')
    if row.count():
        row.get_by_test_id("editable-table-button-edit").click()
        row.locator("input, textarea").first.fill(value)
        row.get_by_test_id("editable-table-button-save").click()
        row.get_by_text(value, exact=True).wait_for()
        return
    page.get_by_placeholder("Name").fill(name)
    page.get_by_placeholder("Value").fill(value)
    page.get_by_role("button", name="Add", exact=True).click()
    page.locator(f'tr[data-row-key="{name}"]').get_by_text(value, exact=True).wait_for()


def aliases(up: Up) -> dict[str, str]:
    """Return which version each alias names."""
    import mlflow

    return {str(k): str(v) for k, v in mlflow.MlflowClient(up.mlflow).get_registered_model(MODEL).aliases.items()}
