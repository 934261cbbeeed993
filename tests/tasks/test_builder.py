"""Candidates are built in a process of their own: what ends badly there is a reason, and the next one is built."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tinymodels import LABELS, base_of, checkpoint, spec_of, tables

from parsimony.candidates import Candidate, ModelSpec
from parsimony.compression import build as bundles
from parsimony.compression.build import Sources
from parsimony.compression.technique import DoesNotApplyError
from parsimony.data.table import Texts
from parsimony.errors import InfrastructureError
from parsimony.tasks.builder import Build, Limits, NotBuiltError, building

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
LIMITS = Limits(least_s=10.0, memory_bytes=4_000_000_000)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Build candidates whose end is known beforehand."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    with building(LIMITS, "ending_worker") as build:
        yield build


def candidate(base: str) -> Candidate:
    return Candidate(spec=ModelSpec(family="encoder", base=base, shape=()), techniques=())


def sources(folder: Path) -> Sources:
    texts = Texts.of(["one", "two \u2028 \n three"])
    return Sources(checkpoint=folder, base=folder, texts=texts, labels=("a", "b"), data_digest="d")


def process_of(build: Build, folder: Path, name: str) -> int:
    """Build a candidate that ends well, and return the number of the process that did."""
    made = build(candidate("well"), sources(folder), folder / "bundles" / name)
    number, texts = (Path(made.folder) / "process").read_text(encoding="utf-8").split()
    assert texts == "2"
    return int(number)


def test_the_child_imports_nothing_from_the_folder_where_the_run_was_started(
    ending: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "selectors.py").write_text("raise SystemExit('a module of the working folder')", encoding="utf-8")
    (tmp_path / "json.py").write_text("raise SystemExit('a module of the working folder')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert process_of(ending, tmp_path, "one") > 0


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("crash", r"^the process that built it ended \(SIGSEGV\)"),
        ("killed", "^the process that built it was killed, as the system does when memory runs out$"),
        ("exit", r"^the process that built it ended \(exit status 3\): a last word$"),
        ("memory", "^out of memory: MemoryError$"),
        ("panic", "^Panic: called `unwrap` on a `None` value$"),
    ],
)
def test_a_candidate_that_ends_badly_is_a_reason_and_the_next_one_is_built(
    ending: Build, tmp_path: Path, end: str, reason: str
) -> None:
    first = process_of(ending, tmp_path, "first")
    with pytest.raises(NotBuiltError, match=reason):
        ending(candidate(end), sources(tmp_path), tmp_path / "bundles" / "bad")
    assert (process_of(ending, tmp_path, "second") == first) == (end == "panic")
    assert sorted(p.name for p in (tmp_path / "bundles").iterdir()) == ["first", "second"]


def test_a_candidate_that_hangs_is_stopped_and_leaves_no_process(tmp_path: Path, ending: Build) -> None:
    start = time.monotonic()
    with pytest.raises(NotBuiltError, match="took more than 10 s and was stopped"):
        ending(candidate("hang"), sources(tmp_path), tmp_path / "bundles" / "bad")
    assert time.monotonic() - start < 60
    assert list((tmp_path / "bundles").iterdir()) == []
    process_of(ending, tmp_path, "second")


def test_what_no_other_candidate_would_be_spared_is_raised_as_what_it_is(ending: Build, tmp_path: Path) -> None:
    with pytest.raises(DoesNotApplyError, match="^no such layer$"):
        ending(candidate("does not apply"), sources(tmp_path), tmp_path / "b")
    with pytest.raises(OSError, match="No space left on device") as full:
        ending(candidate("disk"), sources(tmp_path), tmp_path / "b")
    assert full.value.errno == 28
    with pytest.raises(ImportError, match="onnx_ir") as missing:
        ending(candidate("library"), sources(tmp_path), tmp_path / "b")
    assert (missing.value.name, missing.value.path) == ("onnx_ir", None)


def test_a_process_that_cannot_start_is_no_fault_of_a_candidate(tmp_path: Path) -> None:
    with (
        building(LIMITS, "no_such_module") as build,
        pytest.raises(InfrastructureError, match="did not start.*no_such_module"),
    ):
        build(candidate("well"), sources(tmp_path), tmp_path / "b")


KILLED = """
import os, signal, sys
from pathlib import Path
from test_builder import LIMITS, candidate, process_of, sources
from parsimony.tasks.builder import building
folder = Path(sys.argv[1])
with building(LIMITS, "ending_worker") as build:
    print(process_of(build, folder, "first"), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_takes_the_process_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}:{TESTS / 'tasks'}")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    end = time.monotonic() + 5
    while Path(f"/proc/{int(done.stdout)}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{int(done.stdout)}").exists()


def test_a_candidate_has_the_same_bytes_in_a_process_of_its_own(tmp_path: Path) -> None:
    trained, labels = checkpoint("bert", "student"), LABELS
    made = Sources(
        checkpoint=Path(trained.folder),
        base=base_of("bert"),
        texts=Texts.of(tables()[0].texts),
        labels=labels,
        data_digest="d",
    )
    one = Candidate(spec=spec_of("bert", "student"), techniques=("trim", "int8"))
    with building() as build:
        separate = build(one, made, tmp_path / "child")
    assert separate.digest == bundles.build(one, made, tmp_path / "here").digest
