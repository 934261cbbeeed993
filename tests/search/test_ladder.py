"""The ladder holds every candidate worth trying, once, smallest first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tinymodels import LABELS, base_of, tables

from parsimony.candidates import Candidate, ModelSpec
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.table import Texts
from parsimony.search import bisection, ladder
from parsimony.search.bisection import Budget, Climb
from parsimony.search.ladder import LadderSettings, SizedCandidate
from parsimony.search.size_prediction import Shape, Vocabulary

BASE = "package:small"
ALL = ("linear", "static", "student", "encoder")
REFERENCE = ladder.reference_spec(BASE)
LINEAR = ModelSpec(family="linear", base=BASE)


def _shape(layers: int, heads: int | None, neurons: int | None, width: int | None) -> Shape:
    """Return the shape of a base; without a width, too few tokens stay for a narrower table to save anything."""
    return Shape(
        base=Path(BASE),
        whole=Vocabulary(rows=30_000, mapped=0, tokenizer_bytes=0),
        trimmed=Vocabulary(rows=4_000 if width else 100, mapped=0, tokenizer_bytes=0),
        hidden=384,
        embedding_width=width or 384,
        layers=layers,
        neurons=neurons,
        heads=heads,
        positions=128,
    )


STUDENTS = ladder.student_specs(BASE, _shape(6, 12, 1536, 384))
SPECS = (*ladder.probe_specs([BASE]), REFERENCE, LINEAR, *STUDENTS)


def _chains(spec: ModelSpec, *without: str) -> list[tuple[str, ...]]:
    return [c.techniques for c in ladder.candidates(spec, ALL, REFERENCE, without)]


def _length(candidate: Candidate) -> int:
    return 1_000 - 100 * len(candidate.techniques)


def test_every_base_is_probed_as_it_is() -> None:
    assert ladder.probe_specs(["package:a", "hf:b/c"]) == (
        ModelSpec(family="encoder", base="package:a", shape=("frozen",), tag="a"),
        ModelSpec(family="encoder", base="hf:b/c", shape=("frozen",), tag="c"),
    )
    assert ladder.probe_specs(["package:a"]) == (ModelSpec(family="encoder", base="package:a", shape=("frozen",)),)


def _shapes(layers: int, heads: int | None, neurons: int | None, width: int | None = None) -> list[str]:
    return ["-".join(spec.shape) for spec in ladder.student_specs(BASE, _shape(layers, heads, neurons, width))]


def _ladder(
    specs: Sequence[ModelSpec],
    families: Sequence[str],
    predict: Callable[[Candidate], int],
) -> tuple[SizedCandidate, ...]:
    chosen = [c for spec in specs for c in ladder.candidates(spec, families, REFERENCE)]
    return ladder.ladder(chosen, predict)


@pytest.mark.parametrize(
    ("layers", "depths"), [(1, []), (2, [1]), (3, [2, 1]), (4, [3, 2, 1]), (6, [4, 3, 2, 1]), (12, [8, 6, 4, 2])]
)
def test_without_narrow_layers_students_have_two_thirds_a_half_a_third_and_a_sixth_of_them(
    layers: int, depths: list[int]
) -> None:
    assert _shapes(layers, 12, None) == [f"L{depth}" for depth in depths]


def test_students_go_from_all_layers_ever_narrower_to_few() -> None:
    assert _shapes(6, 12, 1536, 384) == [
        "L6-F768-E192",
        "L6-F384-E128",
        "L6-A6-F256-E128",
        "L6-A4-F192-E128",
        "L4-A4-F192-E128",
        "L3-A4-F192-E128",
        "L2-A4-F192-E128",
        "L1-A4-F192-E128",
    ]


def test_where_no_neuron_can_be_taken_out_the_table_still_is_factorised() -> None:
    assert _shapes(6, 12, None, 384) == [f"L{depth}-E128" for depth in (4, 3, 2, 1)]


def test_where_a_narrower_table_saves_nothing_it_stays_whole() -> None:
    assert [shape.count("E") for shape in _shapes(6, 12, 1536, None)] == [0] * 8


def test_where_no_head_can_be_taken_out_only_neurons_are() -> None:
    assert _shapes(2, None, 64) == [
        "L2-F32", "L2-F16", "L2-F10", "L2-F8", "L1-F8",
    ]  # fmt: skip


def test_something_of_every_layer_is_left_and_no_student_comes_twice() -> None:
    assert _shapes(1, 2, 4) == ["L1-F2", "L1-F1", "L1-A1-F1"]


ENOUGH = Budget(minutes=30, left_s=1e9, cost_s=lambda _: 1.0)


def _trimmed(student: ModelSpec) -> Candidate:
    return Candidate(spec=student, techniques=("trim", "fusion", "int4"))


def _whole(student: ModelSpec) -> Candidate:
    return Candidate(spec=student, techniques=("fusion", "int4"))


def _climb(passing: int, safe: int | None = None) -> list[int]:
    """Return the places trained, in order, when the first `passing` students are hopeful and the first `safe` safe."""
    chances: dict[Candidate, float] = {}
    climb = Climb(students=STUDENTS, sizes={_trimmed(student): 1 for student in STUDENTS})
    while (step := bisection.next_step(climb, chances, ENOUGH)).student is not None:
        place = STUDENTS.index(step.student)
        chance = 0.9 if place < (passing if safe is None else safe) else 0.6 if place < passing else 0.1
        chances[_trimmed(step.student)] = chance
        climb = replace(step.climb, trained=(*step.climb.trained, step.student))
    return [STUDENTS.index(student) for student in climb.trained]


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
    assert bisection.in_question(STUDENTS, chances) == STUDENTS[:2]


def _size(candidate: Candidate) -> int:
    """Students of 1 to 8 MB; all their words are 2 MB more, fp32 ten times as large."""
    place = STUDENTS.index(candidate.spec) if candidate.spec in STUDENTS else 0
    return (8 - place + 2 * ("trim" not in candidate.techniques)) * (1 if "int4" in candidate.techniques else 10)


LADDER = _ladder(STUDENTS, ALL, _size)
SIZES = {candidate.candidate: candidate.predicted_bytes for candidate in LADDER}


AMOUNTS = ("trim2k", "trim8k", "trim32k")
CHAIN = [
    _whole(STUDENTS[5]),
    *(Candidate(spec=STUDENTS[5], techniques=(amount, "fusion", "int4")) for amount in reversed(AMOUNTS)),
    _trimmed(STUDENTS[5]),
]
BYTES = {candidate: 1_000 - 100 * place for place, candidate in enumerate(CHAIN)}


def _tried(least: int, more: dict[Candidate, float] | None = None) -> list[str]:
    """Return which vocabularies between are tried, in order, when those up to the place `least` are hopeful."""
    chances = {CHAIN[0]: 0.9 if least >= 0 else 0.1, CHAIN[-1]: 0.9 if least == len(CHAIN) - 1 else 0.1, **(more or {})}
    order = []
    while (candidate := bisection.next_between(BYTES | dict.fromkeys(more or (), 650), chances)) is not None:
        chances[candidate] = 0.9 if CHAIN.index(candidate) <= least else 0.1
        order.append(candidate.techniques[0])
    return order


def test_a_vocabulary_between_is_looked_for_by_bisection_where_trimming_alone_costs_the_chance() -> None:
    assert _tried(3) == ["trim8k", "trim2k"]
    assert _tried(2) == ["trim8k", "trim2k"]
    assert _tried(1) == ["trim8k", "trim32k"]
    assert _tried(0) == ["trim8k", "trim32k"]


def test_no_vocabulary_between_is_tried_where_none_can_be_needed_or_none_would_help() -> None:
    assert _tried(4) == []  # the trimmed one is hopeful
    assert _tried(-1) == []  # the whole one is not
    assert bisection.next_between(BYTES, {}) is None  # it is not trained
    smaller = {_trimmed(STUDENTS[6]): 0.8}
    assert _tried(3, smaller) == []  # 650 bytes are hopeful already: what is left has 700 and more


def test_every_vocabulary_that_was_not_tried_says_why() -> None:
    whole, more, some, few, trimmed = CHAIN
    tried = {whole: 0.9, more: 0.8, some: 0.2, trimmed: 0.1}
    assert bisection.not_between(BYTES, tried) == {few: f"not built: {some.id} is larger and has a chance of 20% only"}
    other = _trimmed(STUDENTS[6])
    assert bisection.not_between({**BYTES, other: 650}, {whole: 0.9, trimmed: 0.1, other: 0.7}) == dict.fromkeys(
        (more, some, few), f"not built: {other.id} is smaller and has a chance of 70%"
    )
    assert bisection.not_between(BYTES, {whole: 0.9, trimmed: 0.6})[some] == (
        f"not built: {trimmed.id} is smaller and has a chance of 60%"
    )
    assert bisection.not_between(BYTES, {whole: 0.1, trimmed: 0.0})[more] == (
        f"not built: {whole.id} is larger and has a chance of 10% only"
    )
    assert bisection.not_between(BYTES, {}) == {}


def test_a_vocabulary_between_has_an_id_of_its_own_and_counts_as_trimmed() -> None:
    assert CHAIN[1].id == "student-L3-A4-F192-E128+trim32k+int4"
    assert [candidate.trimmed for candidate in CHAIN] == [False, True, True, True, True]
    assert [bisection.between(candidate) for candidate in CHAIN] == [False, True, True, True, False]
    assert [c.techniques[0] for c in ladder.candidates(STUDENTS[5], ALL, REFERENCE, (), AMOUNTS)][3:] == list(AMOUNTS)
    assert len(ladder.candidates(REFERENCE, ALL, REFERENCE, (), AMOUNTS)) == 7 + 3


def test_a_student_that_would_end_too_late_is_skipped_with_the_reason() -> None:
    budget = Budget(minutes=5, left_s=60.0, cost_s=lambda student: 61.0 if student == STUDENTS[0] else 1.0)
    step = bisection.next_step(Climb(students=STUDENTS, sizes={}), {}, budget)
    assert step.in_question == STUDENTS[1:]
    assert step.student == STUDENTS[1:][len(STUDENTS[1:]) // 2]
    reasons = bisection.reasons(step.climb, {})
    assert reasons == {STUDENTS[0]: "not trained: the run would not end within its budget of 5 minutes"}


def test_a_student_that_was_trained_is_never_too_late() -> None:
    climb = Climb(students=STUDENTS[:1], sizes=SIZES, trained=STUDENTS[:1])
    nothing_left = Budget(minutes=5, left_s=0.0, cost_s=lambda _: 1.0)
    assert bisection.next_step(climb, {_trimmed(STUDENTS[0]): 0.9}, nothing_left).climb.skipped == ()


def test_whole_students_come_after_the_trimmed_ones_and_only_where_they_would_be_smaller() -> None:
    trained = (STUDENTS[1], STUDENTS[2])
    climb = Climb(students=STUDENTS, sizes=SIZES, trained=trained)
    chances = {
        _trimmed(STUDENTS[1]): 0.9,
        _trimmed(STUDENTS[2]): 0.1,
        _whole(STUDENTS[1]): 0.95,
        _whole(STUDENTS[2]): 0.6,
    }
    step = bisection.next_step(climb, chances, ENOUGH)
    assert step.climb.vocabulary == "whole"
    assert step.in_question == STUDENTS[4:]  # all their words in less than 7 MB, the smallest hopeful bundle
    assert step.student in STUDENTS[4:]


def test_progress_names_the_last_student_its_vocabulary_and_its_chance() -> None:
    climb = Climb(students=STUDENTS, sizes=SIZES, trained=STUDENTS[:1])
    chances = {_trimmed(STUDENTS[0]): 0.25, _whole(STUDENTS[0]): 0.75}
    name = STUDENTS[0].id
    assert bisection.progress(climb, chances) == f"{name}, trimmed, has a chance of 25% to be certified"
    whole = replace(climb, vocabulary="whole")
    assert bisection.progress(whole, chances) == f"{name}, with all its words, has a chance of 75% to be certified"
    assert bisection.progress(replace(climb, trained=()), chances) == ""


def test_two_candidates_of_one_name_are_refused() -> None:
    twice = [Candidate(spec=LINEAR), Candidate(spec=LINEAR)]
    with pytest.raises(ValueError, match="several candidates are called"):
        ladder.ladder(twice, _length)


def test_students_of_a_ladder_come_from_the_largest_and_once() -> None:
    assert ladder.students_of(_ladder(SPECS, ALL, _size)) == STUDENTS


def test_a_students_chance_is_that_of_its_safest_bundle_trimmed_or_whole() -> None:
    one, other = STUDENTS[2], STUDENTS[4]
    chances = {
        Candidate(spec=one, techniques=("trim", "fusion")): 0.4,
        Candidate(spec=one, techniques=("trim", "fusion", "int4")): 0.3,
        Candidate(spec=one, techniques=("fusion", "int4")): 0.7,
        Candidate(spec=REFERENCE): 1.0,
    }
    assert bisection.chances_of((one, other), chances, "trimmed") == {one: 0.4, other: 0.0}
    assert bisection.chances_of((one, other), chances, "whole") == {one: 0.7, other: 0.0}


def test_whole_students_count_that_are_smaller_than_every_hopeful_bundle() -> None:
    after = ("trim", "fusion", "int4")
    hopeful, hopeless = Candidate(spec=STUDENTS[1], techniques=after), Candidate(spec=STUDENTS[3], techniques=after)
    assert SIZES[hopeful] == 7
    result = bisection.smaller_whole(STUDENTS, SIZES, {hopeful: 0.5, hopeless: 0.49})
    assert result == STUDENTS[4:]  # of 6, 5, 4 and 3 MB
    assert bisection.smaller_whole(STUDENTS, SIZES, {hopeless: 0.1}) == STUDENTS
    assert bisection.smaller_whole(STUDENTS[:3], SIZES, {hopeful: 0.9}) == ()


def test_every_student_left_out_says_why() -> None:
    *larger, last = STUDENTS
    assert bisection.pointless(STUDENTS, {larger[-1]: 0.7, last: 0.02}) == dict.fromkeys(
        larger[:-1],
        "not trained: student-L2-A4-F192-E128 is smaller and has a chance of 70%",
    )
    assert bisection.pointless(STUDENTS, {larger[0]: 0.9, **dict.fromkeys(larger[1:-1], 0.1), larger[-1]: 0.2}) == {
        last: "not trained: student-L2-A4-F192-E128 is larger and has a chance of 20% only"
    }
    assert bisection.pointless(STUDENTS, {}) == {}


def test_the_ladder_is_sorted_by_predicted_size_and_names_nothing_twice() -> None:
    candidates = _ladder(SPECS, ALL, _length)
    sizes = [candidate.predicted_bytes for candidate in candidates]
    assert sizes == sorted(sizes)
    assert len({candidate.candidate.id for candidate in candidates}) == len(candidates) == 4 + 1 + 7 + 3 * len(STUDENTS)


def test_every_technique_of_the_ladder_is_in_the_registry_and_quantisation_comes_last() -> None:
    for candidate in _ladder(SPECS, ALL, _length):
        chain = [TECHNIQUES[name] for name in candidate.candidate.techniques]
        assert not any(technique.quantises for technique in chain[:-1])


def test_the_reference_itself_is_a_candidate_and_so_is_every_trunk_of_its_family() -> None:
    assert () in _chains(REFERENCE)
    assert () in _chains(SPECS[0])


def test_of_a_family_that_is_not_asked_for_only_the_reference_remains() -> None:
    candidates = _ladder(SPECS[:2], ("linear", "student"), _length)
    assert [candidate.candidate for candidate in candidates] == [Candidate(spec=REFERENCE)]


def test_where_attention_cannot_be_fused_everything_is_built_without_fusion() -> None:
    assert _chains(REFERENCE, "fusion") == [
        (),
        ("int8",),
        ("trim", "int8"),
        ("trim", "mixed"),
        ("trim",),
        ("trim", "int4"),
        ("int4",),
    ]
    assert _chains(SPECS[0], "fusion") == [()]
    assert ("trim", "fusion", "int8") in _chains(REFERENCE)


def test_what_needs_a_technique_that_does_not_work_is_left_out() -> None:
    assert _chains(REFERENCE, "trim") == [(), ("fusion", "int8"), ("fusion", "int4")]
    assert _chains(REFERENCE, "int4", "fusion") == [(), ("int8",), ("trim", "int8"), ("trim", "mixed"), ("trim",)]
    assert _chains(STUDENTS[0], "trim", "int4") == []
    assert _chains(LINEAR, "trim") == [()]


def settings_of(base: Path, unlabelled: tuple[str, ...] = ()) -> LadderSettings:
    texts = tables()[0].texts
    return LadderSettings(
        bases=(str(base),),
        families=ALL,
        max_tokens=32,
        texts=Texts.of((*texts, *unlabelled)),
        labelled=Texts.of(texts),
        labels=LABELS,
    )


@pytest.mark.slow
def test_texts_without_labels_keep_tokens_in_all_families_but_the_linear_one() -> None:
    sizes = [
        {
            one.candidate: one.predicted_bytes
            for one in ladder.ladder_of(settings, ladder.reference_spec(settings.bases[0]))
        }
        for settings in (
            settings_of(base_of("bert")),
            settings_of(base_of("bert"), ("quarterly parliament debate", "violin orchestra")),
        )
    ]
    more = {candidate for candidate, size in sizes[1].items() if size > sizes[0][candidate]}
    assert more == {c for c in sizes[0] if "trim" in c.techniques and c.spec.family != "linear"}
    assert all(size >= sizes[0][candidate] for candidate, size in sizes[1].items())


@pytest.mark.slow
def test_the_ladder_goes_without_what_does_not_work_on_the_base_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of(base_of("mpnet"))
    with caplog.at_level("INFO", "parsimony.search.ladder"):
        sized = ladder.ladder_of(settings, ladder.reference_spec(settings.bases[0]))
    techniques = {name for one in sized for name in one.candidate.techniques}
    assert techniques == {"trim", "int8", "mixed", "int4"}
    reason = "the ladder goes without fusion: the optimiser found no attention in this mpnet graph"
    assert f"encoder: {reason}" in [record.getMessage() for record in caplog.records]


@pytest.mark.slow
def test_a_tokenizer_that_cannot_be_trimmed_costs_every_family_its_trimmed_candidates(tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    document = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    document["model"] = {"type": "WordLevel", "vocab": document["model"]["vocab"], "unk_token": "[UNK]"}
    (base / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    settings = settings_of(base)
    sized = ladder.ladder_of(settings, ladder.reference_spec(str(base)))
    assert {one.candidate.spec.family for one in sized} == set(ALL)
    assert [one for one in sized if "trim" in one.candidate.techniques] == []
