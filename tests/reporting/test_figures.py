"""The figures: differences to the reference against size, and latency, for a screen and for a phone."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import decisions
import pytest
from pages import EVERY

from parsimony.decision.records import Decision
from parsimony.measurement.records import Measurement, Quantile
from parsimony.reporting.figures.latency import latency
from parsimony.reporting.figures.size_quality import size_against_quality
from parsimony.reporting.figures.svg import Format

pytestmark = pytest.mark.slow  # matplotlib draws each of them

FORMATS: tuple[Format, ...] = ("wide", "narrow")


def _texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def _ticks(svg: str) -> list[float]:
    """Return the numbers of the vertical axis."""
    words = (word.replace("\N{MINUS SIGN}", "-") for word in _texts(svg))
    return [float(word) for word in words if re.fullmatch(r"[-+]?\d+(\.\d+)?", word)]


@pytest.mark.parametrize("shape", FORMATS)
def test_the_figures_are_the_same_every_time(shape: Format) -> None:
    first, second = (
        (size_against_quality(d, shape), latency(d, shape)) for d in (decisions.decision(), decisions.decision())
    )
    assert first == second


def test_the_figures_are_empty_when_there_is_nothing_to_draw() -> None:
    for shape in FORMATS:
        assert (size_against_quality(decisions.bare(), shape), latency(decisions.bare(), shape)) == ("", "")


@pytest.mark.parametrize("shape", FORMATS)
@pytest.mark.parametrize("name", EVERY)
def test_a_figure_is_one_svg_element_that_follows_the_colours_of_the_page(name: str, shape: Format) -> None:
    for svg in (size_against_quality(EVERY[name](), shape), latency(EVERY[name](), shape)):
        if svg:
            assert svg.startswith("<svg ") and svg.endswith("</svg>") and svg.count("<svg") == 1
            assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {
                "#6f6f6f", "#7a7a7a", "#b0b0b0", "#ffffff", "#2b8a5e", "#cc4b3e", "#a9760f", "#4a7fc1",
            }  # fmt: skip


# --- size against quality -------------------------------------------------------------------------


def test_the_size_figure_names_the_certified_candidates() -> None:
    words = " ".join(_texts(size_against_quality(decisions.decision())))
    assert "linear-char-ngrams" in words
    assert "student-L3" in words
    assert "linear-words" not in words


@pytest.mark.parametrize("shape", FORMATS)
def test_sixty_candidates_are_named_once_each_or_by_number(shape: Format) -> None:
    words = [word for word in _texts(size_against_quality(decisions.many(60), shape)) if re.fullmatch(r"#\d+", word)]
    assert len(words) == len(set(words)) > 10


def test_the_size_figure_shows_differences_to_the_reference() -> None:
    svg = size_against_quality(decisions.decision())
    assert "accuracy, difference to the reference" in _texts(svg)
    assert "allowed: down to −0.01" in _texts(svg)
    assert {0.0, -0.01} <= set(_ticks(svg))
    assert all(-0.04 <= tick <= 0.01 for tick in _ticks(svg))


def test_an_easier_validation_split_moves_no_mark() -> None:
    before, easier = decisions.decision(), decisions.harder_test()
    reference = easier.of(easier.reference)
    assert reference.validation is not None and reference.certificate is not None
    assert reference.validation.accuracy > reference.certificate.score.accuracy + 0.04
    for shape in FORMATS:
        assert size_against_quality(easier, shape) == size_against_quality(before, shape)


def test_another_validation_difference_moves_its_mark() -> None:
    before = decisions.decision()
    lower = tuple(
        replace(j, validation=decisions.score(1360, decisions.VALIDATION_ROWS)) if j.candidate == "encoder+int4" else j
        for j in before.judged
    )
    assert size_against_quality(replace(before, judged=lower)) != size_against_quality(before)


def _with_floor(floor: float, before: Decision) -> list[str]:
    return _texts(size_against_quality(replace(before, gates=replace(before.gates, floor=floor))))


def test_a_floor_is_drawn_relative_to_the_reference_where_its_quality_is_known() -> None:
    before = decisions.decision()
    assert "floor" in _with_floor(0.905, before)
    assert "floor" not in _with_floor(0.85, before)
    assert "floor" not in _with_floor(0.0, before)
    untested = tuple(replace(j, certificate=None) for j in before.judged)
    assert "floor" not in _with_floor(0.905, replace(before, outcome="none", winner=None, judged=untested))


def test_without_a_validated_reference_only_tested_candidates_are_drawn() -> None:
    before = decisions.decision()
    unvalidated = tuple(replace(j, validation=None) if j.is_reference else j for j in before.judged)
    svg = size_against_quality(replace(before, judged=unvalidated))
    tested = sum(judged.certificate is not None for judged in before.judged)
    assert f'aria-label="{tested} candidates by size and difference to the reference in accuracy;' in svg


# --- latency --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", FORMATS)
def test_the_latency_figure_has_a_panel_and_a_limit_for_each_target(shape: Format) -> None:
    words = _texts(latency(decisions.several_targets(), shape))
    assert [word for word in words if word.startswith("target ")] == ["target here", "target edge"]
    assert [word for word in words if "limit" in word] == ["p99 limit 20 ms", "p99 limit 50 ms"]
    assert words.count("student-L2+trim+int4") == 2
    assert words.count("unsteady") == 1


def test_a_phone_has_the_same_names_as_a_screen() -> None:
    named = {judged.candidate for judged in decisions.many(60).judged}
    wide, narrow = (sorted(named & set(_texts(latency(decisions.many(60), shape)))) for shape in FORMATS)
    assert wide == narrow != []


@pytest.mark.parametrize("shape", FORMATS)
def test_equal_numbers_are_drawn_too(shape: Format) -> None:
    before = decisions.decision()
    flat = Quantile(value_ms=1.0, low_ms=1.0, high_ms=1.0)
    measurement: Measurement = replace(decisions.measurement(1.0), p50=flat, p90=flat, p99=flat)
    only = replace(before.of(decisions.REFERENCE), measurements=(measurement,))
    decision = replace(before, outcome="none", winner=None, judged=(only,), targets=())
    assert "encoder" in _texts(size_against_quality(decision, shape))
    assert "encoder" in _texts(latency(decision, shape))


def test_importing_the_report_does_not_import_matplotlib() -> None:
    import subprocess
    import sys

    code = "import sys, parsimony.reporting, parsimony.reporting.receipt; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
