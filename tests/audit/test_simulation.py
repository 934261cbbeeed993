"""The promise, tried out: what the whole procedure promotes in worlds whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from parsimony.audit import ladder_simulation, ladders, rules, simulation, simulation_page
from parsimony.audit.ladder_simulation import LadderCell
from parsimony.audit.ladders import Setting
from parsimony.audit.simulation_figure import simulated, simulated_ladders


@pytest.fixture(scope="module")
def cells() -> list[simulation.Cell]:
    return simulation.simulate(120, rows=(300, 3_000), discordances=(0.01, 0.05), candidates=(1, 10), seed=3)


@pytest.mark.slow
def test_a_worse_model_is_promoted_no_more_often_than_promised(cells: list[simulation.Cell]) -> None:
    result = simulation.summary(cells)
    assert (result["cells"], result["worlds"]) == (8, 1_920)
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


@pytest.mark.slow
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
    climbed = ladder_simulation.simulate_ladders(2, [NEW_WORDS])
    monkeypatch.setattr(simulation_page, "simulate", lambda worlds: small)
    monkeypatch.setattr(simulation_page, "simulate_ladders", lambda worlds: climbed)
    code = simulation_page.main(["60", str(tmp_path / "page.md")])
    result = json.loads(capsys.readouterr().out)
    assert code == (0 if result["holds"] and result["ladders_hold"] else 1)
    assert result["cells"] == 2
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "](page.svg)" in page
    assert "](page-ladders.svg)" in page
    assert "| 600 | 0.02 | harder, new words |" in page
    assert "| 300 | 2 | 3 |" in page
    assert (tmp_path / "page.svg").read_text(encoding="utf-8").startswith("<svg xmlns=")


# --- ladders as they are ------------------------------------------------------------------------------

NEW_WORDS = Setting(rows=600, margin=0.02, shifted=True, new_words=True)


@pytest.fixture(scope="module")
def climbed() -> LadderCell:
    few = {name: rules.RULES[name] for name in ("shared", "fixed sequence")}
    [cell] = ladder_simulation.simulate_ladders(60, [NEW_WORDS], few, seed=2)
    return cell


@pytest.mark.slow
def test_a_shared_level_certifies_something_worse_no_more_often_than_promised(climbed: LadderCell) -> None:
    result = simulation_page.ladder_summary([climbed])
    assert result["ladders_hold"], result


@pytest.mark.slow
def test_where_new_words_harm_trimmed_candidates_a_shared_level_saves_more_than_one_sequence(
    climbed: LadderCell,
) -> None:
    shared, fixed = (np.log(climbed.savings[name]).mean() for name in ("shared", "fixed sequence"))
    assert shared > fixed
    assert climbed.savings[ladder_simulation.KNOWN].mean() > climbed.savings["shared"].mean()


@pytest.mark.slow
def test_the_figure_of_ladders_names_every_rule_that_it_draws() -> None:
    [cell] = ladder_simulation.simulate_ladders(2, [NEW_WORDS])
    root = ElementTree.fromstring(simulated_ladders([cell]))
    words = {"".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"shared", "fixed sequence", "step-down", "the truth known"} <= words


@pytest.mark.parametrize("truth", ["nature", "boundary", "mixed"])
def test_a_world_loses_what_it_says_that_it_loses(truth: ladders.Truth) -> None:
    setting, rng = Setting(rows=4_000, margin=0.01, shifted=True, new_words=True), np.random.default_rng(1)
    gaps = []
    for _ in range(40):
        world = ladders.draw(setting, truth, rng)
        b, c = ladders.counts(world.test).T
        gaps.append((b - c) / setting.rows - world.losses)
    means = np.mean(gaps, axis=0)[:-2]  # of the last two less may be won than their rates ask for
    assert np.abs(means).max() < 0.003


def test_in_every_second_world_kind_the_truly_worse_are_at_the_margin() -> None:
    setting, rng = Setting(rows=300, margin=0.01, shifted=False), np.random.default_rng(1)
    assert ladders.draw(setting, "boundary", rng).losses == pytest.approx(0.01)
    assert ladders.draw(setting, "mixed", rng).losses[1::2] == pytest.approx(0.01)
    assert ladders.draw(setting, "nature", rng).shift == ladders.NO_SHIFT
