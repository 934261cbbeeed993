"""Processes that are forked from one that has the libraries already: as good as fresh ones, and none of them spoils the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bundles import write_tiny_bundle

from parsimony.errors import BundleError
from parsimony.measurement.processes import Process, ask, forked, started, texts_file

pytestmark = pytest.mark.slow

TEXTS = ("hello rain", "money", "sun and rain and money")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder)


def predicted(process: Process) -> list[int]:
    return list(ask(process.process, do="predict", start=0, stop=len(TEXTS))["classes"])


def child_of(number: int) -> int:
    [child] = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return int(child)


def test_a_forked_process_predicts_and_is_counted_as_a_fresh_one(bundle: Path) -> None:
    with texts_file(TEXTS) as texts:
        with started(bundle, texts, 1) as fresh:
            asked, memory = predicted(fresh), ask(fresh.process, do="memory")["peak_rss_bytes"]
            startup_s = fresh.startup_s
        with forked(bundle, texts, 1) as quick:
            assert predicted(quick) == asked
            assert ask(quick.process, do="memory")["peak_rss_bytes"] == pytest.approx(memory, rel=0.1)
            assert quick.startup_s > startup_s / 4  # the imports are counted, though they are not made again
            assert quick.said == fresh.said


def test_one_process_waits_and_each_bundle_has_a_child_of_its_own(bundle: Path) -> None:
    numbers = []
    with texts_file(TEXTS) as texts:
        for _ in range(2):
            with forked(bundle, texts, 1) as process:
                numbers.append((process.process.pid, child_of(process.process.pid)))
    assert numbers[0][0] == numbers[1][0]
    assert numbers[0][1] != numbers[1][1]
    assert not Path(f"/proc/{numbers[1][1]}").exists()


def kill_it(bundle: Path, texts: Path) -> None:
    with forked(bundle, texts, 1) as it:
        os.kill(child_of(it.process.pid), signal.SIGKILL)
        predicted(it)


def test_a_child_that_is_killed_is_told_and_the_next_bundle_is_spared(bundle: Path) -> None:
    with texts_file(TEXTS) as texts:
        with pytest.raises(BundleError, match="the measuring process ended: exit status -9"):
            kill_it(bundle, texts)
        with forked(bundle, texts, 1) as process:
            assert len(predicted(process)) == len(TEXTS)


def test_an_interruption_leaves_no_child(bundle: Path) -> None:
    numbers: list[int] = []

    def interrupted() -> None:
        with texts_file(TEXTS) as texts, forked(bundle, texts, 1) as it:
            numbers.extend((it.process.pid, child_of(it.process.pid)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(ended(number) for number in numbers)


def ended(number: int) -> bool:
    """Say whether a process ends within seconds."""
    for _ in range(100):
        try:
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_waits_ends_with_the_one_that_started_it(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from parsimony.measurement.processes import forked, texts_file\n"
        "with texts_file(['hello']) as texts, forked(Path(sys.argv[1]), texts, 1) as it: pass\n"
        "print(it.process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, check=True)
    assert ended(int(done.stdout)), done.stderr
