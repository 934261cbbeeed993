"""The instrument on work that is known beforehand, in few repetitions; `make instrument` does many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from parsimony.audit import instrument, known_work
from parsimony.audit.instrument import Row
from parsimony.measurement.records import Ratio, RatioVerdict

QUIET, LOADED = 20, 5


def ratio(verdict: RatioVerdict, value: float) -> Ratio:
    return Ratio(baseline="baseline", value=value, low=value, high=value, rounds=20, noise_floor=0.02, verdict=verdict)


def rows(same: int, slower: int, wrong: int, of: int = 100) -> list[Row]:
    """Return rows in which so many were called different, slower as they are, and faster though they are slower."""
    return [
        instrument.row("the same", "as it is", [ratio("faster", 0.9)] * same + [ratio("same", 1.0)] * (of - same)),
        instrument.row(
            "5 % longer",
            "as it is",
            [ratio("slower", 1.05)] * slower + [ratio("faster", 0.9)] * wrong
            + [ratio("inconclusive", 1.0)] * (of - slower - wrong),
        ),
    ]  # fmt: skip


def test_a_row_counts_every_verdict() -> None:
    row = rows(same=3, slower=95, wrong=0)[0]
    assert row.verdicts == {"faster": 3, "slower": 0, "same": 97, "inconclusive": 0}
    assert row.share("faster", "slower") == 0.03
    assert (row.median_ratio, row.median_floor, row.repetitions) == (1.0, 0.02, 100)


@pytest.mark.parametrize(
    ("same", "slower", "wrong", "kept"),
    [(5, 90, 0, True), (6, 90, 0, False), (0, 89, 0, False), (0, 99, 1, False), (0, 100, 0, True)],
)
def test_the_promises_are_five_ninety_and_never(same: int, slower: int, wrong: int, kept: bool) -> None:
    assert instrument.holds(rows(same, slower, wrong)) == kept


def test_on_a_loaded_core_not_to_know_is_allowed_and_to_be_wrong_is_not() -> None:
    quiet = rows(0, 100, 0)
    unsure = [replace(row, machine="its core loaded") for row in rows(0, 10, 0)]
    wrong = [replace(row, machine="its core loaded") for row in rows(0, 10, 1)]
    assert instrument.holds([*quiet, *unsure])
    assert not instrument.holds([*quiet, *wrong])


def test_the_page_has_a_line_for_each_row() -> None:
    text = instrument.table(rows(3, 95, 0)).splitlines()
    assert len(text) == 4
    assert text[2].startswith("| the same | as it is | 100 | 3 | 0 | 97 | 0 | 1.0000 (")
    assert {line.count("|") for line in text} == {10}


def _promised(same: Row, longer: Row) -> bool:
    """Say whether 20 repetitions keep what is promised; with 5 % and 90 % they do not 3 times in 1,000 each."""
    called_different = same.verdicts["faster"] + same.verdicts["slower"]
    near = longer.median_ratio == pytest.approx(1.05, abs=0.02)
    return called_different <= 4 and longer.verdicts["slower"] >= 14 and longer.verdicts["faster"] == 0 and near


@pytest.mark.slow
@pytest.mark.long
def test_the_same_is_hardly_ever_called_different_and_five_percent_are_nearly_always_found(tmp_path: Path) -> None:
    """The promise is made for a machine that is left alone: a busy minute spoils one batch, a wrong instrument all three."""
    folders = instrument.write_known_work(tmp_path)
    batches = []
    for _ in range(3):
        repeated = instrument.repeated(folders, known_work.MODULE, QUIET)
        batches.append([instrument.row(name, "as it is", ratios) for name, ratios in repeated.items()])
        if _promised(*batches[-1]):
            return
    pytest.fail("\n\n".join(instrument.table(rows) for rows in batches))


@pytest.mark.slow
@pytest.mark.long
def test_on_a_loaded_core_no_verdict_is_wrong(tmp_path: Path) -> None:
    with instrument.one_core_loaded():
        repeated = instrument.repeated(instrument.write_known_work(tmp_path), known_work.MODULE, LOADED)
    same, longer = (instrument.row(name, "its core loaded", ratios) for name, ratios in repeated.items())
    print(instrument.table([same, longer]))
    assert longer.verdicts["faster"] == 0
    assert same.verdicts["faster"] + same.verdicts["slower"] <= 2
