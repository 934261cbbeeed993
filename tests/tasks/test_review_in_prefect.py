"""A winner that is reviewed in Prefect: a real server with a form, restarted while the run waits, and an answer from elsewhere."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bundles import write_tiny_bundle
from prefect import flow
from prefect.runtime import flow_run
from test_registry import MODEL, decide, judged_pass, put_into_production, registered

from parsimony.flows import settings
from parsimony.flows.plan import Plan
from parsimony.flows.stages import review as stage
from parsimony.tasks.publish import Published
from parsimony.tasks.registry import holds, review
from parsimony.tasks.registry.promotion import champion, history
from parsimony.tasks.registry.review import Said, Terms, propose
from parsimony.tasks.registry.tracking import Registry, connected

pytestmark = [pytest.mark.slow, pytest.mark.long]

PLAN = Plan(model=MODEL, data={"train": "t", "text": "t", "label": "l"}, gates={"approval": "prefect"})  # type: ignore[arg-type]


def registry() -> Registry:
    return settings.prepare().registry


def proposed(name: str, terms: Terms) -> Published:
    folder = Path(os.environ["PARSIMONY_HOME"])
    built = write_tiny_bundle(folder / name, name=name)
    judged = decide(judged_pass(name, built), winner=name, run_id=f"run-{name}")
    decision = replace(judged, outcome="waiting", reason=f"{name} is the smallest")
    verified = registered(registry(), decision, card=f"PASS {name}")
    propose(registry(), decision, verified, terms)
    return Published(decision=decision, receipt={}, folder=folder)


@flow(name="asks")
def asks(name: str, hours: float = 1.0) -> str:
    """Do what a run does after its search, which is a tiny bundle here."""
    answered = stage.resumed(PLAN)
    if answered is None:
        published = proposed(name, Terms(hours=hours, flow_run_id=str(flow_run.get_id())))
        asked = stage.ask(PLAN, published)
        assert not isinstance(asked, Published)
        answered = asked
    return f"{answered.outcome}: {answered.told}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARSIMONY_HOME", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@contextmanager
def serving(port: int, home: Path) -> Iterator[None]:
    """Run Prefect's server on this port with this database, until the block ends, by a kill."""
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "prefect.server.api.server:create_app",
        "--port",
        str(port),
    ]
    environment = {**os.environ, "PREFECT_HOME": str(home / "prefect"), "PREFECT_UI_ENABLED": "0"}
    process = subprocess.Popen([*command, "--log-level", "error"], env=environment)
    try:
        end = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[int]:
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    changed = {PREFECT_API_URL: f"http://127.0.0.1:{port}/api", PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(changed), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
        yield port


def started(name: str, hours: float = 1.0) -> UUID:
    """Create a run of a deployment, as the button does."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(asks), name="by-button")
        return client.create_flow_run_from_deployment(deployment, parameters={"name": name, "hours": hours}).id


def executed(run: UUID) -> Any:
    """Execute a run as a worker does: from the top, with nothing but what the servers know; return its state."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import Pause
    from prefect.flow_engine import run_flow
    from prefect.states import Pending

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Pending())
        pending = client.read_flow_run(run)
    with suppress(Pause):  # the process of a worker ends then
        run_flow(asks, flow_run=pending, parameters=pending.parameters, return_type="state")
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state


def answered(run: UUID, **values: str) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.resume_flow_run(run, run_input=values)


def form(state: Any) -> str:
    """Return what stands above the form."""
    from prefect.client.orchestration import get_client

    key = state.state_details.run_input_keyset["description"]
    with get_client(sync_client=True) as client:
        return str(
            client.request(
                "GET", "/flow_runs/{id}/input/{key}", path_params={"id": state.state_details.flow_run_id, "key": key}
            ).json()
        )


def test_a_run_waits_through_a_restart_asks_again_after_a_wrong_answer_and_promotes_when_it_is_approved(
    home: Path, address: int
) -> None:
    put_into_production(
        registry(),
        decide(judged_pass("old", write_tiny_bundle(home / "old", name="old")), winner="old", run_id="run-old"),
    )
    with serving(address, home):
        run = started("one")
        state = executed(run)
        assert (state.type.value, state.name) == ("PAUSED", "Suspended")
        assert "Version 2 of tiny-banking waits for you" in form(state) and "PASS one" in form(state)
    with serving(address, home):  # the server was killed, and so was the process of the run
        for wrong in ({"decision": "perhaps", "reviewer": "ada"}, {"decision": "approve", "reviewer": " "}):
            answered(run, **wrong)  # the form refuses it
        holds.hold(registry(), MODEL, "audit")
        assert answered(run, decision="approve", reviewer="ada", note="good").status.value == "ACCEPT"
        state = executed(run)
        assert state.name == "Suspended"
        assert "The last answer could not be used: promotions are held" in form(state)
        holds.release(registry(), MODEL, "done")
        assert answered(run, decision="approve", reviewer="ada", note="good now").status.value == "ACCEPT"
        state = executed(run)
        assert state.name == "Completed"
    present = champion(registry(), MODEL)
    assert present is not None and present.version == "2"
    assert [e.by for e in history(registry(), MODEL) if e.reason.startswith("approved: good now; one is")] == ["ada"]


def test_an_answer_from_elsewhere_wakes_the_run_which_says_what_became_of_it(home: Path, address: int) -> None:
    from parsimony.flows.review import review as acts

    with serving(address, home):
        first, second = started("two"), started("three")
        assert (
            executed(first).name == executed(second).name == "Suspended"
        )  # the newer one takes the place of the other
        assert any(f"flow run {first} goes on" in line for line in acts())
        state = executed(first)
        assert (state.name, state.type.value) == ("Completed", "COMPLETED")
        review.reject(registry(), MODEL, Said(reviewer="bob", note="too rude"))
        assert answered(second, decision="approve", reviewer="ada").status.value == "ACCEPT"  # at once, and too late
        assert executed(second).name == "Completed"
        present = champion(registry(), MODEL)
        assert present is not None and present.version == "2"
        assert history(registry(), MODEL)[-1].by == "bob"


def test_without_an_answer_in_time_the_review_deployment_ends_the_waiting(home: Path, address: int) -> None:
    from parsimony.flows.review import review as acts

    with serving(address, home):
        run = started("four")
        assert executed(run).name == "Suspended"
        there = review.waiting(registry(), MODEL)
        assert there is not None
        with connected(registry()) as client:
            client.set_model_version_tag(MODEL, there.version, "review_until", "2026-01-05T03:00:00+00:00")
        lines = acts(MODEL)
        assert "reject by nobody, no review until 2026-01-05" in lines[0]
        assert any(f"flow run {run} goes on" in line for line in lines)
        assert executed(run).name == "Completed"
