"""Two who change one journal, in every order of at most two interruptions, each state taken as one in which both have crashed."""

from __future__ import annotations

import random
from itertools import combinations_with_replacement
from pathlib import Path

import test_schedules

from tests.storm.records import SuiteResult, Tally, part

ACTIONS = ("promotes", "promotes an older one", "rolls back", "rolls back to the first", "holds", "reconciles")


def every_order(folder: Path, share: float, rng: random.Random) -> SuiteResult:
    """Visit every state of every pair of actions; a lost response is one more way to go on."""
    story = test_schedules.told(folder)
    pairs = list(combinations_with_replacement(ACTIONS, 2))
    tally = Tally(name="two actors in every order, a crash in every state", whole=0)
    chosen = rng.sample(pairs, part(len(pairs), share))
    states = 0
    for pair in chosen:
        actions = (test_schedules.who(story, pair[0]), test_schedules.who(story, pair[1]))
        with tally.trial(" and ".join(pair)):
            states += test_schedules.explored(story, actions, test_schedules.is_sound, losses=0)[0]
    tally.trials, tally.whole = states, round(states * len(pairs) / len(chosen))
    return tally.result(
        f"states of {len(chosen)} pairs of {len(pairs)}, on a registry in memory that a test holds against MLflow's"
    )
