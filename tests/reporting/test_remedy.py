"""What a person is told to do when nothing passed: it follows from what stopped the nearest candidate."""

from __future__ import annotations

from dataclasses import replace

import decisions
import pytest

from parsimony import reporting
from parsimony.decision.records import Decision, GateResult, GateVerdict, Judged
from parsimony.flows.cli import run
from parsimony.flows.cli.main import parser
from parsimony.reporting.remedy import QUIETER, Remedy, remedies, stopped
from parsimony.reporting.summary import in_plain_words


def stopped_by(*gates: GateResult, verdict: str = "inconclusive", steady: bool = True) -> Decision:
    """Return a decision in which one candidate came near and was stopped by these gates."""
    before = decisions.nothing_passed()
    near = before.of("linear-char-ngrams")
    measured = tuple(replace(m, stable=steady) for m in near.measurements)
    mine = replace(near, gates=gates, verdict=verdict, measurements=measured)
    others = tuple(
        replace(j, verdict="not built", bundle=None, gates=(), certificate=None) for j in before.judged if j is not near
    )
    return replace(before, judged=(*others, mine))


def gate(name: str, verdict: GateVerdict, value: float | None = 1.0, reason: str = "so it is") -> GateResult:
    return GateResult(gate=name, verdict=verdict, value=value, limit=1.0, reason=reason)


@pytest.mark.parametrize(
    ("open_gate", "steady", "key", "words"),
    [
        (gate("margin", "fail"), True, "gates.margin", "the quality is not reached"),
        (gate("margin", "inconclusive"), True, "gates.margin", "label about 4,070 more"),
        (gate("floor", "fail"), True, "gates.floor", "the quality is not reached"),
        (gate("slices", "fail"), True, "gates.slice_margin", "one group of texts is harmed"),
        (gate("here p99_ms", "fail"), True, "targets.0.p99_ms", "it is too slow on 'here'"),
        (gate("here p99_ms", "inconclusive"), True, "targets.0.p99_ms", "it cannot be distinguished from the limit on 'here'"),
        (gate("here p99_ms", "inconclusive"), False, "", QUIETER),
        (gate("here measured", "inconclusive", 0.4), False, "", QUIETER),
        (gate("here measured", "inconclusive", None, "no result from this target"), True, "", "no result from this target"),
        (gate("here peak_rss_bytes", "fail"), True, "targets.0.max_rss_mb", "it needs too much memory"),
        (gate("here size_bytes", "fail"), True, "targets.0.max_size_mb", "it is too large"),
        (gate("a new rule", "fail"), True, "", "a new rule: so it is"),
    ],
)  # fmt: skip
def test_the_hint_follows_from_what_stopped_the_nearest_candidate(
    open_gate: GateResult, steady: bool, key: str, words: str
) -> None:
    [remedy] = remedies(stopped_by(gate("other", "pass"), open_gate, verdict=open_gate.verdict, steady=steady))
    assert remedy.key == key
    assert words in remedy.words
    assert ("margin" in remedy.key) == (open_gate.gate in ("margin", "slices"))


def test_every_gate_that_stopped_it_has_a_hint_and_the_same_hint_is_given_once() -> None:
    both = stopped_by(gate("here measured", "inconclusive", 0.4), gate("here p99_ms", "inconclusive"), steady=False)
    assert remedies(both) == (Remedy(key="", words=QUIETER),)
    two = stopped_by(gate("margin", "inconclusive"), gate("here p99_ms", "fail"), verdict="fail")
    assert [remedy.key for remedy in remedies(two)] == ["gates.margin", "targets.0.p99_ms"]


def test_where_nothing_was_tested_what_a_target_stopped_is_looked_at() -> None:
    before = stopped_by(gate("here measured", "inconclusive", 0.4), steady=False)
    untested = replace(
        before,
        judged=tuple(replace(j, verdict="not certified", certificate=None) if j.gates else j for j in before.judged),
    )
    judged = stopped(untested)
    assert judged is not None and judged.candidate == "linear-char-ngrams"
    assert remedies(untested) == (Remedy(key="", words=QUIETER),)
    [told] = in_plain_words(untested)
    assert told.endswith(
        "No model was tested for its quality. The best one: its speed could not be measured reliably. What it means: it has to "
        "be repeated on a quieter machine."
    )


