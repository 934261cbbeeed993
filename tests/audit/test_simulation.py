"""The promise, tried out: what the whole procedure promotes in worlds whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from parsimony.audit import simulation, simulation_page
from parsimony.audit.simulation_figure import simulated


@pytest.fixture(scope="module")
def cells() -> list[simulation.Cell]:
    return simulation.simulate(400, rows=(300, 3_000), discordances=(0.01, 0.05), candidates=(1, 10), seed=3)


@pytest.mark.slow
def test_a_worse_model_is_promoted_no_more_often_than_promised(cells: list[simulation.Cell]) -> None:
    result = simulation.summary(cells)
    assert (result["cells"], result["worlds"]) == (8, 6_400)
    assert result["holds"], result


@pytest.mark.slow
def test_rules_that_compare_two_numbers_promote_worse_models_far_more_often(cells: list[simulation.Cell]) -> None:
    many = [cell for cell in cells if cell.candidates == 10]
    assert min(cell.false["fixed drop"] for cell in many) > 0.3
    assert max(cell.false["greater or equal"] for cell in many) > 0.3
    assert max(cell.false["smallest first"] for cell in many) > 0.15


@pytest.mark.slow
def test_an_equal_model_is_found_where_the_rows_suffice(cells: list[simulation.Cell]) -> None:
    power = {(cell.rows, cell.discordance, cell.candidates): cell.power for cell in cells}
    assert power[3_000, 0.01, 1] > 0.9
    assert power[300, 0.05, 1] < 0.3


def test_the_same_seed_gives_the_same_cells() -> None:
    first, again = (simulation.simulate(20, (300,), (0.02,), (3,), seed=1) for _ in range(2))
    assert first == again
    assert "| 300 | 2 | 3 |" in simulation_page.table(first)


@pytest.mark.slow
def test_the_figure_has_a_panel_for_each_number_of_rows_and_a_line_for_each_rule(cells: list[simulation.Cell]) -> None:
    text = simulated(cells, 0.05)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {"".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"300 test rows", "3,000 test rows", "power of parsimony"} <= words
    assert {f"false: {rule}" for rule in simulation.RULES} <= words
    assert text == simulated(cells, 0.05)


@pytest.mark.slow
def test_the_command_writes_page_and_figure_and_prints_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = simulation.simulate(60, (300,), (0.02,), (1, 3), seed=1)
    monkeypatch.setattr(simulation_page, "simulate", lambda worlds: small)
    code = simulation_page.main(["60", str(tmp_path / "page.md")])
    result = json.loads(capsys.readouterr().out)
    assert code == (0 if result["holds"] else 1)
    assert result["cells"] == 2
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "](page.svg)" in page
    assert "| 300 | 2 | 3 |" in page
    assert (tmp_path / "page.svg").read_text(encoding="utf-8").startswith("<svg xmlns=")
