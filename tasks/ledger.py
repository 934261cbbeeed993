"""The ledger of sealed splits: which questions each of them has answered, in any run and for any model.

Every look at a sealed split wears it out a little, because what is promoted next depends on what was seen. The ledger is
an experiment in MLflow, shared by all who share the registry; a question is one run in it, and is written down before
the split is read. The same question again (same bundles, same order, same gates) tells nothing new and counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.tracking import RUN_TAG, Registry, connected, experiment_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "parsimony-ledger"
_SPLIT_TAG, _QUESTION_TAG, _MODEL_TAG = "parsimony.sealed_digest", "parsimony.question", "parsimony.model"
_PAGE = 1_000


def questions(registry: Registry, sealed_digest: str) -> frozenset[str]:
    """Return the digests of all questions that this sealed split has answered."""
    with connected(registry) as client:
        return _questions(client, experiment_of(client, registry, EXPERIMENT), sealed_digest)


def expose(registry: Registry, sealed_digest: str, question: str, *, model: str, run_id: str) -> int:
    """Write down that a sealed split is about to answer a question; return how many it has answered then."""
    with connected(registry) as client:
        experiment = experiment_of(client, registry, EXPERIMENT)
        if question not in _questions(client, experiment, sealed_digest):
            tags = {_SPLIT_TAG: sealed_digest, _QUESTION_TAG: question, _MODEL_TAG: model, RUN_TAG: run_id}
            created = client.create_run(experiment, run_name=f"{model} {run_id}", tags=tags)
            client.set_terminated(created.info.run_id)
        return len(_questions(client, experiment, sealed_digest))


def _questions(client: MlflowClient, experiment: str, sealed_digest: str) -> frozenset[str]:
    found: set[str] = set()
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment], f"tags.`{_SPLIT_TAG}` = '{sealed_digest}'", max_results=_PAGE, page_token=token
        )
        found |= {run.data.tags[_QUESTION_TAG] for run in page}
        token = page.token
        if not token:
            return frozenset(found)
