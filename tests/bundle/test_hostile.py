"""A stranger's bundle can at worst be refused: the process lives, no other file is read, memory and time are bounded."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import hostile
import numpy as np
import pytest
from bundles import write_tiny_bundle

from parsimony.bundle import predict, trial
from parsimony.bundle.expression_check import check_expression
from parsimony.bundle.folder import MODEL, TOKENIZER
from parsimony.bundle.graph_check import problems_of
from parsimony.bundle.tokenizer_check import check_tokenizer
from parsimony.errors import InfrastructureError

# What no check of a file can see is seen by the process in which a bundle is tried out.
IN_PROCESS = sorted(name for name in hostile.CASES if "computed" not in name)
QUICK = random.Random(14).sample(IN_PROCESS, 40)
# Tried out in a process of their own wherever tests run: what nothing else sees, and a fourth of the others.
TRIED = [name for name in hostile.CASES if name not in IN_PROCESS or name in IN_PROCESS[::4]]
MOST_BYTES, MOST_S = 2**30, 60
TEXT = "hello rain, and a word that is not known"
CANARY = np.full(18, 7.25, dtype=np.float32).tobytes()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a file that no bundle may read."""
    (tmp_path / hostile.SECRET).write_bytes(CANARY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(folder: Path) -> str:
    with pytest.raises(InfrastructureError) as caught:
        predict.finite(predict.logits(predict.load(folder), TEXT))
    return str(caught.value)


def test_there_are_a_hundred_cases_and_more() -> None:
    assert len(hostile.CASES) >= 150
    assert all(len(kind) >= 30 for kind in (hostile.GRAPHS, hostile.TOKENIZERS, hostile.FILES))


@pytest.mark.parametrize("name", QUICK)
def test_a_hostile_bundle_is_refused_in_one_line(name: str, work: Path) -> None:
    hostile.CASES[name](work / "b")
    assert len(refusal(work / "b").splitlines()) == 1
    assert (work / hostile.SECRET).read_bytes() == CANARY


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(IN_PROCESS) - set(QUICK)))
def test_every_other_hostile_bundle_is_refused_in_one_line(name: str, work: Path) -> None:
    hostile.CASES[name](work / "b")
    assert len(refusal(work / "b").splitlines()) == 1
    assert (work / hostile.SECRET).read_bytes() == CANARY


Trials: TypeAlias = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """Try out some cases from a process whose only children are the trials, so that the largest of them is known."""
    return tried(tmp_path_factory.mktemp("trials"), TRIED)


@pytest.fixture(scope="module")
def other_trials(tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """Try out all other cases."""
    return tried(tmp_path_factory.mktemp("trials"), [name for name in hostile.CASES if name not in TRIED])


def tried(work: Path, names: list[str]) -> Trials:
    """Try out cases in a working folder with a file that none of them may read."""
    (work / hostile.SECRET).write_bytes(CANARY)
    code = "import sys; sys.path[:] = sys.argv[2:]; import hostile_trials; hostile_trials.main(sys.argv[1])"
    command = [sys.executable, "-c", code, json.dumps(names), *sys.path]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True)
    assert (work / hostile.SECRET).read_bytes() == CANARY
    return {trial["name"]: trial for trial in map(json.loads, done.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_a_hostile_bundle_is_tried_out_within_limits(name: str, trials: Trials) -> None:
    is_within_limits(trials[name])


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in hostile.CASES if name not in TRIED])
def test_every_other_hostile_bundle_is_tried_out_within_limits(name: str, other_trials: Trials) -> None:
    is_within_limits(other_trials[name])


def is_within_limits(trial: dict[str, Any]) -> None:
    assert trial["seconds"] < MOST_S
    assert trial["peak_bytes"] < MOST_BYTES
    assert len(trial["refusal"].splitlines()) == 1


def stored_prediction(model: Any, folder: Path) -> object:
    model.load_context(SimpleNamespace(artifacts={"bundle": str(folder)}))
    return model.predict(None, [TEXT])


