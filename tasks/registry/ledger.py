"""The ledger of test splits: which questions each of them has answered, in any run and for any model.

Every look at a test split uses it up a little, because what is promoted next depends on what came out. The ledger is
an experiment in MLflow, shared by all who share the registry; a question is one run in it, and is written down before
the split is read. The same question again (same bundles, same order, same gates) tells nothing new and counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from parsimony.tasks.registry.tracking import RUN_TAG, Registry, connected, experiment_of

if TYPE_CHECKING:
    from mlflow import MlflowClient


EXPERIMENT = "parsimony-ledger"
_SPLIT_TAG, _QUESTION_TAG, _MODEL_TAG = "parsimony.test_digest", "parsimony.question", "parsimony.model"
_OLD_SPLIT_TAG = "parsimony.sealed_digest"  # of version 0.1: what a split has answered stays answered
_PAGE = 1_000


def questions(registry: Registry, test_digest: str) -> frozenset[str]:
    """Return the digests of all questions that this test split has answered."""
    with connected(registry) as client:
        return _questions(client, experiment_of(client, registry, EXPERIMENT), test_digest)


def record_question(registry: Registry, test_digest: str, question: str, *, model: str, run_id: str) -> int:
    """Write down that a test split is about to answer a question; return how many it has answered then."""
    with connected(registry) as client:
        experiment = experiment_of(client, registry, EXPERIMENT)
        if question not in _questions(client, experiment, test_digest):
            tags = {_SPLIT_TAG: test_digest, _QUESTION_TAG: question, _MODEL_TAG: model, RUN_TAG: run_id}
            created = client.create_run(experiment, run_name=f"{model} {run_id}", tags=tags)
            client.set_terminated(created.info.run_id)
        return len(_questions(client, experiment, test_digest))


def _questions(client: MlflowClient, experiment: str, test_digest: str) -> frozenset[str]:
    return frozenset().union(*(_tagged(client, experiment, tag, test_digest) for tag in (_SPLIT_TAG, _OLD_SPLIT_TAG)))


def _tagged(client: MlflowClient, experiment: str, tag: str, test_digest: str) -> frozenset[str]:
    digests: set[str] = set()
    token: str | None = None
    while True:
        page = client.search_runs([experiment], f"tags.`{tag}` = '{test_digest}'", max_results=_PAGE, page_token=token)
        digests |= {run.data.tags[_QUESTION_TAG] for run in page}
        token = page.token
        if not token:
            return frozenset(digests)
