"""Training runs as many threads as other programs leave cores for, and says when it changes their number."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from parsimony.runtimes import cores
from parsimony.runtimes.cores import Reading, busy_cores, reading, threads_beside
from parsimony.training.threads import Threads, suited

pytestmark = pytest.mark.slow  # importing torch takes seconds

SPINNING = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass"


def stat(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("cpu 1 2 3 4 5 6 7 8 0 0", *lines, "intr 5")), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("busy", "most", "available", "threads"),
    [(0.0, 2, 2, 2), (0.25, 2, 2, 2), (0.5, 2, 2, 1), (1.0, 2, 2, 1), (2.0, 2, 2, 1), (1.0, 4, 4, 3), (30.5, 2, 64, 2)],
)
def test_a_core_that_others_use_gets_no_thread_and_one_thread_always_runs(
    busy: float, most: int, available: int, threads: int
) -> None:
    assert threads_beside(busy, most, available) == threads


def test_what_others_did_is_what_cores_were_busy_without_this_process(tmp_path: Path) -> None:
    mine = min(os.sched_getaffinity(0))
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    first = reading(stat(tmp_path / "stat", f"cpu{mine} 100 10 10 900 50 5 5 20 7 7", "cpu9999 1 1 1 1 1 1 1 1 0 0"))
    assert first is not None
    assert first.busy_s == ((mine, pytest.approx(150 * tick_s)),)
    before = Reading(busy_s=((0, 10.0), (1, 20.0)), own_s=3.0, at_s=100.0)
    now = Reading(busy_s=((0, 14.0), (1, 24.0)), own_s=7.0, at_s=104.0)
    assert busy_cores(before, now) == pytest.approx(1.0)
    assert busy_cores(before, before) == 0.0


def test_a_system_that_does_not_say_how_busy_it_is_is_not_guessed_at(tmp_path: Path) -> None:
    assert reading(tmp_path / "nowhere") is None
    assert reading(stat(tmp_path / "stat")) is None


def test_where_a_gpu_trains_no_threads_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.get_num_threads()
    with suited() as threads:
        threads.choose(0.0)
        assert (threads.before, torch.get_num_threads()) == (None, before)


def test_a_busy_neighbour_is_noticed() -> None:
    core = max(os.sched_getaffinity(0))
    with subprocess.Popen([sys.executable, "-c", SPINNING, str(core)], stdout=subprocess.PIPE) as neighbour:
        try:
            assert neighbour.stdout is not None
            neighbour.stdout.readline()
            before = reading()
            time.sleep(0.5)
            now = reading()
            assert before is not None
            assert now is not None
            assert busy_cores(before, now) > 0.7
        finally:
            neighbour.kill()


@pytest.fixture
def two_threads() -> Iterator[None]:
    had = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(had)


def earlier(now: Reading, busy_share: float) -> Reading:
    """Return a reading of ten seconds ago since when others kept this share of every core busy."""
    busy_s = tuple((core, seconds - 10.0 * busy_share) for core, seconds in now.busy_s)
    return Reading(busy_s=busy_s, own_s=now.own_s, at_s=now.at_s - 10.0)


def test_threads_are_given_up_when_others_need_the_cores_and_this_is_said(
    two_threads: None, caplog: pytest.LogCaptureFixture
) -> None:
    now = reading()
    assert now is not None
    threads = Threads(most=2, before=earlier(now, 1.0))
    with caplog.at_level(logging.INFO, "parsimony.progress"):
        threads.choose(20.0)
        assert torch.get_num_threads() == 2  # it is too early to choose again
        threads.choose(5.0)
    assert torch.get_num_threads() == 1
    [line] = caplog.messages
    assert line.startswith("train with 1 of 2 threads: other programs keep")


def test_after_training_torch_has_the_threads_that_it_had(two_threads: None) -> None:
    with suited() as threads:
        assert threads.most == min(2, cores.usable_threads())
        torch.set_num_threads(1)
    assert torch.get_num_threads() == 2


def test_one_thread_stays_one() -> None:
    had = torch.get_num_threads()
    torch.set_num_threads(1)
    with suited() as threads:
        threads.choose(0.0)
        assert (threads.most, torch.get_num_threads()) == (1, 1)
    torch.set_num_threads(had)