@pytest.mark.slow
def test_the_stored_model_code_refuses_what_the_loader_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = runpy.run_path(str(Path(__file__).parents[2] / "mlflow" / "bundle_model.py"))
    (tmp_path / hostile.SECRET).write_bytes(CANARY)
    monkeypatch.chdir(tmp_path)
    checked = [name for name in IN_PROCESS if not name.startswith("files: ") and "random map" not in name]
    checked += [f"files: {kind} as {MODEL}" for kind in ("pipe", "link", "hard link", "folder", "endless link")]
    for number, name in enumerate(checked):
        hostile.CASES[name](tmp_path / str(number))
        with pytest.raises((ValueError, OSError), match="."):
            stored_prediction(code["BundleModel"](), tmp_path / str(number))


@pytest.mark.parametrize("seed", range(40))
def test_a_mutated_graph_is_read_or_refused_by_the_walk(seed: int, tmp_path: Path) -> None:
    """Never another error than ValueError, and quickly."""
    rng = random.Random(seed)
    write_tiny_bundle(tmp_path / "b")
    whole = (tmp_path / "b" / MODEL).read_bytes()
    for _ in range(25):
        start = time.process_time()
        with contextlib.suppress(ValueError):
            assert all(len(problem.splitlines()) == 1 for problem in problems_of(hostile.mutated(whole, rng)))
        assert time.process_time() - start < 1


@pytest.mark.slow
def test_a_mutated_graph_that_the_walk_lets_through_costs_no_process(work: Path) -> None:
    rng, tried = random.Random(14), 0
    write_tiny_bundle(work / "b")
    whole = (work / "b" / MODEL).read_bytes()
    while tried < 40:
        content = hostile.mutated(whole, rng)
        try:
            if problems_of(content):
                continue
        except ValueError:
            continue
        tried += 1
        (work / "b" / MODEL).write_bytes(content)
        hostile.vouch(work / "b")
        with contextlib.suppress(InfrastructureError):
            trial.try_out(work / "b")
    assert (work / hostile.SECRET).read_bytes() == CANARY


# --- what the walk sees ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in hostile.GRAPHS if "pointer" in name])
def test_a_pointer_is_found_however_it_is_spelled(name: str, work: Path) -> None:
    """With bits above 32 in a tag ONNX Runtime read the file: its parser drops them, the walk kept them."""
    hostile.GRAPHS[name](work / "b")
    assert "keeps weights in other files" in (said := refusal(work / "b")) or "is not an ONNX graph" in said


@pytest.mark.slow
def test_a_walk_is_quick_however_many_parts_there_are() -> None:
    for content in (b"\x3a\x80\x80\x80\x04" + b"\x0a\x00" * 2**22, b"\x42\x00" * 2**22):
        start = time.process_time()
        with pytest.raises(ValueError, match="found too many values"):
            problems_of(content)
        assert time.process_time() - start < 5


# --- expressions ----------------------------------------------------------------------------------

IN_USE = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{M}]*[\p{Ll}\p{Lm}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}",
    r"\d{1,3}(?=(?:\d{3})*\b)", r" {2,}", r" ?[^(\s|[.,!?…。，、।۔،])]+", r"\s+", "``|''",
)  # fmt: skip


@pytest.mark.parametrize("expression", IN_USE)
def test_expressions_of_tokenizers_that_are_in_use_are_known(expression: str) -> None:
    check_expression(expression)


@pytest.mark.parametrize("expression", hostile.EXPRESSIONS)
def test_an_expression_that_can_take_for_ever_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="its expression"):
        check_expression(expression)


# --- what is not hostile --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sound_bundle_passes_its_trial_and_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(write_tiny_bundle(tmp_path / "b", windows="mean").folder)
    assert check_tokenizer((folder / TOKENIZER).read_bytes())
    assert problems_of((folder / MODEL).read_bytes()) == []
    trial.require(folder)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    trial.require(folder)
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path))
    write_tiny_bundle(tmp_path / "other", name="other")
    trial.require(tmp_path / "other")  # in our own home: nothing is started
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime == before


@pytest.mark.slow
def test_the_process_of_a_trial_imports_nothing_from_the_working_folder(work: Path) -> None:
    for name in ("numpy", "json", "tokenizers", "parsimony"):
        (work / f"{name}.py").write_text(f"open('{work / 'touched'}', 'w')\nraise SystemExit(3)\n", encoding="utf-8")
    trial.try_out(Path(write_tiny_bundle(work / "b").folder))
    assert not (work / "touched").exists()
