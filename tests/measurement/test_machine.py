"""What this machine is: read from the system itself, and the same in every process of it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from parsimony.measurement import machine
from parsimony.measurement.records import Disturbance
from parsimony.runtimes import cpu


def group(folder: Path, **files: str) -> Path:
    """Write a control group's files; `cpu__` stands for the folder of version 1."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name.replace("_", ".", 1)).write_text(text, encoding="utf-8")
    return folder


# --- cores and quota ------------------------------------------------------------------------------


def test_cores_are_those_that_this_process_may_use() -> None:
    code = (
        "import os; from parsimony.measurement import machine; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "print(machine.cores(), machine.usable_threads(), machine.environment(1).cores)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "1"]
    assert machine.cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("text", "cores"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("50000 100000\n", 0.5)])
def test_the_quota_is_read_from_control_groups_of_version_2(tmp_path: Path, text: str, cores: float | None) -> None:
    assert machine.quota_cores(group(tmp_path, cpu_max=text)) == cores


@pytest.mark.parametrize(("text", "cores"), [("-1\n", None), ("150000\n", 1.5)])
def test_the_quota_is_read_from_control_groups_of_version_1(tmp_path: Path, text: str, cores: float | None) -> None:
    folder = group(tmp_path, cpu__cpu_cfs_quota_us=text, cpu__cpu_cfs_period_us="100000\n")
    assert machine.quota_cores(folder) == cores


def test_without_control_groups_there_is_no_quota_and_no_count_of_what_was_held_back(tmp_path: Path) -> None:
    assert machine.quota_cores(tmp_path) is None
    assert machine.throttled_count(tmp_path) is None


def test_how_often_a_group_was_held_back_is_read_from_both_versions(tmp_path: Path) -> None:
    lines = "usage_usec 5\nnr_periods 10\nnr_throttled 7\nthrottled_usec 3\n"
    assert machine.throttled_count(group(tmp_path / "two", cpu_stat=lines)) == 7
    assert machine.throttled_count(group(tmp_path / "one", cpu__cpu_stat=lines)) == 7
    assert machine.throttled_count(group(tmp_path / "root", cpu_stat="usage_usec 5\n")) is None


def test_at_least_one_thread_and_no_more_than_the_cores_can_run() -> None:
    assert 1 <= machine.usable_threads() <= machine.cores()


# --- what the machine takes away ------------------------------------------------------------------

STAT = """cpu  400 0 100 1000 0 0 0 60 9 9
cpu0 300 0 50 500 0 0 0 10 9 9
cpu1 100 0 50 500 7 2 1 50 9 9
intr 1 2 3
"""


def test_stolen_time_is_that_of_the_cores_asked_for_and_guests_are_not_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "stat"
    path.write_text(STAT, encoding="utf-8")
    assert machine.core_ticks((1,), path) == (50, 710)
    assert machine.core_ticks((0, 1), path) == (60, 710 + 860)


@pytest.mark.parametrize("text", ["", "cpu  1 2 3\ncpu1 1 2 3\n", STAT.replace("cpu1", "cpu2")])
def test_without_a_line_of_eight_fields_for_a_core_nothing_is_known(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stat"
    path.write_text(text, encoding="utf-8")
    assert machine.core_ticks((1,), path) is None
    assert machine.core_ticks((1,), tmp_path / "nowhere") is None


def test_a_watch_counts_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    since = machine.Watch(core_numbers=(1,), ticks=(50, 710), throttled=4)
    monkeypatch.setattr(machine, "core_ticks", lambda _: (53, 910))
    monkeypatch.setattr(machine, "throttled_count", lambda: 6)
    assert machine.disturbance(since) == Disturbance(steal_share=3 / 200, throttled=2)


def test_what_cannot_be_read_is_none_and_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    since = machine.Watch(core_numbers=(), ticks=None, throttled=None)
    monkeypatch.setattr(machine, "throttled_count", lambda: 6)
    assert machine.disturbance(since) == Disturbance(steal_share=None, throttled=None)
    assert machine.governor(Path("/nowhere")) is None


def test_the_time_waited_for_a_core_is_read_and_is_none_where_nothing_says(tmp_path: Path) -> None:
    path = tmp_path / "schedstat"
    path.write_text("123 4567 8\n", encoding="utf-8")
    assert machine.waited_ns(path) == 4567
    assert machine.waited_ns(tmp_path / "nowhere") is None
    first, again = machine.waited_ns(), machine.waited_ns()
    assert first is not None and again is not None
    assert 0 <= first <= again


def test_a_watch_of_this_machine_reads_what_it_says() -> None:
    disturbance = machine.disturbance(machine.watch(1))
    assert disturbance.steal_share is not None
    assert 0 <= disturbance.steal_share <= 1
    assert machine.measuring_cores(1) == (max(os.sched_getaffinity(0)),)
    assert len(machine.measuring_cores(10_000)) == machine.cores()


# --- the environment of a measurement -------------------------------------------------------------


def test_memory_is_that_of_the_machine() -> None:
    assert machine.memory_bytes() == pytest.approx(psutil.virtual_memory().total, rel=0.01)


def test_the_instruction_sets_are_among_the_processors_flags() -> None:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    assert cpu.isa() == tuple(name for name in cpu.isa() if name in flags)
    assert cpu.has_fast_bf16() == any(name in flags for name in ("avx512_bf16", "amx_bf16", "bf16"))


def test_an_environment_says_where_and_with_what_was_measured() -> None:
    environment = machine.environment(3)
    assert environment.threads == 3
    assert environment.cpu
    assert (environment.isa, environment.cores, environment.quota_cores) == (
        cpu.isa(),
        machine.cores(),
        machine.quota_cores(),
    )
    assert (environment.memory_bytes, environment.python) == (machine.memory_bytes(), platform.python_version())
    assert environment.versions == tuple((name, version(name)) for name in ("onnxruntime", "tokenizers", "numpy"))


def test_two_processes_of_one_machine_have_the_same_environment_but_for_the_load() -> None:
    code = "from parsimony.measurement import machine; e = machine.environment(1); print(e.cpu, e.isa, e.memory_bytes, e.versions)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = machine.environment(1)
    assert done.stdout.rstrip("\n") == f"{here.cpu} {here.isa} {here.memory_bytes} {here.versions}"
