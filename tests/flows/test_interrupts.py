"""Ctrl-C and SIGTERM at every stage, to the process or to its group, and a kill: real processes, and none of them is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tinymodels import PLAN_HEAD, tables, write_csv, write_tiny_base

pytestmark = [pytest.mark.slow, pytest.mark.flow]

PLAN = f"""{PLAN_HEAD}[search]
families = ["linear", "encoder"]
[training]
epochs = 1
[gates]
margin = 0.3
"""
WITHIN_S = 5.0
LONGEST_S = 300.0
COMMAND = [sys.executable, "-m", "parsimony.flows.cli.main"]


@pytest.fixture(autouse=True, scope="module")
def not_ignored() -> Iterator[None]:
    """Let children have Ctrl-C's default: a shell starts background jobs, these tests perhaps among them, with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a plan; what one interrupted run has trained, the next one finds."""
    folder = tmp_path_factory.mktemp("interrupted")
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *tables())
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    return folder


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a process group of its own; end whatever is left of it afterwards."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW"))}
    environment = {**clean, "PARSIMONY_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", **more}
    with (folder / "errors").open("wb") as errors, (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, env=environment, stdout=output, stderr=errors, start_new_session=True
        )
    try:
        yield process
    finally:
        for left in (process.pid, *alive(folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        process.wait()


def alive(folder: Path) -> list[int]:
    """Return every process that was started with this home, whoever its parent is now."""
    mark = f"PARSIMONY_HOME={folder / 'home'}\0".encode()
    numbers = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                mark in (path / "environ").read_bytes()
                and (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            ):
                numbers.append(int(path.name))
    return numbers


def commands(folder: Path) -> str:
    lines = []
    for number in alive(folder):
        with contextlib.suppress(OSError):
            lines.append(Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return "\n".join(lines)


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + LONGEST_S
    while not holds():
        assert process.poll() is None, (folder / "errors").read_text(encoding="utf-8")
        assert time.monotonic() < end, (folder / "errors").read_text(encoding="utf-8")
        time.sleep(0.05)


def reached(folder: Path, stage: str) -> Callable[[], bool]:
    if stage == "server":
        return lambda: "parsimony.flows.engine" in commands(folder)
    if stage == "worker":
        return lambda: "parsimony.measurement.worker" in commands(folder)
    return lambda: f"  {stage} " in (folder / "errors").read_text(encoding="utf-8")


def all_ended(folder: Path) -> bool:
    end = time.monotonic() + WITHIN_S
    while alive(folder) and time.monotonic() < end:
        time.sleep(0.1)
    return not alive(folder)


@pytest.mark.parametrize(
    ("stage", "number", "whom"),
    [
        ("server", signal.SIGINT, os.killpg),
        pytest.param("finetune", signal.SIGINT, os.kill, marks=pytest.mark.long),
        pytest.param("measure", signal.SIGTERM, os.killpg, marks=pytest.mark.long),
        pytest.param("publish", signal.SIGTERM, os.kill, marks=pytest.mark.long),
    ],
    ids=lambda value: getattr(value, "name", None) or getattr(value, "__name__", str(value)),
)
def test_a_signal_ends_a_run_at_any_stage_with_one_line_and_leaves_no_process(
    stage: str, number: signal.Signals, whom: Callable[[int, int], None], work: Path
) -> None:
    with running(work, "run", "plan.toml") as process:
        wait_until(reached(work, stage), process, work)
        before = (work / "errors").read_text(encoding="utf-8")
        whom(process.pid, number)
        start = time.monotonic()
        status = process.wait(timeout=60)
        took_s = time.monotonic() - start
        said = (work / "errors").read_text(encoding="utf-8")[len(before) :].splitlines()
        word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[number]
        assert status == 128 + number, said
        assert took_s < WITHIN_S, said
        assert said[-1:] == [f"parsimony: {word}; run it again to go on where it stopped"]
        assert [line for line in said[:-1] if line[2:3] != ":"] == []  # lines of progress may come before it
        assert all_ended(work), commands(work)


@pytest.mark.parametrize("stage", ["server", pytest.param("worker", marks=pytest.mark.long)])
def test_a_run_that_is_killed_leaves_no_process(stage: str, work: Path) -> None:
    with running(work, "run", "plan.toml") as process:
        wait_until(reached(work, stage), process, work)
        process.kill()
        process.wait()
        assert all_ended(work), commands(work)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_registry_that_never_responds_does_not_hold_a_signal_up(number: signal.Signals, work: Path) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with running(work, "history", "tiny", MLFLOW_TRACKING_URI=address) as process:
            deaf.settimeout(LONGEST_S)
            connection, _ = deaf.accept()
            with connection:
                process.send_signal(number)
                start = time.monotonic()
                assert process.wait(timeout=60) == 128 + number
                assert time.monotonic() - start < WITHIN_S
                assert (work / "errors").read_text(encoding="utf-8").count("\n") == 1


def test_a_signal_that_was_ignored_from_outside_stays_ignored(work: Path) -> None:
    code = (
        "import signal, sys; from parsimony.flows.interrupts import watched\n"
        "with watched() as interrupt:\n"
        "    signal.raise_signal(signal.SIGINT); print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, interrupt.number)"
    )
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", code]
    assert subprocess.run(ignoring, capture_output=True, text=True, check=True).stdout == "True None\n"


STUCK = """
import sys, time
from parsimony.flows import interrupts
with interrupts.watched() as interrupt:
    while True:
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


def test_a_process_that_swallows_the_signal_ends_after_a_moment_and_at_once_at_the_second() -> None:
    for signals, within_s in ((1, WITHIN_S), (2, 2.5)):
        with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline() == b"ready\n"
            start = time.monotonic()
            for _ in range(signals):
                process.send_signal(signal.SIGINT)
                time.sleep(0.8)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            process.kill()
            assert process.wait() == 130
            assert time.monotonic() - start < within_s
            assert process.stderr.read() == b"parsimony: interrupted; run it again to go on where it stopped\n"
