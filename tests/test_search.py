"""The ladder holds every candidate worth trying, once, smallest first."""

from __future__ import annotations

import pytest

from parsimony import search
from parsimony.records import Candidate, Trunk
from parsimony.techniques import TECHNIQUES

BASE = "package:small"
ALL = ("linear", "student", "encoder")
REFERENCE = search.reference_trunk(BASE)
LINEAR = Trunk(family="linear", base=BASE)
STUDENTS = search.student_trunks(BASE, 6, heads=12, neurons=1536, columns=384)
TRUNKS = (*search.probe_trunks([BASE]), REFERENCE, LINEAR, *STUDENTS)


def _chains(trunk: Trunk, families: tuple[str, ...] = ALL, architecture: str | None = None) -> list[tuple[str, ...]]:
    return [c.after for c in search.candidates(trunk, families, REFERENCE, architecture)]


def _length(candidate: Candidate) -> int:
    return 1_000 - 100 * len(candidate.after)


def test_every_base_is_probed_as_it_is() -> None:
    assert search.probe_trunks(["package:a", "hf:b/c"]) == (
        Trunk(family="encoder", base="package:a", shape=("frozen",)),
        Trunk(family="encoder", base="hf:b/c", shape=("frozen",)),
    )


def _shapes(layers: int, heads: int | None, neurons: int | None, columns: int | None = None) -> list[str]:
    trunks = search.student_trunks(BASE, layers, heads=heads, neurons=neurons, columns=columns)
    return [".".join(trunk.shape) for trunk in trunks]


@pytest.mark.parametrize(
    ("layers", "depths"), [(1, []), (2, [1]), (3, [2, 1]), (4, [3, 2, 1]), (6, [4, 3, 2, 1]), (12, [8, 6, 4, 2])]
)
def test_without_narrow_layers_students_have_two_thirds_a_half_a_third_and_a_sixth_of_them(
    layers: int, depths: list[int]
) -> None:
    assert _shapes(layers, 12, None) == [f"layers-{depth}" for depth in depths]


def test_students_go_from_all_layers_ever_narrower_to_few() -> None:
    assert _shapes(6, 12, 1536, 384) == [
        "layers-6.ffn-768.embedding-192",
        "layers-6.ffn-384.embedding-128",
        "layers-6.heads-6.ffn-256.embedding-128",
        "layers-6.heads-4.ffn-192.embedding-128",
        "layers-4.heads-4.ffn-192.embedding-128",
        "layers-3.heads-4.ffn-192.embedding-128",
        "layers-2.heads-4.ffn-192.embedding-128",
        "layers-1.heads-4.ffn-192.embedding-128",
    ]


def test_where_no_neuron_can_be_taken_out_the_table_still_is_factorised() -> None:
    assert _shapes(6, 12, None, 384) == [f"layers-{depth}.embedding-128" for depth in (4, 3, 2, 1)]


def test_where_a_narrower_table_saves_nothing_it_stays_whole() -> None:
    assert [shape.count("embedding") for shape in _shapes(6, 12, 1536, None)] == [0] * 8


def test_where_no_head_can_be_taken_out_only_neurons_are() -> None:
    assert _shapes(2, None, 64) == [
        "layers-2.ffn-32", "layers-2.ffn-16", "layers-2.ffn-10", "layers-2.ffn-8", "layers-1.ffn-8",
    ]  # fmt: skip


def test_something_of_every_layer_is_left_and_no_student_comes_twice() -> None:
    assert _shapes(1, 2, 4) == ["layers-1.ffn-2", "layers-1.ffn-1", "layers-1.heads-1.ffn-1"]


def _climb(passing: int, safe: int | None = None) -> list[int]:
    """Return the places trained, in order, when the first `passing` students are hopeful and the first `safe` safe."""
    chances: dict[Trunk, float] = {}
    while (student := search.next_student(search.in_question(STUDENTS, chances))) is not None:
        place = STUDENTS.index(student)
        chances[student] = 0.9 if place < (passing if safe is None else safe) else 0.6 if place < passing else 0.1
    return [STUDENTS.index(student) for student in chances]


def test_the_smallest_student_that_passes_is_found_with_few_trainings() -> None:
    count = len(STUDENTS)
    assert count == 8
    for passing in range(count + 1):
        tried = _climb(passing)
        assert len(tried) <= 4
        assert tried[0] == count // 2
        if passing > 0:
            assert passing - 1 in tried  # the smallest that passes
        if passing < count:
            assert passing in tried  # and the next smaller one, which does not


@pytest.mark.parametrize(("passing", "safe"), [(4, 0), (4, 1), (4, 2), (4, 3), (6, 2), (7, 0), (1, 0)])
def test_where_the_smallest_hopeful_student_may_fail_the_smallest_safe_one_is_trained_too(
    passing: int, safe: int
) -> None:
    tried = _climb(passing, safe)
    assert passing - 1 in tried
    assert tried[0] == len(STUDENTS) // 2
    assert len(tried) <= 6
    if safe > 0:
        assert safe - 1 in tried
    else:
        assert 0 in tried  # nothing is safe: the largest is the safest there is
    assert _climb(passing, passing) == _climb(passing)


def test_a_student_without_a_number_for_its_chance_is_no_hope() -> None:
    chances = {STUDENTS[2]: float("nan")}
    assert search.in_question(STUDENTS, chances) == STUDENTS[:2]


