"""The ladder holds every candidate worth trying, once, smallest first."""

from __future__ import annotations

import pytest

from parsimony import search
from parsimony.records import Candidate, Trunk
from parsimony.techniques import TECHNIQUES

BASE = "package:small"
ALL = ("linear", "student", "encoder")
REFERENCE = search.reference_trunk(BASE)
TRUNKS = (*search.probe_trunks([BASE]), REFERENCE, *search.trunks(ALL, BASE, 6))


def _chains(trunk: Trunk, families: tuple[str, ...] = ALL, architecture: str | None = None) -> list[tuple[str, ...]]:
    return [c.after for c in search.candidates(trunk, families, REFERENCE, architecture)]


def _length(candidate: Candidate) -> int:
    return 1_000 - 100 * len(candidate.after)


def test_every_base_is_probed_as_it_is() -> None:
    assert search.probe_trunks(["package:a", "hf:b/c"]) == (
        Trunk(family="encoder", base="package:a", shape=("frozen",)),
        Trunk(family="encoder", base="hf:b/c", shape=("frozen",)),
    )


@pytest.mark.parametrize(
    ("layers", "depths"), [(1, []), (2, [1]), (3, [2, 1]), (4, [2, 1]), (6, [3, 2, 1]), (12, [6, 4, 2])]
)
def test_students_have_about_half_a_third_and_a_sixth_of_the_layers(layers: int, depths: list[int]) -> None:
    shapes = [trunk.shape for trunk in search.student_trunks(BASE, layers)]
    assert shapes == [(f"layers-{depth}",) for depth in depths]


def test_only_the_families_asked_for_are_trained() -> None:
    assert [t.family for t in search.trunks(("linear",), BASE, 6)] == ["linear"]
    assert [t.family for t in search.trunks(("student", "encoder"), BASE, 6)] == ["student"] * 3
    assert search.trunks(("encoder",), BASE, 6) == ()


def test_what_is_cheap_is_trained_first_then_the_deepest_student() -> None:
    found = search.trunks(ALL, BASE, 6)
    order = sorted((found[i] for i in (2, 3, 0, 1)), key=search.training_order)
    assert [trunk.id for trunk in order] == [
        "linear(small)",
        "student.layers-3(small)",
        "student.layers-2(small)",
        "student.layers-1(small)",
    ]


def test_the_ladder_is_sorted_by_predicted_size_and_names_nothing_twice() -> None:
    rungs = search.ladder(TRUNKS, ALL, REFERENCE, _length)
    sizes = [rung.predicted_bytes for rung in rungs]
    assert sizes == sorted(sizes)
    assert len({rung.candidate.id for rung in rungs}) == len(rungs) == 4 + 3 + 5 + 3 * 3


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
        ("trim",),
        ("trim", "int8"),
        ("trim", "int4"),
    ]
    assert _chains(TRUNKS[0], architecture="modernbert") == [(), ("trim", "int8"), ("trim", "int4")]


def test_an_architecture_that_can_be_fused_and_one_that_is_unknown_are_tried_with_fusion() -> None:
    assert _chains(REFERENCE, architecture="distilbert") == _chains(REFERENCE)
    assert ("trim", "fusion", "int8") in _chains(REFERENCE)


def test_the_linear_family_does_not_depend_on_the_architecture() -> None:
    linear = search.trunks(("linear",), BASE, 6)[0]
    assert _chains(linear, architecture="modernbert") == _chains(linear)


def test_the_ladder_asks_for_the_architecture_of_every_trunk() -> None:
    rungs = search.ladder(TRUNKS, ALL, REFERENCE, _length, lambda _: "modernbert")
    assert not [rung for rung in rungs if "fusion" in rung.candidate.after]
    assert len({rung.candidate.id for rung in rungs}) == len(rungs)
