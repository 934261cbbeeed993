"""A training that is killed goes on from its last sound checkpoint, and ends with the weights of one that was not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tinymodels import LABELS, base_of, checkpoint, freeze, material, spec_of, tables

from parsimony.data.labels import class_numbers
from parsimony.files import is_complete
from parsimony.training import checkpoint_store, resumption
from parsimony.training.checkpoint_store import PARTIAL, checkpoint_of, key_of
from parsimony.training.classifier import Classifier, features, load_base
from parsimony.training.examples import Examples, Teacher
from parsimony.training.trainer import Recipe, Trained, train
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
RECIPE = Recipe(epochs=6, patience=6, learning_rate=5e-3, batch_size=16)
TRAIN, VALIDATION, _ = tables()


def fresh() -> Classifier:
    freeze()
    return load_base(base_of("bert"), classes=4, max_tokens=32)


def weights(classifier: Classifier) -> np.ndarray:
    return torch.cat(
        [p.detach().flatten() for p in (*classifier.encoder.parameters(), *classifier.head.parameters())]
    ).numpy()


def lessons(classifier: Classifier, kind: str) -> list[Examples]:
    """Return the examples to train on and to validate with; a student also learns what a teacher makes of them."""
    made = []
    for table in (TRAIN, VALIDATION):
        rows, numbers = token_ids(classifier.tokenizer, table.texts), class_numbers(table.labels, LABELS)
        logits = np.full((len(rows), 4), -4.0, dtype=np.float32)
        logits[np.arange(len(rows)), numbers] = 4.0
        teacher = None if kind == "labels" else Teacher(logits=logits, states=features(classifier, rows))
        made.append(Examples(rows=rows, targets=numbers, teacher=teacher))
    return made


def trained(kind: str, place: Path | None, recipe: Recipe = RECIPE) -> tuple[np.ndarray, Trained]:
    torch.set_num_threads(1)
    classifier = fresh()
    done = train(classifier, *lessons(classifier, kind), recipe, 1, place)
    return weights(classifier), done


KILLED = """
import os, signal, sys
from pathlib import Path
import transformers
from parsimony.training import resumption
import test_resumption as tests

saved = int(sys.argv[3])
resumption.SAVE_EVERY_S = 0.0
real = resumption.write_manifest
def write(folder, facts):
    real(folder, facts)
    if facts["step"] >= saved:
        os.kill(os.getpid(), signal.SIGKILL)
resumption.write_manifest = write
tests.trained(sys.argv[1], Path(sys.argv[2]))
"""


def kill_after(kind: str, place: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in another process, which is killed when it has saved this step."""
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}:{TESTS / 'training'}")
    command = [sys.executable, "-c", KILLED, kind, str(place), str(step)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("labels", 22),
        pytest.param("labels", 27, marks=pytest.mark.long),
        pytest.param("teacher", 13, marks=pytest.mark.long),
        pytest.param("teacher", 40, marks=pytest.mark.long),
    ],
)
def test_a_training_that_is_killed_ends_with_the_same_weights_to_the_last_bit(
    kind: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass has 9 steps: it is killed within one and at the end of one, before and while weights are rounded."""
    place = tmp_path / "place"
    kill_after(kind, place, step, monkeypatch)
    known = resumption.progress(place)
    assert known is not None and known.steps == step
    again, done = trained(kind, place)
    whole, undisturbed = trained(kind, None)
    np.testing.assert_array_equal(again, whole)
    assert done == undisturbed


def test_a_training_that_had_stopped_early_is_not_trained_further(tmp_path: Path) -> None:
    hopeless = replace(RECIPE, epochs=20, patience=1, learning_rate=1e-9)
    first = trained("labels", tmp_path, hopeless)
    again = trained("labels", tmp_path, hopeless)
    assert first[1] == again[1] and first[1].epochs < 20
    np.testing.assert_array_equal(first[0], again[0])


def test_a_checkpoint_that_was_cut_off_is_not_used_and_the_one_before_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    kill_after("teacher", place, 5, monkeypatch)
    newest = place / "checkpoint-5"
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:-1])
    known = resumption.progress(place)
    assert known is not None and known.steps == 4
    assert not newest.exists()


def test_a_place_that_was_moved_is_not_used_because_the_trainer_would_lose_its_best_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_after("labels", tmp_path / "place", 22, monkeypatch)
    shutil.move(tmp_path / "place", tmp_path / "moved")
    assert resumption.progress(tmp_path / "moved") is None
    assert list((tmp_path / "moved").iterdir()) == []


def test_what_a_training_goes_on_from_goes_when_it_is_complete(tmp_path: Path) -> None:
    start = Path(checkpoint("bert", "frozen").folder)
    made = checkpoint_of(material(base_of("bert"), spec_of("bert", "reference"), start), "data", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [made.key]
    assert is_complete(tmp_path / made.key)


SLOW = """
import sys, time
from pathlib import Path
from parsimony.files.locks import held
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
with held(folder):
    print("trains", flush=True)
    time.sleep(3)
"""


def test_two_runs_of_one_plan_do_not_train_the_same_model_at_once(tmp_path: Path) -> None:
    made = material(base_of("bert"), spec_of("bert", "linear"))
    place = tmp_path / f"{key_of(made, 'data')}{PARTIAL}"
    with subprocess.Popen([sys.executable, "-c", SLOW, str(place)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"trains\n"
        start = time.monotonic()
        checkpoint_store.checkpoint_of(made, "data", tmp_path)
        assert time.monotonic() - start > 2.0
    assert not place.exists()