def _size(candidate: Candidate) -> int:
    """Students of 1 to 8 MB; all their words are 2 MB more, fp32 ten times as large."""
    place = STUDENTS.index(candidate.trunk) if candidate.trunk in STUDENTS else 0
    return (8 - place + 2 * ("trim" not in candidate.after)) * (1 if "int4" in candidate.after else 10)


RUNGS = search.ladder(STUDENTS, ALL, REFERENCE, _size)
SIZES = {rung.candidate: rung.predicted_bytes for rung in RUNGS}


def test_students_of_a_ladder_come_from_the_largest_and_once() -> None:
    assert search.students_of(search.ladder(TRUNKS, ALL, REFERENCE, _size)) == STUDENTS


def test_a_students_chance_is_that_of_its_safest_bundle_trimmed_or_whole() -> None:
    one, other = STUDENTS[2], STUDENTS[4]
    chances = {
        Candidate(trunk=one, after=("trim", "fusion")): 0.4,
        Candidate(trunk=one, after=("trim", "fusion", "int4")): 0.3,
        Candidate(trunk=one, after=("fusion", "int4")): 0.7,
        Candidate(trunk=REFERENCE): 1.0,
    }
    assert search.chances_of((one, other), chances, trimmed=True) == {one: 0.4, other: 0.0}
    assert search.chances_of((one, other), chances, trimmed=False) == {one: 0.7, other: 0.0}


def test_whole_students_count_that_are_smaller_than_every_hopeful_bundle() -> None:
    after = ("trim", "fusion", "int4")
    hopeful, hopeless = Candidate(trunk=STUDENTS[1], after=after), Candidate(trunk=STUDENTS[3], after=after)
    assert SIZES[hopeful] == 7
    found = search.smaller_whole(STUDENTS, SIZES, {hopeful: 0.5, hopeless: 0.49})
    assert found == STUDENTS[4:]  # of 6, 5, 4 and 3 MB
    assert search.smaller_whole(STUDENTS, SIZES, {hopeless: 0.1}) == STUDENTS
    assert search.smaller_whole(STUDENTS[:3], SIZES, {hopeful: 0.9}) == ()


def test_every_student_left_out_says_why() -> None:
    *larger, last = STUDENTS
    assert search.pointless(STUDENTS, {larger[-1]: 0.7, last: 0.02}) == dict.fromkeys(
        larger[:-1],
        "not trained: student.layers-2.heads-4.ffn-192.embedding-128(small) is smaller and has a chance of 70%",
    )
    assert search.pointless(STUDENTS, {larger[0]: 0.9, **dict.fromkeys(larger[1:-1], 0.1), larger[-1]: 0.2}) == {
        last: "not trained: student.layers-2.heads-4.ffn-192.embedding-128(small) is larger and has a chance of 20% only"
    }
    assert search.pointless(STUDENTS, {}) == {}


def test_the_ladder_is_sorted_by_predicted_size_and_names_nothing_twice() -> None:
    rungs = search.ladder(TRUNKS, ALL, REFERENCE, _length)
    sizes = [rung.predicted_bytes for rung in rungs]
    assert sizes == sorted(sizes)
    assert len({rung.candidate.id for rung in rungs}) == len(rungs) == 4 + 1 + 7 + 3 * len(STUDENTS)


def test_every_technique_of_the_ladder_is_in_the_registry_and_quantisation_comes_last() -> None:
    for rung in search.ladder(TRUNKS, ALL, REFERENCE, _length):
        chain = [TECHNIQUES[name] for name in rung.candidate.after]
        assert not any(technique.quantises for technique in chain[:-1])


def test_the_reference_itself_is_a_candidate_and_so_is_every_trunk_of_its_family() -> None:
    assert () in _chains(REFERENCE)
    assert () in _chains(TRUNKS[0])


def test_of_a_family_that_is_not_asked_for_only_the_reference_remains() -> None:
    rungs = search.ladder(TRUNKS[:2], ("linear", "student"), REFERENCE, _length)
    assert [rung.candidate for rung in rungs] == [Candidate(trunk=REFERENCE)]


def test_an_architecture_that_cannot_be_fused_is_quantised_without_fusion() -> None:
    assert _chains(REFERENCE, architecture="modernbert") == [
        (),
        ("int8",),
        ("trim", "int8"),
        ("trim", "mixed"),
        ("trim",),
        ("trim", "int4"),
        ("int4",),
    ]
    assert _chains(TRUNKS[0], architecture="modernbert") == [()]


def test_an_architecture_that_can_be_fused_and_one_that_is_unknown_are_tried_with_fusion() -> None:
    assert _chains(REFERENCE, architecture="distilbert") == _chains(REFERENCE)
    assert ("trim", "fusion", "int8") in _chains(REFERENCE)


def test_the_linear_family_does_not_depend_on_the_architecture() -> None:
    assert _chains(LINEAR, architecture="modernbert") == _chains(LINEAR)


def test_the_ladder_asks_for_the_architecture_of_every_trunk() -> None:
    rungs = search.ladder(TRUNKS, ALL, REFERENCE, _length, lambda _: "modernbert")
    assert not [rung for rung in rungs if "fusion" in rung.candidate.after]
    assert len({rung.candidate.id for rung in rungs}) == len(rungs)