def test_a_decision_with_a_winner_needs_no_remedy() -> None:
    assert remedies(decisions.decision()) == remedies(decisions.kept()) == ()


def _next(decision: Decision, capsys: pytest.CaptureFixture[str], plan: str = "plan.toml") -> str:
    run._print_remedies(decision, parser().parse_args(["run", plan]))
    return capsys.readouterr().out


def test_what_to_type_next_is_a_command_for_each_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    quieter = stopped_by(gate("here measured", "inconclusive", 0.4), steady=False)
    assert _next(quieter, capsys, "my plan.toml") == f"next     parsimony run 'my plan.toml'   ({QUIETER})\n"
    slow = stopped_by(gate("margin", "fail"), gate("here p99_ms", "fail"), verdict="fail")
    first, second = _next(slow, capsys).splitlines()
    assert first.startswith("next     parsimony run plan.toml --set gates.margin=...   (")
    assert second.startswith("         parsimony run plan.toml --set targets.0.p99_ms=...   (")
    assert "gates.margin" not in _next(decisions.bare(), capsys)


# --- an unsteady timing that stops nothing ---------------------------------------------------------


def unsteady_winner() -> Decision:
    before = decisions.decision()
    measured = (decisions.measurement(0.71, stable=False),)
    return replace(
        before,
        judged=tuple(replace(j, measurements=measured) if j.candidate == before.winner else j for j in before.judged),
    )


def _shown(decision: Decision) -> Judged:
    assert decision.winner is not None
    return decision.of(decision.winner)


@pytest.mark.slow
def test_an_unsteady_timing_is_marked_wherever_it_is_shown() -> None:
    from parsimony.reporting.receipt import receipt

    decision = unsteady_winner()
    row = next(row for row in reporting.table(decision) if row[0] == decision.winner)
    assert row[3] == "0.710*"
    assert reporting.unsteady(decision).startswith("* unsteady: ")
    assert reporting.unsteady(decisions.decision()) == ""
    assert "unsteady" in reporting.markdown(decision) and "unsteady" in reporting.version_card(decision)
    paper = receipt(decision, version="1")
    assert "0.710 unsteady" in reporting.html(decision, paper)
    mine = next(c for c in paper["candidates"] if c["candidate"] == decision.winner)  # type: ignore[attr-defined]
    assert mine["measurements"][0]["stable"] is False
    assert "in about 0.710 ms (the machine was busy meanwhile, so this is not exact)." in in_plain_words(decision)[0]


def test_of_a_kept_champion_that_is_inconclusive_nothing_is_claimed_that_was_not_shown() -> None:
    before = decisions.kept()
    open_gate = gate("here measured", "inconclusive", 0.4)
    kept = replace(
        before,
        judged=tuple(
            replace(j, verdict="inconclusive", gates=(*j.gates, open_gate), reason="here measured: unsteady")
            if j.is_champion
            else j
            for j in before.judged
        ),
    )
    assert _shown(kept).verdict == "inconclusive"
    *_, last = in_plain_words(kept)
    assert last == (
        "What it means: nothing changes in production. Whether what runs there still meets every rule was not shown this "
        "time: its speed could not be measured reliably. Run it again to be sure."
    )
    assert "still keeps the promised quality" not in reporting.markdown(kept)
    with pytest.raises(ValueError, match=r"has verdicts \['inconclusive'\], expected one pass"):
        replace(kept, outcome="promoted")
    failed = tuple(replace(j, verdict="fail") if j.is_champion else j for j in kept.judged)
    with pytest.raises(ValueError, match="expected one pass or inconclusive"):
        replace(kept, judged=failed)
