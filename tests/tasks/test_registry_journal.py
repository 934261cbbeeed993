"""The journal on a real MLflow that is tampered with, that loses calls, and whose store is damaged, moved or full."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bundles import write_tiny_bundle
from test_registry import (
    MODEL,
    alias_of,
    append_by_hand,
    decision_on,
    free_port,
    judged_pass,
    mlflow_client,
    put_into_production,
    registered,
    registry,
    stored_bundle,
    template_database,
)

from parsimony.candidates import BuiltBundle
from parsimony.data.splits import write_splits
from parsimony.data.table import Table
from parsimony.decision.journal import withdrawn
from parsimony.decision.records import Decision
from parsimony.errors import InfrastructureError, PlanError
from parsimony.flows.cli.main import main
from parsimony.tasks import champion as champions
from parsimony.tasks.publish import PENDING, PROMOTED, may_have_promoted, publish, settle
from parsimony.tasks.registry import promotion
from parsimony.tasks.registry.aliases import follow
from parsimony.tasks.registry.artifact_store import try_artifacts
from parsimony.tasks.registry.entries import JOURNAL_SUFFIX
from parsimony.tasks.registry.holds import hold, release, standing
from parsimony.tasks.registry.journal import ALIAS, look
from parsimony.tasks.registry.promotion import (
    cached,
    champion,
    fetch,
    history,
    keep,
    notes,
    promote,
    reconcile,
    rollback,
)
from parsimony.tasks.registry.refusals import ChangedError, MissingError, UnreachableError, UnsettledError
from parsimony.tasks.registry.review import Terms
from parsimony.tasks.registry.tracking import Registry, connected

__all__ = ["mlflow_client", "registry", "template_database"]  # fixtures
pytestmark = pytest.mark.slow

JOURNAL = MODEL + JOURNAL_SUFFIX


@pytest.fixture
def three(registry: Registry, tmp_path: Path) -> tuple[Decision, ...]:
    """Put three champions into production, one after the other: versions 1, 2 and 3."""
    decisions = tuple(decision_on(tmp_path, name) for name in "abc")
    assert [put_into_production(registry, decision) for decision in decisions] == ["1", "2", "3"]
    return decisions


def in_use(registry: Registry) -> tuple[str, int]:
    """Return the version in use, and how many lines are said about it."""
    current = champion(registry, MODEL)
    assert current is not None
    return current.version, len(current.notes)


def bundle_of(decision: Decision) -> BuiltBundle:
    built = decision.judged[0].bundle
    assert built is not None
    return built


# --- tampering ------------------------------------------------------------------------------------

Tampering = Callable[[Any], object]


def retag(number: int, **tags: str) -> Tampering:
    return lambda client: [client.set_model_version_tag(JOURNAL, str(number), k, v) for k, v in tags.items()]


def untag(number: int, *names: str) -> Tampering:
    return lambda client: [client.delete_model_version_tag(JOURNAL, str(number), name) for name in names]


def strip(number: int) -> Tampering:
    return lambda client: [
        client.delete_model_version_tag(JOURNAL, str(number), name)
        for name in client.get_model_version(JOURNAL, str(number)).tags
    ]


def delete(*numbers: int) -> Tampering:
    return lambda client: [client.delete_model_version(JOURNAL, str(number)) for number in numbers]


TAMPERINGS: dict[str, tuple[Tampering, str]] = {
    "the newest entry names another version": (retag(3, version="1"), "2"),
    "the newest entry names another bundle": (retag(3, digest="f" * 64), "2"),
    "the newest entry is a rollback": (retag(3, kind="rollback"), "2"),
    "the newest entry is of no kind": (retag(3, kind="banana"), "2"),
    "the newest entry expects another": (retag(3, expect="1"), "2"),
    "the newest entry has lost its seal": (untag(3, "seal"), "2"),
    "the newest entry has lost its chain": (untag(3, "seal", "previous", "by"), "2"),
    "the newest entry says nothing": (strip(3), "2"),
    "the newest entry is deleted": (delete(3), "2"),
    "the two newest entries are deleted": (delete(2, 3), "1"),
    "an entry in the middle is deleted": (delete(2), "1"),
    "an entry in the middle names another version": (retag(2, version="3"), "1"),
    "an entry in the middle has another reason": (retag(2, reason="prettier"), "1"),
    "an entry in the middle has another writer": (retag(2, by="eve"), "1"),
    "an entry in the middle says nothing": (strip(2), "1"),
    "an old writer goes on": (lambda client: append_by_hand(client, expect="3", version="1"), "3"),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_journal_that_was_tampered_with_is_read_as_far_as_it_verifies_and_mended_by_a_person(
    tampering: str, three: tuple[Decision, ...], registry: Registry, tmp_path: Path
) -> None:
    tamper, served = TAMPERINGS[tampering]
    with connected(registry) as client:
        tamper(client)
    current = champion(registry, MODEL)
    assert current is not None
    assert current.version == served
    assert current.notes[0].startswith(f"the journal of {MODEL} is damaged: ")
    assert f"parsimony rollback {MODEL} --to VERSION" in current.notes[0]
    assert cached(registry, MODEL, tmp_path / "champions")[1].digest == bundle_of(three[int(served) - 1]).digest
    before = history(registry, MODEL)
    next_one = decision_on(tmp_path, "next")
    for refused in (lambda: put_into_production(registry, next_one), lambda: hold(registry, MODEL, "why"),
                    lambda: reconcile(registry, MODEL), lambda: keep(registry, MODEL),
                    lambda: rollback(registry, MODEL, "complaints")):  # fmt: skip
        with pytest.raises(InfrastructureError, match="is damaged"):
            refused()
    assert history(registry, MODEL) == before

    rollback(registry, MODEL, "looked at it", to="3")
    assert in_use(registry) == ("3", 0)
    put_into_production(registry, next_one)
    assert in_use(registry) == ("4", 0)
    assert history(registry, MODEL)[: len(before)] == before


ROWS_GONE = {
    "two newest": "DELETE FROM {table} WHERE name = '{journal}' AND version > 1",
    "anchor far out": "UPDATE registered_model_tags SET value = '900 x' WHERE name = '{model}' AND '{table}' != ''",
}


@pytest.mark.parametrize("kind", ROWS_GONE)
def test_a_person_mends_a_journal_whose_rows_were_deleted_in_the_database_at_the_first_try(
    kind: str, three: tuple[Decision, ...], registry: Registry, tmp_path: Path
) -> None:
    """MLflow then gives the numbers anew, and the anchor names one that the journal has not reached."""
    with sqlite3.connect(registry.tracking_uri.removeprefix("sqlite:///")) as database:
        for table in ("model_version_tags", "model_versions"):
            database.execute(ROWS_GONE[kind].format(table=table, journal=JOURNAL, model=MODEL))
    with pytest.raises(InfrastructureError, match="is damaged"):
        reconcile(registry, MODEL)
    rollback(registry, MODEL, "looked at it", to="1")
    assert in_use(registry) == ("1", 0)
    put_into_production(registry, decision_on(tmp_path, "next"))
    assert in_use(registry) == ("4", 0)
    assert reconcile(registry, MODEL) == ()


@pytest.mark.parametrize(
    ("how", "also"),
    [
        *(("registered model", also) for also in ("nothing", "alias", "anchor", "both")),
        *(("every entry", also) for also in ("nothing", "alias", "anchor")),
        # With both as well, nothing is left that a model that was never promoted has not.
    ],
)
def test_a_journal_that_was_deleted_is_not_no_champion(how: str, also: str, registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    with connected(registry) as client:
        client.delete_registered_model(JOURNAL) if how == "registered model" else client.delete_model_version(
            JOURNAL, "1"
        )
        if also in ("alias", "both"):
            client.delete_registered_model_alias(MODEL, ALIAS)
        if also in ("anchor", "both"):
            client.delete_registered_model_tag(MODEL, "parsimony.journal")
    for read in (champion, reconcile):
        with pytest.raises(InfrastructureError, match="is damaged.*--to VERSION"):
            read(registry, MODEL)
    with pytest.raises(InfrastructureError, match="is damaged"):
        put_into_production(registry, decision_on(tmp_path, "b"))
    assert len(notes(registry, MODEL)) == 1
    assert rollback(registry, MODEL, "begin again", to="1").kind == "rollback"
    assert in_use(registry) == ("1", 0)


def test_a_run_that_was_killed_before_its_first_promotion_goes_on(registry: Registry, tmp_path: Path) -> None:
    decision = decision_on(tmp_path, "a")
    registered(registry, decision)
    assert champion(registry, MODEL) is None
    assert reconcile(registry, MODEL) == ()
    assert put_into_production(registry, decision) == "1"


def test_an_alias_without_a_journal_is_no_champion(registry: Registry, tmp_path: Path) -> None:
    registered(registry, decision_on(tmp_path, "a"))
    with connected(registry) as client:
        client.set_registered_model_alias(MODEL, ALIAS, "1")
    with pytest.raises(InfrastructureError, match=f"the alias {ALIAS} names version 1"):
        champion(registry, MODEL)


def test_entries_from_before_there_were_seals_are_read_and_followed(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    with connected(registry) as client:
        for name in ("seal", "by"):
            client.delete_model_version_tag(JOURNAL, "1", name)
        client.delete_registered_model_tag(MODEL, "parsimony.journal")
    assert in_use(registry) == ("1", 0)
    put_into_production(registry, decision_on(tmp_path, "b"))
    assert [(e.number, e.seal is None) for e in history(registry, MODEL)] == [(1, True), (2, False)]
    assert in_use(registry) == ("2", 0)


def test_the_alias_is_mended_and_it_is_said_when_it_differs(
    three: tuple[Decision, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    with connected(registry) as client:
        client.set_registered_model_alias(MODEL, ALIAS, "1")
        for verb in ("champion", "history"):
            assert main([verb, MODEL]) == 0
            err = capsys.readouterr().err
            assert err.count("\n") == 1
            assert "names version 1, the journal version 3; the journal counts" in err
        assert main(["reconcile"]) == 0
        assert "named version 1" in capsys.readouterr().out
        assert alias_of(client) == "3"
        client.delete_registered_model_alias(MODEL, ALIAS)
        assert notes(registry, MODEL)[0].startswith(f"the alias {ALIAS} of {MODEL} is not set")
        assert main(["reconcile", MODEL]) == 0
        assert alias_of(client) == "3"
        capsys.readouterr()
        assert main(["reconcile", MODEL]) == 0
    assert capsys.readouterr().out == f"{MODEL}: alias and journal agree\n"


def test_what_is_moved_while_reconcile_looks_is_told_by_the_next_one_as_mended(
    three: tuple[Decision, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_deleted(client: Any, model: str) -> Any:
        followed = follow(client, model)
        client.delete_registered_model_alias(model, ALIAS)
        return followed

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "follow", then_deleted)
        assert reconcile(registry, MODEL) == ()
    [line] = reconcile(registry, MODEL)
    assert line == f"the alias {ALIAS} of {MODEL} named nothing and follows the journal again, to version 3"


# --- rollback, hold, release ----------------------------------------------------------------------


def test_a_rollback_goes_to_the_version_that_is_named(three: tuple[Decision, ...], registry: Registry) -> None:
    entry = rollback(registry, MODEL, "complaints", to="1")
    assert (entry.version, entry.kind, entry.reason) == ("1", "rollback", "complaints")
    assert entry.by
    assert withdrawn(history(registry, MODEL)) == {bundle_of(three[2]).digest}
    assert rollback(registry, MODEL, "again", to="1") == entry
    assert len(history(registry, MODEL)) == 4
    assert rollback(registry, MODEL, "a person may", to="3").version == "3"
    for version in ("9", "x"):
        with pytest.raises(
            PlanError, match=f"version {version} of .* was never its champion; those that were: 1, 2, 3"
        ):
            rollback(registry, MODEL, "complaints", to=version)


def test_a_version_that_was_never_champion_is_not_gone_back_to(
    three: tuple[Decision, ...], registry: Registry, tmp_path: Path
) -> None:
    registered(registry, decision_on(tmp_path, "never promoted"))
    with pytest.raises(PlanError, match="version 4 of .* was never its champion"):
        rollback(registry, MODEL, "complaints", to="4")


def test_promotions_that_are_held_wait_until_they_are_released(
    three: tuple[Decision, ...], registry: Registry, tmp_path: Path
) -> None:
    next_one = decision_on(tmp_path, "next")
    entry = hold(registry, MODEL, "audit")
    assert hold(registry, MODEL, "another") == entry
    assert standing(registry, MODEL).hold == f"promotions are held by {entry.by} at {entry.at}: audit"
    with pytest.raises(PlanError, match="are held by .*: audit; `parsimony release"):
        put_into_production(registry, next_one)
    assert rollback(registry, MODEL, "still possible").version == "2"
    assert release(registry, MODEL, "done") is not None
    assert release(registry, MODEL, "done") is None
    assert put_into_production(registry, next_one) == "4"
    kinds = [entry.kind for entry in history(registry, MODEL)]
    assert kinds == ["promote", "promote", "promote", "hold", "rollback", "release", "promote"]
    with pytest.raises(PlanError, match=f"absent has no champion; known models: {MODEL}"):
        hold(registry, "absent", "why")


def test_the_verbs_say_what_they_did(
    three: tuple[Decision, ...], registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
    said = {
        ("rollback", MODEL, "--reason", "complaints"): f"{MODEL} version 2 is in production: rollback at",
        ("hold", MODEL, "--reason", "audit"): f"promotions of {MODEL} are held by",
        ("release", MODEL, "--reason", "done"): f"promotions of {MODEL} are allowed again",
        ("release", MODEL, "--reason", "twice"): f"promotions of {MODEL} are not held",
        ("rollback", MODEL, "--to", "1", "--reason", "further", "--json"): '{"number": 7',
    }
    for words, line in said.items():
        assert main(words) == 0
        assert line in capsys.readouterr().out
    assert main(["rollback", MODEL, "--to", "8", "--reason", "no"]) == 2
    with pytest.raises(SystemExit):
        main(["rollback", MODEL, "--reason", " "])


# --- calls that are lost --------------------------------------------------------------------------


@contextmanager
def losing(call: str, number: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let the n-th call of MLflow's client with this name do its work and fail, as when a response is lost."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    real, calls = getattr(MlflowClient, call), [0]

    def lossy(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = real(self, *arguments, **keywords)
        calls[0] += 1
        if calls[0] == number:
            raise MlflowException("API request failed: connection reset by peer")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, lossy)
        yield calls


WRITES = {
    "create_model_version": 2, "set_registered_model_alias": 1, "set_registered_model_tag": 1,
}  # fmt: skip


@pytest.mark.parametrize("call", WRITES)
def test_a_lost_response_after_the_work_was_done_is_no_failure(
    call: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    for number in range(1, WRITES[call] + 1):
        name = f"b{number}"
        with losing(call, number, monkeypatch) as calls:
            version = put_into_production(registry, decision_on(tmp_path, name))
        assert calls[0] >= number
        reconcile(registry, MODEL)
        assert in_use(registry) == (version, 0)
    assert len(history(registry, MODEL)) == 1 + WRITES[call]
    with connected(registry) as client:
        assert len(client.search_model_versions(f"name='{MODEL}'")) == 1 + WRITES[call]


def test_an_mlflow_that_goes_away_in_the_middle_leaves_the_outcome_open(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    decision = decision_on(tmp_path, "a")
    verified = registered(registry, decision)
    real, gone = MlflowClient.create_model_version, []

    def away(*arguments: Any, **keywords: Any) -> Any:
        if gone:
            raise MlflowException("API request failed: connection refused")
        gone.append(real(*arguments, **keywords))
        raise MlflowException("API request failed: connection reset by peer")

    search = MlflowClient.search_model_versions
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", away)
        patch.setattr(MlflowClient, "search_model_versions", lambda *a, **k: away() if gone else search(*a, **k))
        with pytest.raises(UnsettledError, match=f"parsimony champion {MODEL} says whether it is in production"):
            promote(registry, decision, verified)
    assert in_use(registry)[0] == "1"
    assert promote(registry, decision, verified).number == 1


# --- evidence -------------------------------------------------------------------------------------


def test_evidence_of_a_promotion_that_may_have_happened_is_marked_and_settled(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_backend: None
) -> None:
    from parsimony.tasks import publish as module

    decision, run = replace(decision_on(tmp_path, "a"), reference="a"), tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    observed: list[set[str]] = []

    def killed(*arguments: Any) -> None:
        observed.append({path.name for path in run.iterdir()})
        promote(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "promote", killed)
    with pytest.raises(KeyboardInterrupt):
        publish.fn(decision, registry, run, Terms())
    assert observed == [{"receipt.json", "report.html", "report.md", PENDING}]
    assert (run / PENDING).exists()
    settle(registry, run.parent)
    assert not (run / PENDING).exists()
    assert may_have_promoted(run)

    def refused(*arguments: Any) -> None:
        raise PlanError("held")

    other = tmp_path / "runs" / "two"
    other.mkdir()
    monkeypatch.setattr(module, "promote", refused)
    with pytest.raises(PlanError):
        publish.fn(replace(decision_on(tmp_path, "b"), reference="b"), registry, other, Terms())
    assert not (other / PENDING).exists()
    assert not may_have_promoted(other)


def test_a_run_that_promoted_is_marked_as_evidence(registry: Registry, tmp_path: Path, prefect_backend: None) -> None:
    (run := tmp_path / "runs" / "one").mkdir(parents=True)
    publish.fn(replace(decision_on(tmp_path, "a"), reference="a"), registry, run, Terms())
    assert {path.name for path in run.iterdir()} == {"receipt.json", "report.html", "report.md", PROMOTED}


# --- bundles that do not come back ----------------------------------------------------------------


def test_missing_changed_and_unreachable_are_three_messages(
    three: tuple[Decision, ...], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "artifacts"
    store = tmp_path / "champions"

    def refusal(kind: type[InfrastructureError]) -> str:
        with pytest.raises(kind) as caught:
            cached(registry, MODEL, store)
        assert not list(store.glob("*"))
        return str(caught.value)

    root.rename(tmp_path / "away")
    moved = refusal(MissingError)
    assert "is not there; put it back, or set PARSIMONY_HOME" in moved
    (tmp_path / "away").rename(root)
    assert "delete that version" not in moved

    import mlflow.artifacts

    def unreadable(**keywords: Any) -> str:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.artifacts, "download_artifacts", unreadable)
        away = refusal(UnreachableError)
    assert "cannot be read now: [Errno 5] Input/output error" in away
    assert "delete" not in away and "roll back" not in away

    with connected(registry) as client:
        for version in "123":
            (stored_bundle(client, version) / "labels.json").write_text('["x"]')
    assert "was changed after it was stored" in refusal(ChangedError)


def test_a_server_out_of_reach_is_unreachable_and_not_missing(registry: Registry, tmp_path: Path) -> None:
    put_into_production(registry, decision_on(tmp_path, "a"))
    address = f"http://127.0.0.1:{free_port()}/api/2.0/mlflow-artifacts/artifacts/x"
    with sqlite3.connect(registry.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE logged_models SET artifact_location = ?", (address,))
        database.execute("UPDATE model_versions SET storage_location = ?, source = ?", (address, address))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(UnreachableError, match="cannot be read now"):
            cached(registry, MODEL, tmp_path / "champions")


@pytest.mark.parametrize("damage", ["bundle changed", "bundle gone", "model gone", "version deleted"])
def test_a_damaged_champion_falls_back_to_the_last_good_one_and_says_so(
    damage: str, three: tuple[Decision, ...], registry: Registry, tmp_path: Path
) -> None:
    with connected(registry) as client:
        stored = stored_bundle(client, "3")
        if damage == "bundle changed":
            (stored / "model.onnx").write_bytes(b"x")
        elif damage == "version deleted":
            client.delete_model_version(MODEL, "3")
        else:
            shutil.rmtree(stored if damage == "bundle gone" else stored.parents[1])
    current, bundle = cached(registry, MODEL, tmp_path / "champions")
    assert (current.version, bundle.digest) == ("2", bundle_of(three[1]).digest)
    assert Path(bundle.folder).name == bundle.digest[:32]
    assert "version 3 of" in current.notes[0] and "version 2 is in use instead" in current.notes[0]
    assert "parsimony rollback" in current.notes[0]
    assert fetch(registry, MODEL, tmp_path / "here")[0].version == "2"
    with connected(registry) as client:
        (stored_bundle(client, "2") / "tokenizer.json").unlink()
    assert cached(registry, MODEL, tmp_path / "others")[0].version == "1"
    assert rollback(registry, MODEL, "it is damaged", to="1").version == "1"
    assert in_use(registry) == ("1", 0)


def test_the_alias_leaves_a_version_that_was_deleted(three: tuple[Decision, ...], registry: Registry) -> None:
    with connected(registry) as client:
        client.delete_model_version(MODEL, "3")
        reconcile(registry, MODEL)
        assert alias_of(client) == "2"


def test_a_champion_whose_version_was_deleted_is_registered_and_promoted_again(
    three: tuple[Decision, ...], registry: Registry
) -> None:
    with connected(registry) as client:
        for version in "123":
            client.delete_model_version(MODEL, version)
    with pytest.raises(MissingError, match="so was every champion before it"):
        champion(registry, MODEL)
    assert "so was every champion before it" in reconcile(registry, MODEL)[0]
    assert put_into_production(registry, three[2]) == "4"
    assert in_use(registry) == ("4", 0)


@pytest.mark.parametrize("damage", ["bit", "manifest", "gone", "extra"])
def test_a_damaged_local_copy_is_replaced(damage: str, registry: Registry, tmp_path: Path) -> None:
    decision = decision_on(tmp_path, "a")
    put_into_production(registry, decision)
    store = tmp_path / "champions"
    folder = Path(cached(registry, MODEL, store)[1].folder)
    mine = Path(fetch(registry, MODEL, tmp_path / "mine")[1].folder)
    for copy in (folder, mine) if damage != "extra" else (folder,):
        name = "manifest.json" if damage == "manifest" else "model.onnx"
        if damage == "extra":
            (copy / "payload.py").write_text("print()")
        elif damage == "gone":
            (copy / name).unlink()
        else:
            content = bytearray((copy / name).read_bytes())
            content[40] ^= 1
            (copy / name).write_bytes(content)
    assert cached(registry, MODEL, store)[1].digest == bundle_of(decision).digest
    assert fetch(registry, MODEL, mine)[1].digest == bundle_of(decision).digest
    assert [path.name for path in store.iterdir()] == [bundle_of(decision).digest[:32]]


def test_a_run_brings_the_last_good_champion_or_says_that_none_is_left(
    three: tuple[Decision, ...], registry: Registry, tmp_path: Path
) -> None:
    rows = Table(
        source="t", texts=("hello", "rain", "send"), labels=("greeting", "weather", "transfer"), rows=(2, 3, 4)
    )
    splits = write_splits(tmp_path / "data", {"train": rows, "validation": rows, "test": rows}, (), ())
    place = champions.Place(registry=registry, home=tmp_path / "home", folder=tmp_path / "run")

    def brought() -> Any:
        [entry] = champions.bring_champion.fn([], MODEL, splits, place)
        assert entry.is_champion
        return entry

    with connected(registry) as client:
        (stored_bundle(client, "3") / "model.onnx").write_bytes(b"x")
        assert brought().bundle.digest == bundle_of(three[1]).digest
        shutil.rmtree(tmp_path / "home")
        for version in "12":
            (stored_bundle(client, version) / "model.onnx").write_bytes(b"x")
    entry = brought()
    assert entry.bundle is None
    assert "version 3 of" in entry.obstacle and "was changed" in entry.obstacle


# --- the artifact store ---------------------------------------------------------------------------


def test_the_artifact_store_is_tried_and_left_as_it_was(registry: Registry, tmp_path: Path) -> None:
    try_artifacts(registry, MODEL)
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []


def test_a_store_that_takes_nothing_is_refused_before_anything_is_trained(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where a folder should be")
    with pytest.raises(InfrastructureError, match="does not take a small file: .*; nothing was trained"):
        try_artifacts(registry, MODEL)


def test_a_winner_that_was_judged_beside_a_hold_has_its_own_entry(registry: Registry, tmp_path: Path) -> None:
    """The chain goes on over entries that move nothing."""
    built = write_tiny_bundle(tmp_path / "z", name="z")
    put_into_production(registry, decision_on(tmp_path, "a"))
    hold(registry, MODEL, "audit")
    release(registry, MODEL, "done")
    decision = replace(decision_on(tmp_path, "z2"), judged=(judged_pass("z2", built),))
    put_into_production(registry, decision)
    with connected(registry) as client:
        state = look(client, MODEL)
    assert state.journal.damage == ""
    assert [(e.kind, e.expect) for e in state.journal.counted] == [
        ("promote", None), ("hold", 1), ("release", 2), ("promote", 3),
    ]  # fmt: skip
