"""Many processes that promote at once, a tenth of them killed meanwhile."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from test_registry import MODEL, connected

from parsimony.decision.records import Decision
from parsimony.tasks.registry.promotion import promote, reconcile
from parsimony.tasks.registry.stored_bundles import Verified
from parsimony.tasks.registry.versions import Draft, create_version
from tests.storm import checker
from tests.storm.forks import Outcome, done, fork
from tests.storm.material import Base, Ground, bundle_of
from tests.storm.records import Suite, SuiteResult, Tally, part

SIZES, WHOLE, KILLED = (2, 8, 32), 100, 0.1
_LIMIT_S = 900.0  # thirty-two processes on one busy core


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One who promotes: what was decided, and its version."""

    decision: Decision
    verified: Verified


def suites(bases: Sequence[Base]) -> list[Suite]:
    """Return a suite for each size of a crowd, on the base that takes most writers."""
    return [partial(_promoting, bases[-1], size) for size in SIZES]


def _promoting(base: Base, size: int, share: float, rng: random.Random) -> SuiteResult:
    tally = Tally(name=f"{size} promote at once", whole=WHOLE)
    won = refused = killed = 0
    for _ in range(part(WHOLE, share)):
        seed = rng.randrange(2**32)
        with tally.trial(f"{base.kind}, seed {seed}"), base.ground() as ground:
            outcomes = _race(ground, _entrants(base, ground, size), random.Random(seed))
            won += sum(each.end == "ended" for each in outcomes)
            refused += sum(each.end == "raised" for each in outcomes)
            killed += sum(each.end == "killed" for each in outcomes)
            _hold(ground, outcomes)
    return tally.result(
        f"on {base.kind}; {won} promoted, {refused} were told that others were faster, {killed} were killed"
    )


def _entrants(base: Base, ground: Ground, size: int) -> list[Entrant]:
    """Register a version for each, with a digest of its own; no file of it is read in a race."""
    judged = base.decisions["a"].judged[0]
    digests = [hashlib.sha256(f"entrant {number}".encode()).hexdigest() for number in range(size)]

    def register() -> dict[str, str]:
        with connected(ground.registry) as client:
            first = client.get_model_version(MODEL, "1")
            for digest in digests:
                tags = {**first.tags, "digest": digest}
                draft = Draft(name=MODEL, source=str(first.source), tags=tags, description="")
                create_version(client, ground.registry, draft)
            return {v.tags["digest"]: str(v.version) for v in client.search_model_versions(f"name='{MODEL}'")}

    versions = done(register, ground.log).value
    entrants = []
    for number, digest in enumerate(digests):
        built = replace(bundle_of(base.decisions["a"]), digest=digest)
        decision = replace(
            base.decisions["a"],
            judged=(replace(judged, bundle=built),),
            reason=f"entrant {number}",
            run_id=f"e{number}",
        )
        entrants.append(Entrant(decision=decision, verified=Verified(version=versions[digest], digest=digest)))
    return entrants


def _race(ground: Ground, entrants: Sequence[Entrant], rng: random.Random) -> list[Outcome]:
    """Let all promote at once; one in ten is killed at a time drawn by chance."""
    begin = time.monotonic() + 0.2 + 0.02 * len(entrants)
    forks = [fork(partial(_promote, ground, entrant, begin), ground.log) for entrant in entrants]
    doomed = sorted((begin + rng.uniform(0, 0.6), each) for each in forks if rng.random() < KILLED)
    for at, each in doomed:
        time.sleep(max(0.0, at - time.monotonic()))
        each.kill()
    return [each.end(_LIMIT_S) for each in forks]


def _promote(ground: Ground, entrant: Entrant, begin: float, _: int) -> int:
    with connected(ground.registry) as client:
        client.search_registered_models(max_results=1)  # connected before the start
    time.sleep(max(0.0, begin - time.monotonic()))
    return promote(ground.registry, entrant.decision, entrant.verified).number


def _hold(ground: Ground, outcomes: Sequence[Outcome]) -> None:
    """Hold that whoever was told that it promoted is in the chain, that nobody is in it twice, and that the alias follows."""
    state = checker.facts(ground, MODEL)
    checker.chain(state)
    numbers = [entry.number for entry in state.counted]
    promoted = [each.value for each in outcomes if each.end == "ended"]
    assert set(promoted) <= set(numbers), (
        f"told that they promoted, and not in the journal: {set(promoted) - set(numbers)}"
    )
    versions = [entry.said["version"] for entry in state.counted[2:]]
    assert len(set(versions)) == len(versions), f"promoted twice: {versions}"
    assert len(versions) <= len(promoted) + sum(each.end == "killed" for each in outcomes), (
        "one was told that it failed"
    )
    assert all(each.end != "endless" for each in outcomes), "one did not end"
    for each in outcomes:
        known = "other runs promoted" in each.error or "is locked" in each.error or "does not follow" in each.error
        assert each.end != "raised" or known, each.error
    mended = done(partial(reconcile, ground.registry, MODEL), ground.log)
    assert mended.end == "ended", mended.error
    state = checker.facts(ground, MODEL)
    assert state.head is not None and state.alias == state.head.said["version"], f"the alias names {state.alias}"
