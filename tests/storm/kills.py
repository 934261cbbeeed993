"""Killed at a time drawn by chance, some also while they recover; then everything once more, to success."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from test_registry import MODEL

from tests.storm import checker
from tests.storm.forks import fork
from tests.storm.material import Base, Ground, Verb, begin_again, verbs
from tests.storm.records import SuiteResult, Tally, part
from tests.storm.stops import finish, prepare

WHOLE, TWICE = 300, 50


def at_any_time(bases: Sequence[Base], share: float, rng: random.Random) -> SuiteResult:
    """Kill a publication, or another verb one time in four, at any time; one in six is killed again while it recovers."""
    tally = Tally(name="killed at a time drawn by chance", whole=WHOLE)
    trials, late = part(WHOLE, share), 0
    twice = set(rng.sample(range(trials), part(trials, TWICE / WHOLE)))
    seconds = _seconds(bases[0])
    for number in range(trials):
        seed = rng.randrange(2**32)
        one, base = random.Random(seed), bases[number % len(bases)]
        verb = one.choice(verbs(base)) if one.random() < 0.25 else verbs(base)[one.random() < 0.2]
        with tally.trial(f"{base.kind}, {verb.name}, seed {seed}"), base.ground(empty=verb.empty) as ground:
            prepare(ground, verb)
            for _ in range(1 + (number in twice)):
                late += _killed(ground, verb, one.uniform(0, seconds))
            finish(ground, verb)
    return tally.result(f"{len(twice)} of them killed twice in a row; {late} had ended before the kill")


def _seconds(base: Base) -> float:
    """Return how long a publication takes that nothing stops."""
    with base.ground() as ground:
        begun = time.monotonic()
        finish(ground, verbs(base)[0])
        return time.monotonic() - begun


def _killed(ground: Ground, verb: Verb, after_s: float) -> bool:
    """Kill a verb after so many seconds, and hold what it leaves; say whether it had ended by itself."""

    def act(_: int) -> None:
        begin_again(ground)
        verb.do(ground)

    process = fork(act, ground.log)
    time.sleep(after_s)
    process.kill()
    outcome = process.end()
    assert outcome.end in ("killed", "ended"), f"{outcome.end} {outcome.error}"
    checker.check(checker.facts(ground, MODEL))
    return outcome.end == "ended"
