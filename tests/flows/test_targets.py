"""Targets that lie elsewhere: a real server, real workers in homes of their own that can import nothing that trains, and a real run."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from bundles import write_tiny_bundle
from servers_up import WAIT_S, until
from tinymodels import SHORT_PLAN, tables, write_csv, write_tiny_base

from parsimony.audit.receipt import audit
from parsimony.candidates import Candidate, ModelSpec
from parsimony.data.splits import Splits, write_splits
from parsimony.decision.verdicts import Entry
from parsimony.measurement.processes import WORKER
from parsimony.measurement.records import MachineClass, TargetSettings
from parsimony.tasks.store import Store

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.long]

# What a target has: the base dependencies and Prefect. Its processes cannot import any of these.
BLOCKED = "torch mlflow great_expectations transformers datasets sklearn matplotlib accelerate optimum codecarbon"
PLAN = f"""{SHORT_PLAN}[[targets]]
name = "here"
[[targets]]
name = "board"
pool = "edge"
cores = 1
deadline_minutes = 15
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A server of Prefect, the folder of the tests, and the store that all machines reach."""

    api: str
    folder: Path

    @property
    def store(self) -> Store:
        return Store(address=str(self.folder / "store"), cache=self.folder / "fetched")

    def environment(self, home: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "PARSIMONY_STORE"))}
        return kept | {
            "PARSIMONY_HOME": str(self.folder / home),
            "PARSIMONY_STORE": self.store.address,
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(self.folder / home / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "3",
        }

    @contextlib.contextmanager
    def worker(self, home: str, pool: str = "edge") -> Iterator[psutil.Process]:
        """Let a worker work for a pool in a home of its own, where nothing that trains can be imported."""
        blocked = self.folder / "blocked"
        blocked.mkdir(exist_ok=True)
        (blocked / "sitecustomize.py").write_text(
            f"import sys\nfor name in {BLOCKED.split()}:\n    sys.modules[name] = None\n", encoding="utf-8"
        )
        place = self.folder / home
        place.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        with (place / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=place,
                env=self.environment(home) | {"PYTHONPATH": str(blocked)},
                stdout=log,
                stderr=log,
            )
        family = psutil.Process(process.pid)
        try:
            until(lambda: self.online(pool))
            yield family
        finally:
            for each in [family, *_below(family)]:
                with contextlib.suppress(psutil.Error):
                    each.kill()
            process.wait()

    def online(self, pool: str) -> list[dict[str, Any]]:
        """Return the workers of a pool that send heartbeats."""
        reply = httpx.post(f"{self.api}/work_pools/{pool}/workers/filter", json={}, timeout=60)
        return [each for each in reply.json() if each["status"] == "ONLINE"] if reply.status_code == 200 else []

    def run(self, *changes: str) -> tuple[int, dict[str, Any], str]:
        """Run the plan as from a terminal; return the exit status, the receipt and what was said."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "parsimony.flows.cli.main", "run", "plan.toml", "--json"),
                *(part for change in changes for part in ("--set", change)),
            ],
            cwd=self.folder,
            env=self.environment("home"),
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        said = done.stdout.splitlines()
        assert said, done.stderr
        return done.returncode, json.loads(said[-1]), done.stderr


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _responds(api: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{api}/health", timeout=60).status_code == 200
    return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *tables())
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
    environment |= {"PREFECT_HOME": str(folder / "server"), "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "1"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "parsimony.flows.servers.process", "prefect", str(os.getpid()), "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert server.stdout is not None
    port = server.stdout.readline().decode().strip()
    api = f"http://127.0.0.1:{port}/api"
    until(lambda: _responds(api))
    yield Site(api=api, folder=folder)
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def both(site: Site) -> dict[str, Any]:
    """Return the receipt of a run with one target here and one elsewhere."""
    with site.worker("edge"):
        status, receipt, said = site.run()
    assert status == 0, said + (site.folder / "edge" / "worker.log").read_text(encoding="utf-8")
    return receipt


def test_a_run_promotes_what_passes_here_and_on_a_target_elsewhere(both: dict[str, Any], site: Site) -> None:
    assert both["outcome"] == "promoted"
    here, board = both["targets"]
    assert "pool" not in here
    assert (board["pool"], board["missing"]) == ("edge", "")
    winner = next(c for c in both["candidates"] if c["candidate"] == both["winner"]["candidate"])
    assert [m["target"] for m in winner["measurements"]] == ["here", "board"]
    assert {m["ratio"]["baseline"] for m in winner["measurements"]} == {both["reference"]["candidate"]}
    [elsewhere] = winner["certified"]["elsewhere"]
    # One processor: the same bundle predicts the same here and there, from predictions that were made there.
    assert elsewhere["target"] == "board"
    assert {k: elsewhere[k] for k in ("n", "correct", "lower_bound", "verdict")} == {
        k: winner["certified"][k] for k in ("n", "correct", "lower_bound", "verdict")
    }
    gates = {gate["gate"]: gate["verdict"] for gate in winner["gates"]}
    assert {
        name: gates[name] for name in ("here measured", "board measured", "board margin", "board slices")
    } == dict.fromkeys(("here measured", "board measured", "board margin", "board slices"), "pass")
    assert len(list((site.folder / "edge" / "predictions").glob("*.json"))) == len(
        [c for c in both["candidates"] if "board" in [m["target"] for m in c["measurements"]]]
    )


def test_the_audit_recomputes_what_was_certified_elsewhere(both: dict[str, Any], site: Site) -> None:
    folder = site.folder / "home" / "runs" / both["run_id"]
    assert audit(folder, [site.folder / "home" / "bundles"]) == ()
    [file] = (folder / "predictions").glob(f"{both['winner']['candidate']}.test@board.json")
    said = json.loads(file.read_text(encoding="utf-8"))
    kept = file.read_bytes()
    file.write_text(json.dumps([said[-1], *said[:-1]]), encoding="utf-8")
    assert audit(folder, [site.folder / "home" / "bundles"]) != ()
    file.write_bytes(kept)


def test_without_a_worker_the_state_says_so_and_nothing_is_promoted(both: dict[str, Any], site: Site) -> None:
    status, receipt, _ = site.run("targets.1.deadline_minutes=0.05", "gates.margin=0.29")
    assert status in (0, 1) and receipt["outcome"] in ("kept", "none")
    assert receipt["targets"][1]["missing"].startswith("No worker: no worker has polled the pool 'edge' for")
    assert "prefect worker start --pool edge" in receipt["targets"][1]["missing"]
    reasons = {g["reason"] for c in receipt["candidates"] for g in c["gates"] if g["gate"] == "board measured"}
    assert reasons == {receipt["targets"][1]["missing"]}
    assert not any(c["verdict"] == "pass" for c in receipt["candidates"])


# --- one measurement, without a run ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A measurement that is asked for in a thread, as a run does it."""

    thread: threading.Thread
    outcome: list[Any]

    def reached(self) -> Any:
        self.thread.join(WAIT_S)
        assert self.outcome, "nothing came of it"
        if isinstance(self.outcome[0], BaseException):
            raise self.outcome[0]
        return self.outcome[0]


BOARD = TargetSettings(
    name="board", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None, pool="edge", deadline_s=900.0
)


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    train, validation, test = tables(seed=3)
    return write_splits(tmp_path / "data", {"train": train, "validation": validation, "test": test}, (), ())


def ask(site: Site, splits: Splits, entries: list[Entry], target: TargetSettings) -> Asking:
    """Ask for a measurement of these entries, as the flow does."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from parsimony.flows.servers.deployments import target_deployment
    from parsimony.tasks.measure_elsewhere import Route, measure_elsewhere

    outcome: list[Any] = []

    def work() -> None:
        try:
            with temporary_settings({PREFECT_API_URL: site.api}):
                deployment = target_deployment(target.pool or "")
                route = Route(deployment=deployment, store=site.store, folder="", run_id=os.urandom(8).hex())
                names = [entry.id for entry in entries]
                outcome.append(measure_elsewhere.fn(entries, names, names[0], splits, target, route))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return Asking(thread=thread, outcome=outcome)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Return three candidates with small bundles."""
    words = {"refund": 0, "soup": 1, "ticket": 2, "rain": 3}
    made = []
    for family in ("linear", "static", "encoder"):
        bundle = write_tiny_bundle(
            tmp_path / family, labels=("account", "meal", "travel", "weather"), words=words, name=family
        )
        candidate = Candidate(spec=ModelSpec(family=family, base=""))
        made.append(Entry(candidate=candidate, predicted_bytes=1, bundle=bundle))
    return made


def _runs(site: Site, state: str) -> list[dict[str, Any]]:
    wanted = {"flow_runs": {"state": {"name": {"any_": [state]}}}}
    runs: list[dict[str, Any]] = httpx.post(f"{site.api}/flow_runs/filter", json=wanted, timeout=60).json()
    return runs


@pytest.fixture
def progress(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Return what is said of a run's progress, which a run before may have kept from the root logger."""
    log = logging.getLogger("parsimony.progress")
    log.addHandler(caplog.handler)
    yield caplog
    log.removeHandler(caplog.handler)


def test_a_worker_that_is_killed_while_it_measures_is_asked_again_and_repeats_nothing(
    site: Site, splits: Splits, entries: list[Entry], progress: pytest.LogCaptureFixture
) -> None:
    kept = site.folder / "killed" / "predictions"
    with site.worker("killed", "killed") as worker:
        asking = ask(site, splits, entries, replace(BOARD, pool="killed"))

        def measuring() -> psutil.Process | None:
            """Return the flow's process once every prediction is kept: what comes then is the measurement."""
            if len(list(kept.glob("*.json"))) < len(entries):
                return None
            measured = (p for p in _below(worker) if WORKER in _command(p))
            return next((p.parent() for p in measured), None)

        until(measuring, every_s=0.05).kill()
        reached = asking.reached()
    assert reached.target.missing == ""
    assert reached.result.remade == 0
    assert set(reached.result.measurements) == set(reached.result.predictions) == {e.id for e in entries}
    assert "interrupted: its worker's process was ended" in progress.text and "attempt 2 of 3" in progress.text
    # A run that was itself killed and started again finds the result, where it was steady; no worker is there any more.
    if all(m.stable for m in reached.result.measurements.values()):
        again = ask(site, splits, entries, replace(BOARD, pool="killed")).reached()
        assert again.result == reached.result


def test_a_bundle_that_was_changed_in_the_store_is_refused_there(
    site: Site, splits: Splits, entries: list[Entry]
) -> None:
    with site.worker("changed", "changed"):
        pass  # the pool is there, and no worker
    asking = ask(site, splits, entries, replace(BOARD, pool="changed"))
    until(lambda: [r for r in _runs(site, "Scheduled") + _runs(site, "Late") if r["name"].startswith("board-")])
    assert entries[1].bundle is not None
    manifest = entries[1].bundle.digest
    (site.folder / "store" / "sha256" / manifest[:2] / manifest[2:]).write_bytes(b"{}")
    with site.worker("changed", "changed"):
        reached = asking.reached()
    assert reached.result is None
    assert reached.target.missing.startswith("Changed: sha256/")
    assert "is not what was put there" in reached.target.missing
    assert reached.target.counts


def test_another_class_another_version_and_no_pool_are_named_by_their_states(
    site: Site, splits: Splits, entries: list[Entry]
) -> None:
    board = replace(BOARD, pool="class")
    with site.worker("class", "class"):
        for machine, state in (
            (MachineClass(cores=4096), "Wrong class: this machine is not of the class of 'board'"),
            (MachineClass(onnxruntime="1.0.0"), "Wrong version: ONNX Runtime"),
        ):
            reached = ask(site, splits, entries[:1], replace(board, machine=machine)).reached()
            assert reached.result is None
            assert reached.target.missing.startswith(state)


def test_a_busy_pool_a_slow_worker_and_one_that_is_gone_are_named(
    site: Site, splits: Splits, entries: list[Entry]
) -> None:
    """The worker cannot measure: another process, this one, has the lock of the machine."""
    from parsimony.measurement.host_lock import host_lock
    from parsimony.measurement.processes import MEASURING

    board = replace(BOARD, pool="slow", deadline_s=20.0)
    address = f"{site.api}/work_pools/slow"
    with host_lock(MEASURING, "test"), site.worker("slow", "slow") as worker:
        httpx.patch(address, json={"concurrency_limit": 0}, timeout=60).raise_for_status()
        busy = ask(site, splits, entries[:1], board).reached()
        assert busy.target.missing.startswith("Busy: no worker of the pool 'slow' was free for")
        httpx.patch(address, json={"concurrency_limit": None}, timeout=60).raise_for_status()
        slow = ask(site, splits, entries[:1], board).reached()
        assert slow.target.missing.startswith("Slow: its worker still measured after")
        until(lambda: not [r for r in _runs(site, "Running") if r["name"].startswith("board-")])
        asking = ask(site, splits, entries[:1], replace(board, deadline_s=900.0))
        until(lambda: [r for r in _runs(site, "Running") if r["name"].startswith("board-")])
        for process in [worker, *_below(worker)]:
            process.kill()
        gone = asking.reached()
        assert gone.target.missing.startswith("No worker: no worker has polled the pool 'slow' for")
        assert not [r for r in _runs(site, "Running") + _runs(site, "Scheduled") if r["name"].startswith("board-")]


def test_a_target_that_may_be_missing_stops_no_promotion(both: dict[str, Any], site: Site) -> None:
    httpx.patch(f"{site.api}/work_pools/edge", json={"is_paused": True}, timeout=60).raise_for_status()
    status, receipt, _ = site.run(
        "targets.1.deadline_minutes=0.05", "targets.1.optional=true", "gates.margin=0.28", 'targets.1.name="spare"'
    )
    assert status == 0 and receipt["outcome"] in ("kept", "promoted")
    assert receipt["targets"][1]["missing"].startswith("Paused: the pool 'edge' is paused")
    assert not any(g["gate"].startswith("spare") for c in receipt["candidates"] for g in c["gates"])
