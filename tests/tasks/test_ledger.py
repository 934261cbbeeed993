"""The ledger counts different questions to one test split, whoever asks them."""

from __future__ import annotations

from pathlib import Path

import pytest

from parsimony.tasks.registry.ledger import EXPERIMENT, questions, record_question
from parsimony.tasks.registry.tracking import Registry, connected, experiment_of

pytestmark = pytest.mark.slow
SPLIT, OTHER = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("ledger")
    return Registry(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_root=str(folder / "artifacts"))


def test_a_question_counts_once_and_another_one_more(registry: Registry) -> None:
    assert questions(registry, SPLIT) == frozenset()
    asked = [
        record_question(registry, SPLIT, question, model=model, run_id=run)
        for question, model, run in (("q1", "m", "1"), ("q1", "m", "2"), ("q2", "other", "3"), ("q1", "m", "4"))
    ]
    assert asked == [1, 1, 2, 2]
    assert questions(registry, SPLIT) == {"q1", "q2"}


def test_another_split_has_its_own_count(registry: Registry) -> None:
    assert record_question(registry, OTHER, "q1", model="m", run_id="5") == 1
    assert "q2" not in questions(registry, OTHER)


def test_the_ledger_is_found_again_by_whoever_opens_the_same_registry(registry: Registry, tmp_path: Path) -> None:
    again = Registry(tracking_uri=registry.tracking_uri, artifact_root=str(tmp_path))
    record_question(registry, "c" * 64, "q", model="m", run_id="6")
    assert questions(again, "c" * 64) == {"q"}


def test_questions_that_version_0_1_wrote_down_still_count(registry: Registry) -> None:
    split = "d" * 64
    record_question(registry, split, "new", model="m", run_id="7")
    with connected(registry) as client:
        experiment = experiment_of(client, registry, EXPERIMENT)
        client.create_run(experiment, tags={"parsimony.sealed_digest": split, "parsimony.question": "old"})
    assert questions(registry, split) == {"new", "old"}
    assert record_question(registry, split, "old", model="m", run_id="8") == 2
