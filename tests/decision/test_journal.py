"""The journal's rules, on entries made by hand and on every order in which two writers can race."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from parsimony.decision.journal import (
    Anchor,
    Journal,
    JournalEntry,
    Kind,
    accepted,
    before_head,
    before_head_all,
    content,
    fold,
    hold_of,
    link,
    read,
    standing,
    withdrawn,
)
from parsimony.decision.records import Standing


def entry(
    number: int,
    expect: int | None,
    *,
    digest: str = "",
    attempt: str = "",
    kind: Kind = "promote",
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


# --- seals and links ------------------------------------------------------------------------------


def chained(
    journal: Sequence[JournalEntry], *, kind: Kind = "promote", digest: str = "", number: int = 0, mends: int = 0
) -> JournalEntry:
    """Return the entry that a writer who sees this journal appends to it."""
    last = journal[-1] if journal else None
    number = number or (1 if last is None else last.number + 1)
    bare = replace(
        entry(number, None if last is None else last.number, digest=digest, kind=kind),
        by="ada",
        previous=None if last is None else link(last),
        mends=mends,
    )
    return replace(bare, seal=content(bare))


def chain(length: int) -> tuple[JournalEntry, ...]:
    journal: list[JournalEntry] = []
    for _ in range(length):
        journal.append(chained(journal))
    return tuple(journal)


def races() -> tuple[JournalEntry, ...]:
    """Return a journal of every kind of entry: seven that count, and between them two that lost their race and one repeated."""
    one = chained(())
    two = chained((one,))
    lost = chained((one,), number=3, digest="lost")
    hold = chained((one, two), kind="hold", number=4, digest=two.digest)
    repeated = replace(hold, number=5)
    release = chained((hold,), kind="release", number=6, digest=two.digest)
    back = chained((release,), kind="rollback", number=7, digest=one.digest)
    late = chained((release,), number=8, digest="late")
    last = chained((back,), number=9)
    return one, two, lost, hold, repeated, release, back, late, last


WHOLE = races()
COUNTED = tuple(e for e in WHOLE if e.number in (1, 2, 4, 6, 7, 9))
ANCHOR = Anchor(number=9, link=link(COUNTED[-1]))


def reading(journal: Sequence[JournalEntry], anchor: Anchor | None = ANCHOR) -> Journal:
    return read(journal, numbers=frozenset(e.number for e in journal), anchor=anchor)


def test_a_journal_that_nobody_touched_verifies_with_every_anchor_that_it_ever_had() -> None:
    for length in range(len(WHOLE) + 1):
        journal = WHOLE[:length]
        counted = tuple(e for e in COUNTED if e in journal)
        anchors = [None, *(Anchor(number=e.number, link=link(e)) for e in counted)]
        assert [reading(journal, anchor) for anchor in anchors] == [Journal(counted=counted)] * len(anchors)


def test_reading_what_counts_gives_what_counts() -> None:
    assert accepted(COUNTED) == COUNTED
    assert fold(COUNTED) == COUNTED[-1]


@pytest.mark.parametrize("deleted", COUNTED, ids=lambda e: f"entry {e.number}")
def test_a_deleted_entry_is_noticed_and_what_came_before_it_counts(deleted: JournalEntry) -> None:
    result = reading([e for e in WHOLE if e.number != deleted.number])
    assert result.counted == tuple(e for e in COUNTED if e.number < deleted.number)
    assert "deleted" in result.damage or "was changed" in result.damage


def test_any_set_of_deleted_entries_is_noticed_when_one_of_them_counted() -> None:
    for gone in itertools.chain.from_iterable(itertools.combinations(WHOLE, n) for n in range(1, len(WHOLE))):
        result = reading([e for e in WHOLE if e not in gone])
        first = min((e.number for e in gone if e in COUNTED), default=None)
        if first is None:
            assert result == Journal(counted=COUNTED)
        else:
            before = tuple(e for e in COUNTED if e.number < first)
            assert result.damage
            # After a gap the last one counts only when it is vouched for.
            assert result.counted in (before, before[:-1])


CHANGES: dict[str, Callable[[JournalEntry], JournalEntry]] = {
    "attempt": lambda e: replace(e, attempt="another"),
    "kind": lambda e: replace(e, kind="rollback" if e.kind == "promote" else "promote"),
    "expect": lambda e: replace(e, expect=None if e.expect else 1),
    "version": lambda e: replace(e, version="99"),
    "digest": lambda e: replace(e, digest="evil"),
    "size": lambda e: replace(e, size_bytes=1),
    "reason": lambda e: replace(e, reason="prettier"),
    "time": lambda e: replace(e, at="2020-01-01T00:00:00+00:00"),
    "who": lambda e: replace(e, by="eve"),
    "previous": lambda e: replace(e, previous="0" * 64),
    "mends": lambda e: replace(e, mends=e.number - 1),
    "seal": lambda e: replace(e, seal="0" * 64),
    "no seal": lambda e: replace(e, seal=None),
    "digest, no seal": lambda e: replace(e, digest="evil", seal=None),
    "digest, no chain": lambda e: replace(e, digest="evil", seal=None, previous=None),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("sealed_anew", [False, True])
def test_a_rewritten_entry_is_noticed_and_nothing_that_it_says_counts(change: str, sealed_anew: bool) -> None:
    for victim in COUNTED:
        changed = CHANGES[change](victim)
        if sealed_anew:
            changed = replace(changed, seal=content(changed))
        if changed == victim:
            continue
        result = reading([changed if e is victim else e for e in WHOLE])
        assert result.damage, victim.number
        before = tuple(e for e in COUNTED if e.number < victim.number)
        # Of two that contradict each other none counts, whichever it is that was changed.
        assert result.counted in (before, before[:-1]), victim.number


def test_exchanged_and_moved_entries_are_noticed() -> None:
    for one, other in itertools.combinations(COUNTED, 2):
        numbers = {one.number: other.number, other.number: one.number}
        result = reading([replace(e, number=numbers.get(e.number, e.number)) for e in WHOLE])
        assert result.damage, numbers
        assert all(e in COUNTED for e in result.counted)
    for moved in COUNTED:
        assert reading([replace(e, number=20) if e is moved else e for e in WHOLE]).damage, moved.number


def test_an_entry_that_cannot_be_read_any_more_ends_what_counts() -> None:
    for victim in COUNTED:
        rest = [e for e in WHOLE if e is not victim and e.number != 5]
        result = read(rest, numbers=frozenset(range(1, 10)), unreadable=frozenset({victim.number}), anchor=ANCHOR)
        assert result.counted == tuple(e for e in COUNTED if e.number < victim.number)
        assert result.damage == f"entry {victim.number} cannot be read any more"


def test_the_anchor_notices_that_the_newest_entries_are_gone() -> None:
    result = reading(chain(3)[:1], Anchor(number=3, link=link(chain(3)[2])))
    assert (result.counted, result.damage) == (chain(1), "entry 3 was deleted")
    assert reading((), Anchor(number=3, link=link(chain(3)[2]))) == Journal(counted=(), damage="entry 3 was deleted")


def test_a_loser_does_not_take_the_place_of_a_winner_that_was_deleted() -> None:
    one = chained(())
    winner, loser = chained((one,)), chained((one,), number=3, digest="never promoted")
    assert reading((one, winner, loser), None).counted == (one, winner)
    assert reading((one, loser), None) == Journal(counted=(one,), damage="an entry before entry 3 was deleted")


def test_what_an_old_version_appends_after_sealed_entries_does_not_count() -> None:
    journal = (*chain(2), entry(3, 2))
    assert reading(journal, None) == Journal(
        counted=chain(2), damage="entry 3 has no seal, although those before it have one"
    )
    assert reading((*chain(2), entry(3, 1)), None) == Journal(counted=chain(2))  # it lost its race


# --- entries from before there were seals ---------------------------------------------------------

OLD = (entry(1, None), entry(2, 1), entry(3, 2))


def test_entries_without_seals_count_and_are_followed_by_sealed_ones() -> None:
    journal = (*OLD, chained(OLD))
    assert reading(OLD, None) == Journal(counted=OLD)
    assert reading(journal, None) == Journal(counted=journal)


def test_the_first_sealed_entry_vouches_for_the_last_one_without_a_seal() -> None:
    new = chained(OLD)
    rewritten = replace(OLD[2], digest="evil")
    assert reading((*OLD[:2], rewritten, new), None) == Journal(
        counted=OLD[:2], damage="entry 3 was changed after it was written"
    )


def test_an_entry_without_a_seal_that_others_follow_is_missed() -> None:
    assert reading((OLD[0], OLD[2]), None) == Journal(
        counted=OLD[:1], damage="entry 2 was deleted, which entry 3 follows"
    )


# --- mending --------------------------------------------------------------------------------------


def test_a_person_gives_damage_up_and_the_journal_goes_on() -> None:
    for victim in COUNTED[1:]:
        damaged = [replace(e, digest="evil") if e is victim else e for e in WHOLE if e.number != 5]
        before = read(damaged, numbers=frozenset(range(1, 10)), anchor=ANCHOR)
        mending = chained(before.counted, kind="rollback", digest="digest-1", number=10, mends=9)
        onward = chained((mending,), number=11)
        for anchor in (ANCHOR, Anchor(number=10, link=link(mending))):
            result = read([*damaged, mending, onward], numbers=frozenset(range(1, 12)), anchor=anchor)
            assert (result.counted, result.damage) == ((*before.counted, mending, onward), "")
            assert len(result.mended) == 1


def test_a_mending_entry_that_did_not_see_the_newest_one_loses_its_race() -> None:
    journal = chain(3)
    stale = chained(journal[:1], kind="rollback", number=4, mends=2)
    assert reading((*journal, stale), None) == Journal(counted=journal)


def test_who_follows_what_was_given_up_meanwhile_has_lost_a_race() -> None:
    journal = chain(3)
    mending = chained(journal[:1], kind="rollback", number=4, mends=3)
    late = chained(journal, number=5)
    assert reading((*journal, mending, late), None).counted == (journal[0], mending)
    assert reading((*journal, mending, late), None).damage == ""


def test_a_journal_that_is_gone_is_begun_again() -> None:
    anchor = Anchor(number=9, link="0" * 64)
    first = chained((), kind="rollback", number=10, mends=9)
    assert reading((first,), anchor) == Journal(counted=(first,), mended=("what came after entry None",))


# --- what a person says ---------------------------------------------------------------------------


def test_a_hold_stands_until_it_is_released_and_moves_nothing() -> None:
    one, two = chain(2)
    hold = chained((one, two), kind="hold", digest=two.digest)
    release = chained((one, two, hold), kind="release", digest=two.digest)
    assert hold_of((one, two)) is None
    assert hold_of((one, two, hold)) == hold
    assert hold_of((one, two, hold, release)) is None
    assert [fold(j) for j in ((one, two, hold), (one, two, hold, release))] == [two, two]
    assert before_head((one, two, hold)) == one


def test_a_rollback_after_a_hold_withdraws_the_champion_and_not_the_hold() -> None:
    one, two = chain(2)
    hold = chained((one, two), kind="hold", digest=two.digest)
    back = chained((one, two, hold), kind="rollback", digest=one.digest)
    assert withdrawn((one, two, hold, back)) == frozenset({two.digest})


def test_what_a_person_brings_back_is_not_withdrawn_any_more() -> None:
    one, two = chain(2)
    back = chained((one, two), kind="rollback", digest=one.digest)
    again = chained((one, two, back), kind="rollback", digest=two.digest)
    assert withdrawn((one, two, back, again)) == frozenset({one.digest})


def test_earlier_champions_come_newest_first_and_once_each() -> None:
    one, two, three = chain(3)
    back = chained((one, two, three), kind="rollback", digest=two.digest)
    assert before_head_all((one, two, three, back)) == (one,)
    assert [e.number for e in before_head_all((one, two, three))] == [2, 1]


def test_a_decision_is_told_who_said_what_and_why() -> None:
    one, two = chain(2)
    back = chained((one, two), kind="rollback", digest=one.digest)
    hold = chained((one, two, back), kind="hold", digest=one.digest)
    at = "2026-01-05T03:00:00+00:00: smaller"
    assert standing(()) == Standing()
    assert standing((one, two, back, hold)) == Standing(
        hold=f"promotions are held by ada at {at}",
        withdrawn=((two.digest, f"it was rolled back by ada at {at}"),),
    )
