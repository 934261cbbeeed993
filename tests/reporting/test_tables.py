"""The tables of the report: promises, slices, data, cost."""

from __future__ import annotations

from dataclasses import replace

import decisions
from pages import page_of

from parsimony.decision.records import GateResult
from parsimony.reporting import markdown
from parsimony.reporting.tables import Grid, candidates, cost, data, promises, slices


def test_the_ladder_is_smallest_first_with_winner_and_reference_marked() -> None:
    grid = candidates(decisions.decision())
    rows = (grid.columns, *grid.rows)
    assert rows[0] == ("candidate", "size", "× smaller", "validation", "test diff ≥ bound", "p50 ms", "verdict")
    assert rows[1] == ("linear-words", "0.221 MB", "411×", "0.8887", "–", "–", "not certified")
    assert rows[3] == ("student-L1+trim+int4", "~2.21 MB", "–", "–", "–", "–", "not built")
    assert rows[5] == (
        "student-L2+trim+int4", "3.74 MB", "24.3×", "0.9160", "−0.0019 ≥ −0.0066", "0.710", "pass, winner",
    )  # fmt: skip
    assert rows[-1][0] == "encoder"
    assert rows[-1][-1] == "pass, reference"


def test_the_ladder_shows_the_metric_of_the_gates() -> None:
    assert candidates(decisions.with_metric("macro_f1")).rows[0][3] == "0.8874"


def test_quarantine_shows_the_first_rows_of_each_check() -> None:
    [quarantine] = [grid for grid in data(decisions.decision()) if grid.title == "Quarantined"]
    assert [row[0] for row in quarantine.rows] == ["conflicting_labels (6)", "", "", "", "", "empty_text (2)", ""]
    assert quarantine.rows[0][1:] == ("train.csv", "31", "category", "the same text has another label in row 842")


def test_the_slices_of_the_winner_are_told_by_column_the_worst_first() -> None:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    gate = GateResult(gate="slices", verdict="pass", value=0.1, limit=-0.1, reason="region 'us' is the worst")
    changed = replace(winner, gates=(*winner.gates, gate))
    decision = replace(before, judged=tuple(changed if j is winner else j for j in before.judged))
    columns = ("slice", "rows", "right before, wrong now", "wrong before, right now")
    name = "student-L2+trim+int4"
    assert slices(decision) == (
        Grid(
            title=f"{name}: label",
            columns=columns,
            rows=(("intent_76", "40", "28", "18"), ("intent_01", "40", "13", "17")),
        ),
        Grid(
            title=f"{name}: region",
            columns=columns,
            rows=(("us", "2,000", "28", "18"), ("eu", "1,080", "13", "17")),
            note="region 'us' is the worst.",
        ),
    )
    for text in (page_of(decision), markdown(decision)):
        assert "intent" in text and "region" in text


def test_only_the_worst_slices_are_listed_and_the_others_counted() -> None:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    assert winner.certificate is not None
    all_lost = tuple(replace(s, lost=i + 1, won=0) for i, s in enumerate(winner.certificate.slices[:20]))
    changed = replace(winner, certificate=replace(winner.certificate, slices=all_lost))
    [grid] = slices(replace(before, judged=tuple(changed if j is winner else j for j in before.judged)))
    assert [row[2] for row in grid.rows] == [str(lost) for lost in range(20, 8, -1)]
    assert grid.note == "8 others changed less."


def test_a_winner_that_predicts_like_the_reference_changes_no_slice() -> None:
    decision = replace(decisions.decision(), winner=decisions.REFERENCE)
    assert [(grid.rows, grid.note) for grid in slices(decision)] == [
        ((), "It is right and wrong on the same rows as the reference.")
    ] * 2
    assert slices(decisions.bare()) == ()


def test_the_limits_of_slices_are_told() -> None:
    decision = decisions.decision()
    assert promises(decision)[0].rows[4:6] == (
        ("no slice proven to lose more than", "0.1"),
        ("no slice proven to lie below", "no floor"),
    )
    strict = replace(decision, gates=replace(decision.gates, slice_margin=1.0, slice_floor=0.5))
    assert [value for _, value in promises(strict)[0].rows[4:6]] == ["no limit", "0.5"]


def test_energy_and_carbon_say_where_they_come_from() -> None:
    total, _ = cost(decisions.decision())
    assert total.rows[1:] == (
        ("energy", "9.10 Wh", "estimated: 15 W for each busy core"),
        ("carbon", "3.20 g CO2e", "estimated: 350 g/kWh, set in the plan"),
    )


def test_the_splits_are_told_with_their_rows_and_the_test_set_reuse() -> None:
    splits, digests, *_ = data(decisions.decision())
    assert splits.rows == (
        ("labels", "77"),
        ("train", "8,495 rows"),
        ("validation (chooses)", "1,500 rows"),
        ("test (decides once)", "3,080 rows"),
        ("test-set reuse", "1 question answered, this one included"),
        ("quarantined", "8 rows"),
    )
    more = replace(decisions.dataset(), unlabelled_rows=2, unlabelled_digest="b2" * 32)
    splits_too, digests_too, *_ = data(replace(decisions.decision(), dataset=more))
    assert set(splits_too.rows) - set(splits.rows) == {("without labels (students learn from them)", "2 texts")}
    assert set(digests_too.rows) - set(digests.rows) == {("texts without labels", "b2" * 32)}
    assert digests.rows == (("everything", "5e" * 32), ("test split", "a1" * 32))
