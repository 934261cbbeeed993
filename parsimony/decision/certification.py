"""Ask the test split, in a fixed order, and stop at the first candidate that does not pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import numpy as np

from parsimony.decision import champion as beside
from parsimony.decision import gates
from parsimony.decision.records import Certificate, GateResult, OverChampion, Rules, TestSet
from parsimony.decision.verdicts import Entry

Tested = tuple[Certificate, GateResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """How the test split is asked: about one candidate at its place in the order, and about one beside the champion.

    `gain` takes the champion, a candidate and how many candidates are compared with the champion.
    """

    __test__ = False  # no test of pytest's

    candidate: Callable[[str, int], Tested]
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

    def candidate(name: str, position: int) -> Tested:
        rows = covered.get(name, whole)
        theirs, mine, asked = kept(reference)[rows], kept(name)[rows], test.take(rows)
        floor = gates.floor(asked, mine, rules)
        if name == reference:
            return gates.certify_itself(asked, mine, position), floor
        return gates.certify(asked, theirs, mine, rules, position), floor

    def gain(champion: str, name: str, tests: int) -> OverChampion:
        rows = covered.get(champion, whole)
        return beside.compare(test.take(rows), kept(champion)[rows], kept(name)[rows], rules, tests)

    return Tests(candidate=candidate, gain=gain)


def fixed_sequence(order: Sequence[str], tests: Tests) -> dict[str, Tested]:
    """Test the candidates in this order and stop at the first that does not pass both tests.

    A fixed order with a stop at the first failure keeps the chance of one false certificate, by margin or by floor, at
    1 - confidence. A harmed slice takes a certificate's worth away later and stops nothing here.
    """
    tested: dict[str, Tested] = {}
    for position, name in enumerate(order, start=1):
        certificate, floor = tested[name] = tests.candidate(name, position)
        if {certificate.verdict, floor.verdict} != {"pass"}:
            break
    return tested


def certify(entries: Sequence[Entry], order: Sequence[str], tests: Tests) -> list[Entry]:
    """Return the entries with certificates: those of the sequence, and the champion's, which is tested by itself.

    Each of the others is compared with the champion, too.
    """
    tested = fixed_sequence(order, tests)
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
    own = {champion: tested[champion]} if champion in tested else fixed_sequence((champion,), tests)
    return {**beside, **own}


def with_certificates(entries: Sequence[Entry], tested: Mapping[str, Tested]) -> list[Entry]:
    """Return the entries with their certificates."""
    return [
        replace(entry, certificate=tested[entry.id][0], floor=tested[entry.id][1]) if entry.id in tested else entry
        for entry in entries
    ]
