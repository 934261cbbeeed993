"""What is looked after between runs: what killed runs left goes at once, what is unwanted by age, and a champion never."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from bundles import write_tiny_bundle

from parsimony.errors import InfrastructureError
from parsimony.files.locks import held
from parsimony.flows import settings
from parsimony.flows.cli.main import main
from parsimony.flows.upkeep import home as upkeep
from parsimony.flows.upkeep import installation, retention, servers
from parsimony.flows.upkeep.leftovers import clear, leftovers, running
from parsimony.flows.upkeep.retention import Policy
from parsimony.flows.upkeep.servers import Server

MONTH_S = 30 * 86_400.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home that only this test uses."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "MLFLOW_TRACKING"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    return settings.prepare().home


def aged(path: Path, seconds: float = MONTH_S) -> Path:
    """Let a folder or file look as if it was used last so long ago."""
    then = time.time() - seconds
    for each in (*path.rglob("*"), path):
        os.utime(each, (then, then))
    return path


def bundle(home: Path, name: str, store: str = "bundles") -> tuple[Path, str]:
    """Keep a bundle that was used a month ago; return its folder and digest."""
    made = write_tiny_bundle(home / store / name, name=name)
    return aged(Path(made.folder)), made.digest


def everything(home: Path) -> dict[str, tuple[int, float]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime) for p in sorted(home.rglob("*")) if p.is_file()}


# --- what killed runs left --------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from parsimony.files import new_folder
from parsimony.flows.upkeep.leftovers import running
home = Path(sys.argv[1])
with running(home, home / "runs" / "dead"), new_folder(home / "bundles" / "half") as work:
    (work / "model.onnx").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_goes_when_the_next_one_starts_and_what_a_run_uses_stays(home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(home)], capture_output=True, check=False)
    assert done.returncode == -9
    finished = home / "runs" / "finished"
    finished.mkdir()
    (finished / "receipt.json").write_text("{}", encoding="utf-8")
    aged(finished)
    aged(home / "runs" / "dead")
    with running(home, home / "runs" / "alive"):
        aged(home / "runs" / "alive")
        assert [leftover.kind for leftover in clear(home)] == ["dead run", "half-written folder"]
        assert sorted(p.name for p in (home / "runs").iterdir()) == ["alive", "finished"]
    assert list((home / "bundles").iterdir()) == []
    assert leftovers(home)[0].path == home / "runs" / "alive"


def test_a_run_that_has_just_begun_is_not_taken_for_a_dead_one(home: Path) -> None:
    (home / "runs" / "new").mkdir(parents=True)
    assert leftovers(home) == ()


ORPHAN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "parsimony.flows.engine", "4194305"],
                         start_new_session=True, stdout=subprocess.DEVNULL)
print(child.pid)
"""


@pytest.mark.slow
def test_a_server_whose_run_has_ended_is_ended_and_another_homes_is_not(home: Path, tmp_path: Path) -> None:
    numbers = []
    for place in (home, tmp_path / "other"):
        environment = {**os.environ, "PREFECT_HOME": str(place / "prefect")}
        numbers.append(int(subprocess.check_output([sys.executable, "-c", ORPHAN], env=environment)))
    try:
        assert [leftover.process for leftover in leftovers(home)] == numbers[:1]
        clear(home)
        assert leftovers(home) == ()
        os.kill(numbers[1], 0)
    finally:
        os.kill(numbers[1], 9)


# --- what is unwanted -------------------------------------------------------------------------------


