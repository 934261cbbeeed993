"""What starts a search: content that has changed, once, and not while it is still written."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from parsimony.flows.plan import Plan

pytestmark = [pytest.mark.slow, pytest.mark.flow]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_backend: None) -> Plan:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    (tmp_path / "train").mkdir()
    write(tmp_path / "train" / "a.csv", "text,label\nhello,a\n")
    return Plan.model_validate(
        {
            "model": tmp_path.name[:60].lower(),
            "data": {"train": str(tmp_path / "train"), "text": "text", "label": "label"},
        }
    )


def write(path: Path, content: str, age_s: float = 3_600.0) -> None:
    path.write_text(content, encoding="utf-8")
    then = time.time() - age_s
    os.utime(path, (then, then))


def looked(plan: Plan, **more: Any) -> tuple[str, str]:
    from parsimony.flows.triggers import new_data

    state = new_data(plan, return_state=True, **more)
    return str(state.name), str(state.message)


def searches(plan: Plan) -> int:
    from prefect.client.orchestration import get_client

    async def count() -> int:
        async with get_client() as client:
            runs = await client.read_flow_runs(limit=200)
        return sum(
            "plan" in run.parameters and run.deployment_id is not None and run.parameters["plan"]["model"] == plan.model
            for run in runs
        )

    return asyncio.run(count())


def test_content_that_has_changed_starts_one_search(plan: Plan) -> None:
    from parsimony.flows.servers.deployments import deploy

    asyncio.run(deploy(None))
    train = Path(plan.data.train)
    assert looked(plan)[0] == "First look"
    assert looked(plan)[0] == "Unchanged"
    os.utime(train / "a.csv", (1e9, 1e9))  # another moment is no other content
    assert looked(plan)[0] == "Unchanged"
    write(train / "b.csv", "text,label\nrain,b\n")
    name, message = looked(plan)
    assert name == "Changed"
    assert f"The data of {plan.model} have changed. A search was started: " in message
    assert searches(plan) == 1
    next((Path(os.environ["PARSIMONY_HOME"]) / "looks").iterdir()).write_text(
        '{"digest": "as before"}', encoding="utf-8"
    )
    assert looked(plan)[0] == "Changed"  # as after a look that died before it was written down
    assert searches(plan) == 1


def test_a_file_that_is_still_written_waits_for_the_next_look(plan: Plan) -> None:
    assert looked(plan, search=False)[0] == "First look"
    write(Path(plan.data.train) / "b.csv", "text,label\nra", age_s=1.0)
    assert looked(plan, search=False)[0] == "Not yet"
    write(Path(plan.data.train) / "b.csv", "text,label\nrain,b\n")
    assert looked(plan, search=False) == ("Changed", f"The data of {plan.model} have changed.")


def test_data_that_are_not_there_are_refused_by_name(plan: Plan) -> None:
    gone = plan.model_copy(update={"data": plan.data.model_copy(update={"train": plan.data.train + "-gone"})})
    name, message = looked(gone, search=False)
    assert name == "Refused: data"
    assert f"{gone.data.train}: no such file" in message
