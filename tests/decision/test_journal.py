"""The journal's rules, on entries made by hand and on every order in which two writers can race."""

from __future__ import annotations

import itertools
from typing import Literal

from parsimony.decision.journal import JournalEntry, accepted, before_head, fold, withdrawn


def entry(
    number: int,
    expect: int | None,
    *,
    digest: str = "",
    attempt: str = "",
    kind: Literal["promote", "rollback"] = "promote",
) -> JournalEntry:
    return JournalEntry(
        number=number,
        attempt=attempt or f"attempt-{number}",
        kind=kind,
        expect=expect,
        version=str(number),
        digest=digest or f"digest-{number}",
        size_bytes=1000,
        reason="smaller",
        at="2026-01-05T03:00:00+00:00",
    )


def test_an_empty_journal_has_no_head() -> None:
    assert fold(()) is None
    assert accepted(()) == ()
    assert before_head(()) is None


def test_the_first_entry_expects_nothing() -> None:
    first = entry(1, None)
    assert fold([first]) == first
    assert fold([entry(1, 7)]) is None


def test_an_entry_that_expects_the_head_becomes_the_head() -> None:
    first, second = entry(1, None), entry(2, 1)
    assert accepted([first, second]) == (first, second)


def test_an_entry_whose_writer_saw_an_older_head_is_rejected() -> None:
    first, winner, loser = entry(1, None), entry(2, 1), entry(3, 1)
    assert accepted([first, winner, loser]) == (first, winner)


def test_an_entry_may_follow_rejected_ones() -> None:
    first, loser, next_one = entry(1, None), entry(2, None), entry(3, 1)
    assert accepted([first, loser, next_one]) == (first, next_one)


def test_a_second_first_entry_is_rejected() -> None:
    assert fold([entry(1, None), entry(2, None)]) == entry(1, None)


def test_a_repeated_attempt_counts_once() -> None:
    first = entry(1, None, attempt="a")
    assert accepted([first, entry(2, 1, attempt="a"), entry(3, 1, attempt="b")]) == (
        first,
        entry(3, 1, attempt="b"),
    )


def test_an_attempt_that_was_rejected_is_not_accepted_later() -> None:
    journal = [entry(1, None), entry(2, 3, attempt="a"), entry(3, 1), entry(4, 3, attempt="a")]
    assert fold(journal) == entry(3, 1)


def test_the_order_of_reading_does_not_matter() -> None:
    journal = [entry(1, None), entry(2, 1), entry(3, 1), entry(4, 2), entry(5, 2, attempt="attempt-4")]
    heads = {fold(order) for order in itertools.permutations(journal)}
    assert heads == {entry(4, 2)}


def test_every_race_of_two_writers_leaves_one_unbroken_chain() -> None:
    """Each writer reads the head, then appends; every order of those four steps for two rounds of both is tried."""
    steps = ["a", "a", "a", "a", "b", "b", "b", "b"]
    for schedule in set(itertools.permutations(steps)):
        journal: list[JournalEntry] = []
        observed: dict[str, int | None] = {}
        for turn, writer in enumerate(schedule):
            if schedule[:turn].count(writer) % 2 == 0:
                head = fold(journal)
                observed[writer] = None if head is None else head.number
            else:
                journal.append(entry(len(journal) + 1, observed[writer]))
        chain = accepted(journal)
        assert [e.expect for e in chain] == [None, *(e.number for e in chain[:-1])]
        assert chain[0].number == 1


def test_a_rollback_withdraws_the_bundle_it_replaces() -> None:
    journal = [
        entry(1, None, digest="good"),
        entry(2, 1, digest="bad"),
        entry(3, 2, digest="good", kind="rollback"),
    ]
    assert withdrawn(journal) == frozenset({"bad"})
    assert withdrawn(journal[:2]) == frozenset()


def test_a_rollback_that_lost_its_race_withdraws_nothing() -> None:
    journal = [entry(1, None), entry(2, 1), entry(3, 1, kind="rollback")]
    assert withdrawn(journal) == frozenset()


def test_rollbacks_walk_back_and_never_return_to_a_withdrawn_bundle() -> None:
    one, two, three = (entry(n, n - 1 or None, digest=f"d{n}") for n in (1, 2, 3))
    assert before_head([one, two, three]) == two
    first_rollback = entry(4, 3, digest="d2", kind="rollback")
    assert before_head([one, two, three, first_rollback]) == one
    second_rollback = entry(5, 4, digest="d1", kind="rollback")
    assert before_head([one, two, three, first_rollback, second_rollback]) is None


def test_there_is_nothing_before_the_only_bundle() -> None:
    assert before_head([entry(1, None)]) is None
    assert before_head([entry(1, None, digest="d"), entry(2, 1, digest="d")]) is None
