"""Ask the test split, in a fixed order, each candidate at its part of the level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import numpy as np

from parsimony.decision import champion as beside
from parsimony.decision import gates
from parsimony.decision.records import Certificate, Elsewhere, GateResult, OverChampion, Place, Rules, TestSet
from parsimony.decision.sharing import TENTHS
from parsimony.decision.shortlist import Shortlist
from parsimony.decision.verdicts import Entry

Tested = tuple[Certificate, GateResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """How the test split is asked: about one candidate, at its place in the order and at a level, and about one beside the
    champion. `reference` names the one that all are compared with.

    `gain` takes the champion, a candidate and how many candidates are compared with the champion.
    """

    __test__ = False  # no test of pytest's

    reference: str
    level: float
    candidate: Callable[[str, int, float], Tested]
    gain: Callable[[str, str, int], OverChampion]


def on_predictions(
    test: TestSet,
    predictions: Callable[[str], np.ndarray],
    reference: str,
    rules: Rules,
    covered: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Tests:
    """Return the tests that compare predictions row by row; `predictions` gives a candidate's class numbers [rows].

    It is called once for each candidate that is tested, and for none other; for nobody when nothing is tested. `covered` names the rows,
    bool [rows], of a candidate that is not judged on all of them: the champion.
    """
    kept = cache(predictions)
    whole = np.ones(len(test), dtype=bool)

    def candidate(name: str, position: int, level: float) -> Tested:
        rows, place = covered.get(name, whole), Place(position=position, level=level)
        theirs, mine, asked = kept(reference)[rows], kept(name)[rows], test.take(rows)
        floor = gates.floor(asked, mine, rules, level)
        if name == reference:
            return gates.certify_itself(asked, mine, place), floor
        return gates.certify(asked, theirs, mine, rules, place), floor

    def gain(champion: str, name: str, tests: int) -> OverChampion:
        rows = covered.get(champion, whole)
        return beside.compare(test.take(rows), kept(champion)[rows], kept(name)[rows], rules, tests)

    return Tests(reference=reference, level=1 - rules.gates.confidence, candidate=candidate, gain=gain)


def on_targets(
    test: TestSet,
    predictions: Mapping[str, Callable[[str], np.ndarray]],
    reference: str,
    rules: Rules,
    covered: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Tests:
    """Return the tests that a candidate passes only where it passes them with the predictions of every target.

    The first target's certificate carries those of the others. Each is tested at the whole level of its place: a worse candidate is
    worse on one target at least, and passes the test there with no greater chance (an intersection-union test, Berger 1982).
    """
    by_target = {t: on_predictions(test, ask, reference, rules, covered) for t, ask in predictions.items()}
    first, *others = by_target
    here = by_target[first]

    def candidate(name: str, position: int, level: float) -> Tested:
        certificate, floor = here.candidate(name, position, level)
        there = {target: by_target[target].candidate(name, position, level) for target in others}
        elsewhere = tuple(Elsewhere(target=target, certificate=c, floor=f) for target, (c, f) in there.items())
        return replace(certificate, elsewhere=elsewhere), floor

    def gain(champion: str, name: str, tests: int) -> OverChampion:
        return min((on.gain(champion, name, tests) for on in by_target.values()), key=lambda over: over.upper_bound)

    return replace(here, candidate=candidate, gain=gain)


def _passed(certificate: Certificate, floor: GateResult) -> bool:
    """Say whether margin and floor passed, on every target."""
    everywhere = [(certificate, floor), *((each.certificate, each.floor) for each in certificate.elsewhere)]
    return {result.verdict for pair in everywhere for result in pair} == {"pass"}


def in_turn(chosen: Shortlist, tests: Tests) -> dict[str, Tested]:
    """Test the candidates in this order, each with its own tenths of the level and those that the one before hands on.

    The reference, where it is among them, is tested at the whole level, and nobody after it when it does not pass. Of the
    others one passes by margin and by floor; then it hands its tenths on. One that does not keeps them, and who has none is
    not tested.

    The chance of one false certificate, by margin or by floor, is at most 1 - confidence. Take the truly worse candidates in
    their order, and the first of them that is certified. The truly worse one before it was not, and handed nothing on; so the
    tenths at hand are at most those of the places behind that one up to this. These stretches do not overlap, and together
    hold no more than all tenths; the chances of the tests in them add up to 1 - confidence at most, however the candidates
    depend on each other (Wiens 2003; Wiens and Dmitrienko 2005). A harmed slice takes a certificate's worth away later and changes no level here.
    """
    tested: dict[str, Tested] = {}
    carried = 0
    for position, (name, share) in enumerate(_shares(chosen, tests.reference), start=1):
        tenths = TENTHS if name == tests.reference else carried + share
        if tenths == 0:
            continue
        tested[name] = tests.candidate(name, position, tests.level * (tenths / TENTHS))
        passed = _passed(*tested[name])
        if name == tests.reference:
            if not passed:
                break
            continue
        carried = tenths if passed else 0
    return tested


def _shares(chosen: Shortlist, reference: str) -> list[tuple[str, int]]:
    """Return who is tested with how many tenths of its own; without any shares the first has all."""
    if chosen.shares:
        return list(zip(chosen.order, chosen.shares, strict=True))
    first = next((name for name in chosen.order if name != reference), None)
    return [(name, TENTHS if name == first else 0) for name in chosen.order]


def certify(entries: Sequence[Entry], chosen: Shortlist, tests: Tests) -> list[Entry]:
    """Return the entries with certificates: those of the sequence, and the champion's, which is tested by itself, at the whole
    level: it is in production already, and no other one's part is its.

    Each of the others is compared with the champion, too.
    """
    tested = in_turn(chosen, tests)
    for entry in entries:
        if entry.is_champion and entry.bundle is not None and (entry.coverage is None or entry.coverage.rows):
            tested = _beside_champion(entry.id, tested, tests)
    return with_certificates(entries, tested)


def _beside_champion(champion: str, tested: Mapping[str, Tested], tests: Tests) -> dict[str, Tested]:
    others = [name for name in tested if name != champion]
    beside = {
        name: (replace(certificate, over_champion=tests.gain(champion, name, len(others))), floor)
        for name, (certificate, floor) in tested.items()
        if name != champion
    }
    position = tested[champion][0].position if champion in tested else 1
    own = {champion: tests.candidate(champion, position, tests.level)}
    return {**beside, **own}


def with_certificates(entries: Sequence[Entry], tested: Mapping[str, Tested]) -> list[Entry]:
    """Return the entries with their certificates."""
    return [
        replace(entry, certificate=tested[entry.id][0], floor=tested[entry.id][1]) if entry.id in tested else entry
        for entry in entries
    ]