def test_what_is_old_goes_and_what_is_needed_new_or_among_the_newest_stays(home: Path) -> None:
    needed, digest = bundle(home, "needed")
    rejected, _ = bundle(home, "rejected")
    fresh, _ = bundle(home, "fresh")
    os.utime(fresh / "manifest.json")
    copy = bundle(home, "copy", "champions")[0]
    partial = home / "checkpoints" / "abc.partial"
    partial.mkdir(parents=True)
    (partial / "optimizer.pt").write_bytes(b"x" * 100)
    aged(partial)
    predictions = home / "predictions" / "p.json"
    predictions.parent.mkdir()
    predictions.write_text("{}", encoding="utf-8")
    aged(predictions)
    stored = home / "store" / "sha256" / "ab" / "cdef"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"x")
    aged(stored)
    fetched = bundle(home, "fetched", "fetched")[0]
    everywhere = {rejected, copy, partial, predictions, stored, fetched}
    assert {item.path for item in retention.unwanted(home, {digest}, Policy(days=14, keep=0))} == everywhere
    assert retention.unwanted(home, {digest}, Policy(days=14, keep=5)) == ()
    assert retention.unwanted(home, {digest}, Policy(days=60, keep=0)) == ()
    kept_newest = {item.path for item in retention.unwanted(home, {digest}, Policy(days=14, keep=1))}
    assert kept_newest == {rejected}  # the fresh one is the newest bundle; of every other kind there is only one
    assert needed.is_dir()


