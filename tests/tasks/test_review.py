"""Winners that wait for a person, on a real MLflow: approved, rejected, out of time, replaced, void; and aliases moved by hand."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from bundles import write_tiny_bundle
from test_registry import (
    MODEL,
    alias_of,
    decide,
    judged_pass,
    put_into_production,
    registered,
    registry,
    template_database,
)

from parsimony.decision.journal import JournalEntry
from parsimony.decision.records import Decision
from parsimony.errors import ParsimonyError, PlanError
from parsimony.flows.cli.main import main
from parsimony.reporting.receipt import dumps, receipt
from parsimony.tasks.registry import holds, review
from parsimony.tasks.registry.promotion import champion, history, reconcile, rollback
from parsimony.tasks.registry.review import Said, Terms, propose
from parsimony.tasks.registry.tracking import Registry, attach, connected, record
from parsimony.tasks.registry.versions import register

__all__ = ["registry", "template_database"]  # fixtures
pytestmark = pytest.mark.slow

ADA = Said(reviewer="ada", note="fine on our hard cases")


def decision_of(folder: Path, name: str, outcome: str = "waiting") -> Decision:
    built = write_tiny_bundle(folder / name, name=name)
    decision = decide(judged_pass(name, built), winner=name, outcome="promoted", run_id=f"run-{name}")
    return replace(decision, outcome=outcome, reason=f"{name} is the smallest")  # type: ignore[arg-type]


def proposed(registry: Registry, folder: Path, name: str, terms: Terms | None = None) -> JournalEntry:
    decision = decision_of(folder, name)
    return propose(registry, decision, registered(registry, decision, card=f"PASS {name}\n\nmore"), terms or Terms())


def aliases(registry: Registry) -> dict[str, str]:
    with connected(registry) as client:
        return {alias: str(version) for alias, version in client.get_registered_model(MODEL).aliases.items()}


def tags(registry: Registry, version: str) -> dict[str, str]:
    with connected(registry) as client:
        return dict(client.get_model_version(MODEL, version).tags)


def set_tags(registry: Registry, version: str, **values: str) -> None:
    with connected(registry) as client:
        for name, value in values.items():
            client.set_model_version_tag(MODEL, version, name, value)


def test_a_winner_waits_as_challenger_and_an_approval_promotes_it_with_who_when_and_why(
    registry: Registry, tmp_path: Path
) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    entry = proposed(registry, tmp_path, "new")
    there = review.waiting(registry, MODEL)
    assert there is not None and (there.version, there.candidate, there.reason) == ("2", "new", "new is the smallest")
    assert aliases(registry) == {"champion": "1", "challenger": "2"}
    assert tags(registry, "2")["review"] == "waiting"
    present = champion(registry, MODEL)
    assert present is not None and (present.version, present.notes) == ("1", ())
    assert propose(registry, decision_of(tmp_path / "again", "new"), _verified(registry, tmp_path), Terms()) == entry

    done = review.approve(registry, MODEL, ADA)
    assert (done.kind, done.version, done.by) == ("promote", "2", "ada")
    assert done.reason == "approved: fine on our hard cases; new is the smallest"
    assert aliases(registry) == {"champion": "2", "previous": "1"}
    assert review.waiting(registry, MODEL) is None
    shown = tags(registry, "2")
    assert (shown["review"], shown["reviewer"], shown["reviewed_at"]) == ("approved", "ada", done.at)
    with connected(registry) as client:
        card = str(client.get_model_version(MODEL, "2").description)
    assert card.startswith("PASS new\n\n## Review\n\nVersion 2 was approved by ada at ") and card.endswith("\n\nmore")
    rollback(registry, MODEL, "complaints")
    assert aliases(registry) == {"champion": "1"}


def _verified(registry: Registry, folder: Path) -> review.Verified:
    there = review.waiting(registry, MODEL)
    assert there is not None
    return review.Verified(version=there.version, digest=there.digest)


def test_the_first_winner_of_a_model_waits_without_a_champion(registry: Registry, tmp_path: Path) -> None:
    proposed(registry, tmp_path, "first")
    assert aliases(registry) == {"challenger": "1"}
    assert champion(registry, MODEL) is None and reconcile(registry, MODEL) == ()
    review.approve(registry, MODEL, ADA, "1")
    assert aliases(registry) == {"champion": "1"}


def test_what_was_rejected_is_not_proposed_again(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    proposed(registry, tmp_path, "new")
    entry = review.reject(registry, MODEL, Said(reviewer="bob", note="too rude"))
    assert (entry.kind, entry.by, entry.reason) == ("reject", "bob", "too rude")
    assert aliases(registry) == {"champion": "1"}
    assert dict(holds.standing(registry, MODEL).withdrawn)[entry.digest].startswith("it was rejected by bob at ")
    with pytest.raises(PlanError, match="was rejected and is not promoted again"):
        proposed(registry, tmp_path / "again", "new")


@pytest.mark.parametrize(("on_timeout", "kind", "barred"), [("reject", "reject", True), ("keep", "expire", False)])
def test_out_of_time_it_is_rejected_or_the_champion_kept_as_the_plan_says(
    on_timeout: review.OnTimeout, kind: str, barred: bool, registry: Registry, tmp_path: Path
) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    proposed(registry, tmp_path, "new", Terms(hours=1, on_timeout=on_timeout))
    assert review.expire(registry, MODEL) is None
    set_tags(registry, "2", review_until="2026-01-05T03:00:00+00:00")
    entry = review.expire(registry, MODEL)
    assert entry is not None and (entry.kind, entry.by) == (kind, "nobody")
    assert (aliases(registry), champion(registry, MODEL).version) == ({"champion": "1"}, "1")  # type: ignore[union-attr]
    assert bool(holds.standing(registry, MODEL).withdrawn) is barred
    assert tags(registry, "2")["review"] == {"reject": "rejected", "expire": "expired"}[kind]
    if not barred:
        proposed(registry, tmp_path / "again", "new")
        assert (aliases(registry)["challenger"], tags(registry, "2")["review"]) == ("2", "waiting")


def test_a_newer_challenger_takes_the_place_of_one_that_nobody_reviewed_and_this_is_seen(
    registry: Registry, tmp_path: Path
) -> None:
    proposed(registry, tmp_path, "one")
    proposed(registry, tmp_path, "two")
    assert aliases(registry) == {"challenger": "2"}
    assert tags(registry, "1")["review"] == "replaced"
    with pytest.raises(PlanError, match="version 1 was replaced by version 2, which waits instead"):
        review.approve(registry, MODEL, ADA, "1")
    assert review.approve(registry, MODEL, ADA, "2").version == "2"


def test_of_two_reviewers_at_once_one_wins_and_the_other_is_told(registry: Registry, tmp_path: Path) -> None:
    proposed(registry, tmp_path, "new")
    results: list[object] = []
    start = threading.Barrier(2)

    def decides(say: object, who: str) -> None:
        start.wait()
        try:
            results.append(say(registry, MODEL, Said(reviewer=who, note="so"), "1"))  # type: ignore[operator]
        except ParsimonyError as error:
            results.append(error)

    both = [threading.Thread(target=decides, args=pair) for pair in ((review.approve, "ada"), (review.reject, "bob"))]
    for one in both:
        one.start()
    for one in both:
        one.join()
    [entry] = [result for result in results if isinstance(result, JournalEntry)]
    [refused] = [result for result in results if isinstance(result, PlanError)]
    assert f"version 1 was {'approved' if entry.kind == 'promote' else 'rejected'} by {entry.by} at " in str(refused)
    assert [e.kind for e in history(registry, MODEL)] == ["challenge", entry.kind]


def test_an_approval_is_void_when_the_champion_changed_meanwhile(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    proposed(registry, tmp_path, "new")
    put_into_production(registry, decision_of(tmp_path, "other", "promoted"))
    with pytest.raises(PlanError, match="version 3 was put into production .* so its approval is void; run again"):
        review.approve(registry, MODEL, ADA, "2")
    assert aliases(registry) == {"champion": "3", "previous": "1"}
    reconcile(registry, MODEL)
    review.show_all(registry, MODEL)
    assert tags(registry, "2")["review"] == "void"


def test_while_promotions_are_held_nothing_is_approved(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    proposed(registry, tmp_path, "new")
    holds.hold(registry, MODEL, "audit")
    with pytest.raises(PlanError, match="promotions are held by .*: audit; `parsimony release"):
        review.approve(registry, MODEL, ADA)
    holds.release(registry, MODEL, "done")
    assert review.approve(registry, MODEL, ADA).version == "2"


# --- in MLflow ------------------------------------------------------------------------------------


def test_tags_that_a_reviewer_sets_are_acted_on_and_wrong_ones_are_told_first(
    registry: Registry, tmp_path: Path
) -> None:
    proposed(registry, tmp_path, "new")
    assert review.act_on_tags(registry, MODEL) is None
    set_tags(registry, "1", review="yes")
    assert review.act_on_tags(registry, MODEL) is None
    assert tags(registry, "1")["review_problem"] == "the tag review is 'yes', expected approved or rejected"
    set_tags(registry, "1", review="Approved ")
    assert review.act_on_tags(registry, MODEL) is None
    assert tags(registry, "1")["review_problem"] == "set the tag reviewer, too: the journal keeps who approved it"
    set_tags(registry, "1", reviewer="ada", note="looked\nat it")
    entry = review.act_on_tags(registry, MODEL)
    assert entry is not None and (entry.kind, entry.by, entry.reason) == (
        "promote", "ada", "approved: looked at it; new is the smallest",
    )  # fmt: skip
    assert "review_problem" not in tags(registry, "1")
    assert review.act_on_tags(registry, MODEL) is None


# --- an alias moved by hand -----------------------------------------------------------------------


def with_receipt(registry: Registry, decision: Decision) -> str:
    """Record, store the receipt and register; return the version."""
    recorded = record(registry, decision, tags={})
    verified = register(registry, decision, version_card="PASS", run_id_of_winner=recorded.of(str(decision.winner)))
    path = Path(str(registry.artifact_root)).parent / "receipt.json"
    path.write_text(dumps(receipt(decision, version=verified.version)))
    attach(registry, recorded, {"receipt.json": path})
    return verified.version


def with_reference(decision: Decision) -> Decision:
    return replace(decision, reference=str(decision.winner))


def test_an_alias_that_was_moved_by_hand_raises_an_alarm_is_healed_and_adopted_if_it_was_judged(
    registry: Registry, tmp_path: Path
) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    version = with_receipt(registry, with_reference(decision_of(tmp_path, "judged", "waiting")))
    with connected(registry) as client:
        client.set_registered_model_alias(MODEL, "champion", version)
    [line] = reconcile(registry, MODEL)
    assert line == f"the alias champion of {MODEL} named version 2 and follows the journal again, to version 1"
    assert aliases(registry) == {"champion": "1"}
    with connected(registry) as client:
        assert line in client.get_registered_model(MODEL).tags["alarm"]
    assert "the alias champion named this version, the journal does not" in tags(registry, "2")["alias_moved"]
    assert review.moved_by_hand(registry, MODEL) == "2"
    entry = review.adopt(registry, MODEL, ADA, "2")
    assert (entry.kind, entry.reason, entry.by) == ("promote", "adopted: fine on our hard cases", "ada")
    assert aliases(registry) == {"champion": "2", "previous": "1"}


def test_a_version_that_no_run_has_judged_is_not_adopted(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_of(tmp_path, "old", "promoted"))
    with connected(registry) as client:
        client.create_model_version(MODEL, source="/nowhere", tags={"verdict": "pass", "digest": "f" * 64})
    for version, why in (("2", "no receipt says that a run has judged it"), ("9", "has no version 9")):
        with pytest.raises(PlanError, match=why):
            review.adopt(registry, MODEL, ADA, version)
    assert aliases(registry) == {"champion": "1"}


def test_aliases_that_are_gone_are_set_again(registry: Registry, tmp_path: Path) -> None:
    for name in ("one", "two"):
        put_into_production(registry, decision_of(tmp_path, name, "promoted"))
    proposed(registry, tmp_path, "three")
    with connected(registry) as client:
        for alias in ("champion", "challenger", "previous"):
            client.delete_registered_model_alias(MODEL, alias)
    assert len(reconcile(registry, MODEL)) == 1
    assert aliases(registry) == {"champion": "2", "challenger": "3", "previous": "1"}
    with connected(registry) as client:
        client.delete_model_version(MODEL, "3")
    reconcile(registry, MODEL)
    assert aliases(registry) == {"champion": "2", "previous": "1"}


# --- from a terminal ------------------------------------------------------------------------------


def test_the_verb_shows_what_waits_and_takes_the_persons_word(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    proposed(registry, tmp_path, "new")
    assert main(["review", MODEL]) == 0
    out = capsys.readouterr().out
    assert f"{MODEL} version 1 waits since" in out and "then: reject" in out and "PASS new" in out
    assert main(["review", MODEL, "--approve"]) == 2
    assert "say why" in capsys.readouterr().err
    assert main(["review", MODEL, "--approve", "--reviewer", "ada", "--reason", "good"]) == 0
    assert capsys.readouterr().out.startswith(f"{MODEL} version 1 is in production: by ada at ")
    with connected(registry) as client:
        assert alias_of(client) == "1"
    assert main(["review", MODEL, "--reject", "--reason", "no"]) == 2
    assert "version 1 was approved by ada at" in capsys.readouterr().err
    assert main(["review", MODEL, "--json"]) == 0
    assert capsys.readouterr().out == "null\n"
