"""Every call that a publication makes to a server of MLflow, spoiled in each way; then everything once more, to success."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import pytest
from test_registry import MODEL, decision_on, free_port, mlflow_process

from parsimony.decision.records import Decision
from parsimony.tasks.publish import settle
from parsimony.tasks.registry.promotion import reconcile, rollback
from parsimony.tasks.registry.tracking import Registry
from tests.storm import checker
from tests.storm.forks import Outcome, done
from tests.storm.material import Base, Ground, digest_in, publish
from tests.storm.proxy import FAULTS, Fault, Proxy, proxy
from tests.storm.records import SuiteResult, Tally, part
from tests.storm.stops import told_what_is

ROLLBACKS, ROLLBACK_LIMIT_S = 10, 5.0
KNOWN = ("InfrastructureError", "UnsettledError", "UnreachableError")
# One more try, at once: what the tries of a run do not reach is what counts here.
_QUICK = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
_SERVER = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": r"^models:/m-[0-9a-f]{32}\Z",
}


@dataclass(slots=True, kw_only=True)
class Field:
    """A server of MLflow, the proxy before it, the database behind it, and the model on which trials publish one after the other."""

    behind: Ground
    before: Ground
    between: Proxy
    model: str = "model-0"
    promoted: int = 0

    def next_decision(self) -> Decision:
        """Return a decision that nobody has published yet."""
        self.promoted += 1
        name = f"{self.model}-{self.promoted}"
        decision = decision_on(self.behind.home / "bundles", name)
        return replace(decision, model=self.model, reference=name, reason=f"the {self.promoted}th of {self.model}")

    def another_model(self) -> None:
        """Go on with a model that no trial has touched."""
        self.model, self.promoted = f"{self.model}x", 0
        self.publish(self.next_decision())

    def publish(self, decision: Decision) -> Outcome:
        """Publish in a process of its own."""
        run = f"run-{uuid.uuid4().hex[:8]}"
        return done(lambda: publish(decision, self.before, run), self.behind.log)


def every_call(field: Field, share: float, rng: random.Random) -> SuiteResult:
    """Spoil each call of a publication in each way."""
    field.another_model()
    field.between.spoil(0, None)
    field.publish(field.next_decision())
    calls = list(field.between.requests)
    trials = [(number, fault) for number in range(1, len(calls) + 1) for fault in FAULTS]
    tally = Tally(name="a call to MLflow's server spoiled", whole=len(trials))
    told = violations = 0
    for number, fault in rng.sample(trials, part(len(trials), share)):
        with tally.trial(f"{fault} at call {number} of {len(calls)}, {calls[number - 1]}"):
            told += spoiled(field, number, fault)
        if len(tally.violations) > violations:
            violations = len(tally.violations)
            field.another_model()
    return tally.result(f"{len(calls)} calls of a publication x {len(FAULTS)} ways; {told} runs were told to try again")


def spoiled(field: Field, number: int, fault: Fault, path: str = "") -> bool:
    """Publish with one call spoiled (of those whose path ends so), hold what that leaves, and publish again.

    Say whether the first one was refused.
    """
    decision = field.next_decision()
    field.between.spoil(number, fault, path)
    outcome = field.publish(decision)
    assert len(field.between.requests) >= number, f"there was no call {number}"
    field.between.spoil(0, None)
    assert outcome.end in ("ended", "raised"), outcome.end
    state = checker.facts(field.behind, field.model)
    checker.check(state)
    digest = digest_in(decision)
    if outcome.end == "ended":
        assert state.head is not None and state.head.said["digest"] == digest, "told that it promoted, and did not"
    else:
        assert outcome.error.startswith(KNOWN), outcome.error
        told_what_is(field.behind, state)
    again = done(lambda: _again(field, decision), field.behind.log)
    assert again.end == "ended", f"again: {again.error}"
    state = checker.facts(field.behind, field.model)
    checker.check_settled(state, digest)
    made = [number for number, tags in state.versions.items() if tags.get("digest") == digest]
    assert len(made) == 1, f"one bundle has versions {made}"
    return outcome.end == "raised"


def _again(field: Field, decision: Decision) -> None:
    reconcile(field.before.registry, field.model)
    settle(field.before.registry, field.before.runs)
    publish(decision, field.before, f"run-{uuid.uuid4().hex[:8]}")


def timed(base: Base, field: Field, share: float, _: random.Random) -> SuiteResult:
    """Roll back to and fro on a database and on a server; one that takes five seconds is a violation."""
    tally = Tally(name="rollback, timed", whole=2 * ROLLBACKS)
    direct, served = rollbacks(base, field, part(ROLLBACKS, share))
    for where, taken in (("SQLite", direct), ("MLflow's server", served)):
        for number, seconds in enumerate(taken):
            with tally.trial(f"rollback {number} on {where}"):
                assert seconds < ROLLBACK_LIMIT_S, f"{seconds:.2f} s"
    longest = (
        f"at most {max(direct):.2f} s on SQLite, {max(served):.2f} s on a server; the limit is {ROLLBACK_LIMIT_S:.0f} s"
    )
    return tally.result(f"{longest}; load of the machine {os.getloadavg()[0]:.0f}")


def rollbacks(base: Base, field: Field, times: int) -> tuple[list[float], list[float]]:
    """Return the seconds of several rollbacks on a database and on a server."""

    def measure(ground: Ground, model: str) -> list[float]:
        taken = []
        for number in range(times):
            begun = time.monotonic()
            rollback(ground.registry, model, "timed", to=str(1 + number % 2))
            taken.append(time.monotonic() - begun)
        return taken

    field.another_model()
    field.publish(field.next_decision())
    with base.ground() as ground:
        direct = done(lambda: measure(ground, MODEL), ground.log)
    served = done(lambda: measure(field.before, field.model), field.behind.log)
    if (direct.end, served.end) != ("ended", "ended"):
        raise RuntimeError(f"{direct} {served}")
    return direct.value, served.value


@contextmanager
def field_on(base: Base) -> Iterator[Field]:
    """Run MLflow's server on a copy of the base that has no champion, and a proxy before it."""
    with base.ground(empty=True) as behind, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        root = f"http://127.0.0.1:{(port := free_port())}"
        arguments = [
            "server", "--port", str(port), "--workers", "1", "--backend-store-uri", behind.registry.tracking_uri,
            "--artifacts-destination", str(behind.stored),
        ]  # fmt: skip
        stack.enter_context(mlflow_process(arguments, behind.home, health=f"{root}/health", environment=_SERVER))
        between = stack.enter_context(proxy(port))
        for name, value in _QUICK.items():
            patch.setenv(name, value)
        before = replace(behind, registry=Registry(tracking_uri=f"http://127.0.0.1:{between.port}"))
        yield Field(behind=behind, before=before, between=between)