def test_a_dry_run_says_the_bytes_that_then_go_and_changes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected, _ = bundle(home, "rejected")
    size_bytes = sum(p.stat().st_size for p in rejected.iterdir())
    before = everything(home)
    assert main(["clean", "--dry-run", "--days", "7", "--keep", "0", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert everything(home) == before
    assert shown == {
        "items": [{"kind": "rejected bundle", "path": str(rejected), "size_bytes": size_bytes}],
        "size_bytes": size_bytes,
    }
    assert main(["clean", "--days", "7", "--keep", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == shown
    assert list((home / "bundles").iterdir()) == []
    assert main(["clean"]) == 0
    assert "removed: 0 things" in capsys.readouterr().out


def test_nothing_is_cleaned_while_a_run_is_in_progress(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejected, _ = bundle(home, "rejected")
    with running(home, home / "runs" / "alive"):
        assert main(["clean", "--days", "0", "--keep", "0"]) == 4
    assert "a run is in progress" in capsys.readouterr().err
    assert rejected.is_dir()
    with pytest.raises(InfrastructureError), retention.quiet(home), retention.quiet(home):
        pass


@pytest.mark.parametrize("arguments", [["--days", "-1"], ["--days", "nan"], ["--keep", "-1"]])
def test_an_age_or_a_number_below_zero_is_refused(home: Path, arguments: list[str]) -> None:
    assert main(["clean", *arguments]) == 2


# --- the doctor -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_packages_that_are_installed_here_go_together() -> None:
    assert [diagnosis.state for diagnosis in installation.packages()] == ["well"]


def test_a_package_that_another_one_does_not_go_with_is_named_with_what_to_install(tmp_path: Path) -> None:
    """A folder of descriptions stands for an environment: the package asks for a library that is too old, and for two that are not there.

    There is no torch, so it is that of a worker, which needs nothing that trains.
    """
    needed = ["alpha>=2", "beta", 'gamma; extra == "worker"', 'delta; extra == "train"']
    described = {"parsimony": needed, "alpha": [], "fastapi": [], "prefect": []}
    versions = {"parsimony": "1", "alpha": "1.9", "fastapi": "0.165.0", "prefect": "3.8.8"}
    for name, needs in described.items():
        folder = tmp_path / f"{name}-{versions[name]}.dist-info"
        folder.mkdir()
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {versions[name]}"]
        (folder / "METADATA").write_text(
            "\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs)]), encoding="utf-8"
        )
    code = (
        f"import sys, packaging.requirements, packaging.specifiers; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from parsimony.flows.upkeep.installation import packages\n"
        "sys.path[:] = sys.path[:1]\n"
        "for d in packages(): print(d.state, d.message, d.remedy, sep='|')"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [
        "wrong|parsimony asks for alpha>=2, 1.9 is installed|pip install 'alpha>=2'",
        "wrong|parsimony asks for beta, which is not installed|pip install 'beta'",
        "wrong|parsimony asks for gamma, which is not installed|pip install 'gamma'",
        "wrong|fastapi 0.165.0 with prefect 3.8.8: Prefect's server does not start|pip install 'prefect>=3.9.1'",
    ]


def test_telemetry_that_is_on_is_wrong_and_the_defaults_are_well(home: Path) -> None:
    known = {"PARSIMONY_HOME": str(home)}
    settings.prepare(known)
    assert [diagnosis.state for diagnosis in installation.telemetry(known)] == ["well"]
    [wrong] = installation.telemetry({**known, "MLFLOW_DISABLE_TELEMETRY": "false"})
    assert (wrong.state, wrong.remedy) == ("wrong", "unset MLFLOW_DISABLE_TELEMETRY, or set it to true")


def test_what_killed_runs_left_is_said_with_what_to_do(home: Path) -> None:
    assert [diagnosis.state for diagnosis in upkeep.remains(home)] == ["well"]
    (home / "runs" / "dead").mkdir(parents=True)
    aged(home / "runs" / "dead")
    (home / "checkpoints" / "abc.partial").mkdir(parents=True)
    diagnoses = list(upkeep.remains(home))
    assert [diagnosis.state for diagnosis in diagnoses] == ["note", "note"]
    assert str(home / "runs" / "dead") in diagnoses[0].message and all(d.remedy for d in diagnoses)


def test_a_clock_that_went_back_is_wrong(home: Path) -> None:
    (home / "runs" / "r").mkdir(parents=True)
    (home / "runs" / "r" / "receipt.json").touch()
    assert [diagnosis.state for diagnosis in upkeep.clock(home)] == ["well"]
    aged(home / "runs" / "r", -86_400)
    assert [diagnosis.state for diagnosis in upkeep.clock(home)] == ["wrong"]


@contextmanager
def answering(status: int, date: str) -> Iterator[str]:
    """Serve one status and one date for whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            self.send_response_only(status if self.command == "POST" else 200)
            self.send_header("Date", date)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def server_at(address: str) -> Server:
    return Server(
        name="MLflow", address=address, health="/health", guarded="/search", remedy="start it with a password"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "date", "states"),
    [
        (401, "", ["well", "well"]),
        (200, "", ["well", "note"]),
        (401, "Sun, 01 Mar 2020 00:00:00 GMT", ["well", "well", "wrong"]),
    ],
)
def test_a_server_is_asked_as_a_stranger_and_for_its_time(status: int, date: str, states: list[str]) -> None:
    now = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    with answering(status, date or now) as address:
        assert [diagnosis.state for diagnosis in servers._examined(server_at(address))] == states


def test_a_server_that_anybody_on_the_network_may_use_is_wrong() -> None:
    reply = servers.Reply(status=200, headers={})
    [open_one] = servers._open(server_at("http://mlflow.internal:5000"), reply)
    assert open_one.state == "wrong" and "whoever reaches it can change what is promoted" in open_one.message


@pytest.mark.parametrize(
    "address", ["http://user:p@ss/word@127.0.0.1:1", "http://user:hidden@127.0.0.1:1/x", "http://user:hidden@[::1"]
)
def test_a_server_that_does_not_respond_is_named_without_its_password(address: str) -> None:
    [away] = servers._examined(server_at(address))
    assert away.state == "wrong" and away.remedy
    assert not {"hidden", "ss/word", "user"} & set(away.message.replace(":", " ").replace("@", " ").split())


@pytest.mark.slow
def test_a_sound_home_gives_status_0_and_a_broken_one_1(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["doctor", "--json"]) == 0, capsys.readouterr().out
    diagnoses = json.loads(capsys.readouterr().out)
    assert {d["subject"] for d in diagnoses} >= {
        "packages",
        "telemetry",
        "disk",
        "clock",
        "Prefect",
        "registry",
        "leftovers",
    }
    assert not (home / "mlflow" / "mlflow.db").exists()
    monkeypatch.setenv("GX_ANALYTICS_ENABLED", "true")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "wrong  telemetry  GX_ANALYTICS_ENABLED is 'true'" in said and "do: unset GX_ANALYTICS_ENABLED" in said


def test_a_held_folder_of_runs_lets_a_run_start_when_it_is_let_go(home: Path) -> None:
    (home / "runs").mkdir()
    with held(home / "runs", "together"), running(home, home / "runs" / "another"):
        assert (home / "runs" / "another").is_dir()
