"""One process of a machine at a time: whoever started it, wherever its home is, and however it ends."""

from __future__ import annotations

import logging
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parsimony.errors import InfrastructureError
from parsimony.files.locks import host_folder as locks_of
from parsimony.measurement import processes
from parsimony.measurement.host_lock import host_lock

HOLDER = """
import sys
from parsimony.measurement.host_lock import host_lock
with host_lock(sys.argv[1], "measure"):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of locks that no other process knows."""
    folder = tmp_path / "locks"
    folder.mkdir()
    monkeypatch.setenv("PARSIMONY_LOCKS", str(folder))
    return folder


@pytest.fixture
def name() -> str:
    return f"test-{secrets.token_hex(8)}"


def test_all_users_of_a_machine_meet_in_one_folder_unless_another_is_named() -> None:
    assert locks_of({}) == locks_of({"PARSIMONY_LOCKS": "", "TMPDIR": "/elsewhere"}) == Path("/tmp")
    assert locks_of({"PARSIMONY_LOCKS": "/shared"}) == Path("/shared")


@contextmanager
def holder(name: str, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process, with a home of its own, hold a lock."""
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PARSIMONY_HOME": str(home)}
    command = [sys.executable, "-c", HOLDER, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"holds\n"
            yield process
        finally:
            process.kill()


def release_in(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Let another process kill the holder after a moment, so that this one can wait meanwhile."""
    subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -9 {process.pid}"])


@pytest.mark.slow
def test_a_process_waits_for_another_one_that_is_killed_and_says_so_in_one_line(
    name: str, tmp_path: Path, locks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="parsimony.progress")
    with holder(name, tmp_path) as other:
        release_in(other, 0.3)
        start = time.monotonic()
        with host_lock(name, "measure"):
            waited_s = time.monotonic() - start
    assert waited_s > 0.2
    [record] = caplog.records
    assert (record.stage, record.detail) == (
        "measure",
        f"waits for another process of this machine that does the same ({locks}/parsimony-{name}.lock)",
    )


def test_nobody_waits_for_himself_or_for_nobody(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="parsimony.progress")
    for _ in range(2):
        with host_lock(name, "measure"), host_lock(name, "measure"):
            pass
    assert caplog.records == []


def test_the_file_can_be_read_by_every_user_whatever_the_umask(name: str, locks: Path) -> None:
    before = os.umask(0o077)
    try:
        with host_lock(name, "measure"):
            pass
    finally:
        os.umask(before)
    assert (locks / f"parsimony-{name}.lock").stat().st_mode & 0o777 == 0o644


def test_a_link_in_the_place_of_the_file_is_refused_and_not_followed(name: str, locks: Path, tmp_path: Path) -> None:
    (locks / f"parsimony-{name}.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InfrastructureError, match="cannot be opened"), host_lock(name, "measure"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slow
def test_nothing_is_measured_while_another_process_of_this_machine_measures(tmp_path: Path) -> None:
    with holder("measuring", tmp_path) as other:
        release_in(other, 5.0)
        start = time.monotonic()
        assert processes.once("memory", 1)["peak_rss_bytes"] > 0
        assert time.monotonic() - start > 4.0
