"""Stopped at every place: killed, failing, or hanging and then killed; then everything once more, to success."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from test_registry import MODEL

from tests.storm import checker
from tests.storm.failpoints import MODES, Mode, Place, observed, stopped_at
from tests.storm.forks import done, fork
from tests.storm.material import Base, Ground, Verb, after, begin_again, verbs
from tests.storm.records import SuiteResult, Tally, part


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A trial: what is done, where it is stopped, and how."""

    verb: Verb
    place: Place
    mode: Mode


def every_place(bases: Sequence[Base], share: float, rng: random.Random) -> SuiteResult:
    """Stop each verb at a share of all places, in each way, on each database."""
    places = _all_places(bases[0], rng)
    tally = Tally(name="stopped at a place, then run again", whole=len(places) * len(MODES) * len(bases))
    chosen = rng.sample(places, min(len(places), part(len(places), share)))
    for base in bases:
        known = {verb.name: verb for verb in verbs(base)}
        for name, place in chosen:
            for mode in MODES:
                with tally.trial(f"{base.kind}, {name}, {mode} at {place.name} ({place.time})"):
                    _try(base, Stop(verb=known[name], place=place, mode=mode))
    on = " and ".join(base.kind for base in bases)
    return tally.result(f"{len(chosen)} places of {len(places)} x {', '.join(MODES)}, on {on}")


def _all_places(base: Base, rng: random.Random) -> list[tuple[str, Place]]:
    """Return every place of every verb, at one of the times that it is reached."""
    return [
        (verb.name, Place(name=name, time=rng.randint(1, times)))
        for verb in verbs(base)
        for name, times in sorted(_places(base, verb).items())
    ]


def _places(base: Base, verb: Verb) -> dict[str, int]:
    with base.ground(empty=verb.empty) as ground:
        prepare(ground, verb)
        outcome = done(lambda: observed(lambda: verb.do(ground))(0), ground.log)
        _require(outcome.end == "ended", f"{verb.name}: {outcome.error} {ground.log.read_text()[-2000:]}")
        return dict(outcome.value)


def prepare(ground: Ground, verb: Verb) -> None:
    """Do what comes before a verb."""
    if verb.before is not None:
        _require(after(ground, verb.before).end == "ended", "preparation")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(what)


def _try(base: Base, stop: Stop) -> None:
    with base.ground(empty=stop.verb.empty) as ground:
        prepare(ground, stop.verb)
        process = fork(stopped_at(lambda: stop.verb.do(ground), stop.place, stop.mode), ground.log)
        if stop.mode == "hang" and process.hangs():
            checker.check(checker.facts(ground, MODEL))
            process.kill()
        outcome = process.end()
        assert outcome.end != "endless", "it did not end"
        state = checker.facts(ground, MODEL)
        checker.check(state)
        if outcome.end == "raised":
            told_what_is(ground, state)
        finish(ground, stop.verb)


def told_what_is(ground: Ground, state: checker.Facts) -> None:
    """Hold that a publication which failed and is in the journal all the same has kept its evidence, and says so."""
    for folder in ground.runs.glob("*") if state.head else ():
        receipt = folder / "receipt.json"
        if receipt.is_file() and state.head.said["digest"] in receipt.read_text() and "run-" in folder.name:
            promoted = state.head.said["reason"] in receipt.read_text()
            marks = [(folder / mark).exists() for mark in ("promotion-pending", "promoted")]
            assert not promoted or any(marks), f"{folder.name} forgot that it promoted"


def finish(ground: Ground, verb: Verb) -> None:
    """Do it once more, as the next run does, and hold what it leaves."""
    outcome = after(ground, begin_again, verb.do, begin_again)
    assert outcome.end == "ended", f"again: {outcome.end} {outcome.error}"
    state = checker.facts(ground, MODEL)
    checker.check_settled(state, ground.bundles[verb.expected])
    digests = [tags.get("digest") for tags in state.versions.values()]
    assert len(digests) == len(set(digests)), "a bundle has two versions"
    marks = [
        mark.parent for mark in ground.runs.glob("*/promotion-pending") if (mark.parent / "receipt.json").is_file()
    ]
    assert not marks, f"{marks} promoted and is not settled"
