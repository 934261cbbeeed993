"""The whole job on a small base made on the spot: real training, real bundles, real MLflow, real Prefect."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinymodels import LABELS, tables, write_csv, write_tiny_base

from parsimony.audit.receipt import audit
from parsimony.bundle.folder import describe
from parsimony.data.table import Table
from parsimony.errors import DataError
from parsimony.flows.cli.main import main
from parsimony.flows.plan_file import load
from parsimony.flows.session import session
from parsimony.reporting.evidence import prediction_file
from parsimony.tasks.publish import PENDING, PROMOTED
from parsimony.tasks.registry.ledger import questions, record_question
from parsimony.tasks.registry.tracking import Registry

pytestmark = [pytest.mark.flow, pytest.mark.slow]

PLAN = """
model = "tiny"
[data]
train = "train.csv"
text = "text"
label = "label"
slices = ["region"]
unlabelled = "log.csv"
test_share = 0.4
[bases]
names = ["base"]
[training]
epochs = 2
student_epochs = 2
[gates]
margin = 0.3
slice_margin = 0.3
[[targets]]
name = "here"
threads = 1
"""

# Texts without labels that are in no split.
NEW = ("quarterly parliament debate", "rain before the violin rehearsal")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, prefect_backend: None) -> Path:
    folder = tmp_path_factory.mktemp("whole job")
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *(with_regions(part) for part in tables()))
    log = ("text", *NEW, *(text.upper() for part in tables() for text in part.texts))
    (folder / "log.csv").write_text("\n".join(log) + "\n", encoding="utf-8")
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    return folder


def with_regions(part: Table) -> Table:
    """Return the table with a column `region`, which is empty in every third row."""
    return replace(part, slices=(("region", tuple(("eu", "us", "")[i % 3] for i in range(len(part)))),))


@pytest.fixture(autouse=True)
def home(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(work / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def run(capsys: pytest.CaptureFixture[str], work: Path, *changes: str) -> tuple[int, dict[str, Any]]:
    arguments = ["run", str(work / "plan.toml"), "--json", *(a for change in changes for a in ("--set", change))]
    status = main(arguments)
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def first(work: Path) -> dict[str, Any]:
    import contextlib
    import io

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setenv("PARSIMONY_HOME", str(work / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert main(["run", str(work / "plan.toml"), "--json"]) == 0
    return json.loads(out.getvalue().splitlines()[-1])


def test_the_first_run_promotes_and_judges_all_four_families(first: dict[str, Any]) -> None:
    assert first["outcome"] == "promoted"
    built = [c for c in first["candidates"] if c["size_bytes"] is not None]
    assert {c["family"] for c in built} == {"linear", "static", "student", "encoder"}
    assert len(built) >= 10
    assert all(c["verdict"] in {"pass", "fail", "inconclusive", "not certified"} and c["measurements"] for c in built)
    winner = next(c for c in first["candidates"] if c["candidate"] == first["winner"]["candidate"])
    assert winner["verdict"] == "pass"
    [observed] = winner["measurements"]
    assert observed["ratio"]["baseline"] == first["reference"]["candidate"]
    assert observed["roofline_peaks"]["fp32_ops_per_s"] > 0
    assert observed["roofline_efficiency"]["value"] is not None or observed["roofline_efficiency"]["reason"]
    passing = [c["size_bytes"] for c in first["candidates"] if c["verdict"] == "pass"]
    assert winner["size_bytes"] == min(passing)


def test_texts_without_labels_are_those_that_are_in_no_split(first: dict[str, Any], work: Path) -> None:
    kept = json.loads((work / "home" / "runs" / first["run_id"] / "data" / "unlabelled.json").read_text("utf-8"))
    assert tuple(kept) == NEW
    assert first["data"]["unlabelled_rows"] == 2
    assert len(first["data"]["unlabelled_digest"]) == 64


def test_the_downloaded_champion_repeats_the_receipts_accuracy_row_by_row(
    first: dict[str, Any], work: Path, tmp_path: Path
) -> None:
    """Recompute it with onnxruntime and tokenizers alone, as a stranger would."""
    import onnxruntime
    from tokenizers import Tokenizer

    assert main(["champion", "tiny", "--download", str(tmp_path / "champion")]) == 0
    folder = tmp_path / "champion"
    assert describe(folder).digest == first["winner"]["digest"]
    session = onnxruntime.InferenceSession((folder / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    rows = [
        json.loads(line)
        for line in (work / "home" / "runs" / first["run_id"] / "data" / "test.jsonl").read_text("utf-8").splitlines()
    ]
    right = 0
    for row in rows:
        encoding = tokenizer.encode(row["text"])
        feeds = {"input_ids": [encoding.ids], "attention_mask": [encoding.attention_mask]}
        names = [node.name for node in session.get_inputs()]
        logits = session.run(["logits"], {n: np.array(feeds[n], dtype=np.int64) for n in names})[0]
        right += labels[int(logits[0].argmax())] == row["label"]
    winner = next(c for c in first["candidates"] if c["candidate"] == first["winner"]["candidate"])
    assert (right, len(rows)) == (winner["certified"]["correct"], winner["certified"]["n"])


def test_every_certified_candidate_is_judged_on_every_label_and_every_region(first: dict[str, Any]) -> None:
    certified = [c for c in first["candidates"] if c["certified"]]
    assert certified
    for result in certified:
        assert sorted((s["column"], s["value"]) for s in result["slices"]) == [
            *(("label", label) for label in LABELS),
            *(("region", region) for region in ("(empty)", "eu", "us")),
        ]
        assert sum(s["n"] for s in result["slices"]) == 2 * result["certified"]["n"]
        assert [gate["verdict"] for gate in result["gates"] if gate["gate"] == "slices"] in (["pass"], ["fail"])


# --- the audit ------------------------------------------------------------------------------------


def evidence(work: Path, first: dict[str, Any], tmp_path: Path) -> Path:
    """Return a copy of the first run's folder, to tamper with."""
    return Path(shutil.copytree(work / "home" / "runs" / first["run_id"], tmp_path / "run"))


def differences(folder: Path, work: Path) -> tuple[str, ...]:
    return audit(folder, (work / "home" / "bundles", work / "home" / "champions"))


def test_the_receipt_follows_from_its_evidence(
    first: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", first["run_id"]]) == 0
    assert "follows from the evidence" in capsys.readouterr().out


def _winner(paper: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = next(c for c in paper["candidates"] if c["candidate"] == paper["winner"]["candidate"])
    return result


def _swap_positions(paper: dict[str, Any]) -> None:
    tested = [c["certified"] for c in paper["candidates"] if c["certified"]]
    tested[0]["position"], tested[1]["position"] = tested[1]["position"], tested[0]["position"]


def _add(place: Callable[[dict[str, Any]], dict[str, Any]], key: str, by: float) -> Callable[[dict[str, Any]], None]:
    def change(paper: dict[str, Any]) -> None:
        place(paper)[key] += by

    return change


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a size": _add(_winner, "size_bytes", 1),
    "a bound": _add(lambda paper: _winner(paper)["certified"], "lower_bound", 1e-12),
    "a count": _add(lambda paper: _winner(paper)["certified"], "only_reference_right", 1),
    "a score": _add(lambda paper: _winner(paper)["validation"], "accuracy", 1e-9),
    "the order of the tests": _swap_positions,
    "a digest": lambda paper: _winner(paper).update(digest="0" * 64),
    "the digest of the data": lambda paper: paper["data"].update(test_digest="0" * 64),
    "a slice": lambda paper: _winner(paper)["slices"][0].update(n=_winner(paper)["slices"][0]["n"] + 1),
    "a slice's margin": _add(lambda paper: paper["gates"], "slice_margin", 0.01),
    "a verdict": lambda paper: _winner(paper).update(verdict="fail"),
    "the margin": _add(lambda paper: paper["gates"], "margin", 0.01),
    "the reason": lambda paper: paper.update(reason="it is the best"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_audit_finds_a_changed_receipt(name: str, first: dict[str, Any], work: Path, tmp_path: Path) -> None:
    folder = evidence(work, first, tmp_path)
    paper = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    CHANGES[name](paper)
    (folder / "receipt.json").write_text(json.dumps(paper), encoding="utf-8")
    assert differences(folder, work)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_audit_finds_one_changed_prediction(split: str, first: dict[str, Any], work: Path, tmp_path: Path) -> None:
    folder = evidence(work, first, tmp_path)
    file = prediction_file(folder, first["winner"]["candidate"], split)
    predictions = json.loads(file.read_text(encoding="utf-8"))
    truth = [json.loads(line)["label"] for line in (folder / "data" / f"{split}.jsonl").read_text("utf-8").splitlines()]
    right = next(i for i, (prediction, label) in enumerate(zip(predictions, truth, strict=True)) if prediction == label)
    predictions[right] = next(label for label in truth if label != truth[right])
    file.write_text(json.dumps(predictions), encoding="utf-8")
    assert differences(folder, work)


def test_the_audit_finds_a_candidate_that_should_have_been_tested(
    first: dict[str, Any], work: Path, tmp_path: Path
) -> None:
    """What the evidence would test and the run did not test has no predictions: that is a difference, not a failure."""
    folder = evidence(work, first, tmp_path)
    lines = (folder / "data" / "validation.jsonl").read_text("utf-8").splitlines()
    truth = [json.loads(line)["label"] for line in lines]
    wrong = [next(other for other in truth if other != label) for label in truth]
    built = [c for c in first["candidates"] if c["size_bytes"] and c["candidate"] != first["reference"]["candidate"]]
    for candidate in built:
        predictions = truth if candidate["certified"] is None else wrong
        prediction_file(folder, candidate["candidate"], "validation").write_text(
            json.dumps(predictions), encoding="utf-8"
        )
    [line] = differences(folder, work)
    assert line.split("[")[1].split("]")[0] in {c["candidate"] for c in built if c["certified"] is None}
    assert "the evidence gives it a place among the tests" in line


def test_the_audit_refuses_changed_data(first: dict[str, Any], work: Path, tmp_path: Path) -> None:
    folder = evidence(work, first, tmp_path)
    file = folder / "data" / "test.jsonl"
    file.write_text(file.read_text("utf-8").replace("card", "meal", 1), encoding="utf-8")
    with pytest.raises(DataError, match="the receipt cannot be recomputed"):
        differences(folder, work)


def test_a_receipt_of_another_format_is_refused_by_its_number(
    first: dict[str, Any], work: Path, tmp_path: Path
) -> None:
    folder = evidence(work, first, tmp_path)
    paper = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    del paper["format"]  # as version 0.1 wrote it
    (folder / "receipt.json").write_text(json.dumps(paper), encoding="utf-8")
    with pytest.raises(DataError, match="format 1, this version reads 2 and 3"):
        differences(folder, work)


def test_a_receipt_of_format_2_is_audited_by_the_rule_of_its_time(
    first: dict[str, Any], work: Path, tmp_path: Path
) -> None:
    """Without planned tests, their shares and levels; with one sequence, here of the winner alone."""
    folder, winner = evidence(work, first, tmp_path), first["winner"]["candidate"]
    paper = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    for key in ("tests", "shift", "change"):
        del paper[key]
    del paper["gates"]["champion_margin"], paper["gates"]["approval"]
    lines = (folder / "data" / "validation.jsonl").read_text("utf-8").splitlines()
    wrong = [_another(json.loads(line)["label"], paper) for line in lines]
    for candidate in paper["candidates"]:
        if candidate["certified"] is not None:
            del candidate["certified"]["level"]
        if candidate["size_bytes"] and candidate["candidate"] not in (winner, paper["reference"]["candidate"]):
            file = prediction_file(folder, candidate["candidate"], "validation")
            file.write_text(json.dumps(wrong), encoding="utf-8")
    (folder / "receipt.json").write_text(json.dumps({**paper, "format": 2}), encoding="utf-8")
    said = differences(folder, work)
    assert said and not any(
        line.startswith(("tests", "shift", "change", "gates", "winner", "outcome")) for line in said
    )
    assert not any(f"[{winner}]" in line for line in said), said


def _another(label: str, paper: dict[str, Any]) -> str:
    return next(str(other) for other in paper["data"]["labels"] if other != label)


# --- again ----------------------------------------------------------------------------------------


def test_a_second_run_trains_nothing_and_keeps_the_champion(
    first: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = {p.name: p.stat().st_mtime_ns for p in (work / "home" / "checkpoints").iterdir()}
    status, second = run(capsys, work)
    assert (status, second["outcome"]) == (0, "kept")
    assert second["winner"] == first["winner"]
    assert {p.name: p.stat().st_mtime_ns for p in (work / "home" / "checkpoints").iterdir()} == trained
    main(["history", "tiny", "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 1


@pytest.mark.parametrize("mark", [PENDING, PROMOTED, "another"])
def test_what_fails_after_a_promotion_leaves_the_evidence_of_it(mark: str, work: Path) -> None:
    """Prefect that cannot be told how the task ended, a Ctrl-C in the last moment: the run's folder went."""

    def interrupted() -> None:
        with session(load(work / "plan.toml")) as run:
            folders.append(run.folder)
            (run.folder / mark).touch()
            raise KeyboardInterrupt

    folders: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert folders[0].exists() == (mark != "another")
    shutil.rmtree(folders[0], ignore_errors=True)


def test_predict_and_pyfunc_predict_alike(
    first: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    texts = list(tables()[0].texts[:5])
    assert main(["predict", "tiny", *texts]) == 0
    said = capsys.readouterr().out.splitlines()
    mlflow.set_tracking_uri(f"sqlite:///{work / 'home' / 'mlflow' / 'mlflow.db'}")
    assert mlflow.pyfunc.load_model("models:/tiny@champion").predict(texts) == said


def test_limits_that_nothing_meets_promote_nothing_and_leave_the_whole_ladder(
    first: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, receipt = run(capsys, work, "model=strict", "targets.0.p99_ms=0.000001")
    assert (status, receipt["outcome"], receipt["winner"]) == (1, "none", None)
    assert len(receipt["candidates"]) == len(first["candidates"])
    assert main(["champion", "strict"]) == 2


def test_bad_rows_stop_the_run_before_training_and_register_nothing(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "one.csv").write_text("text,label\n" + "".join(f"row number {i},same\n" for i in range(50)), "utf-8")
    status = main(
        [
            "run",
            str(work / "plan.toml"),
            "--set",
            "model=onelabel",
            "--set",
            "data.train=one.csv",
            "--set",
            "data.slices=[]",
        ]
    )
    assert status == 3
    err = capsys.readouterr().err
    assert "one.csv" in err and "label" in err and "Traceback" not in err
    assert main(["champion", "onelabel"]) == 2


def test_the_report_lies_where_report_says(first: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(first["run_id"])]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert first["winner"]["candidate"] in page.read_text(encoding="utf-8")


# --- before and beside the run --------------------------------------------------------------------


def test_the_ladder_is_shown_before_it_runs_with_the_sizes_that_it_will_have(
    first: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(work / "plan.toml"), "--json"]) == 0
    observed = json.loads(capsys.readouterr().out.splitlines()[-1])
    predicted = {c["candidate"]: c["predicted_bytes"] for c in observed["candidates"]}
    built = {c["candidate"]: c["size_bytes"] for c in first["candidates"] if c["size_bytes"] is not None}
    assert built.keys() - predicted.keys() == {c for c in built if "trim" not in c and c not in predicted}
    assert max(abs(predicted[c] / built[c] - 1) for c in predicted.keys() & built.keys()) < 0.02
    assert observed["finetune_s"] > 0
    assert all((c["train_s"] is not None) == c["candidate"].startswith("student") for c in observed["candidates"])
    assert main(["plan", str(work / "plan.toml")]) == 0
    assert "chosen by bisection" in capsys.readouterr().out


def test_losses_are_attributed_to_the_steps_that_caused_them(first: dict[str, Any]) -> None:
    students = [c for c in first["candidates"] if c["family"] == "student" and c["size_bytes"] is not None]
    reference = next(c for c in first["candidates"] if c["candidate"] == first["reference"]["candidate"])
    assert students
    for result in students:
        total = sum(step["quality"] for step in result["steps"])
        assert total == pytest.approx(result["validation"]["accuracy"] - reference["validation"]["accuracy"])


def test_a_margin_that_the_test_rows_cannot_certify_is_refused_before_training(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", str(work / "plan.toml"), "--set", "gates.margin=0.01"]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "test rows can certify" in told
    assert "gates.underpowered=true" in told


def test_a_test_split_that_was_reused_too_often_is_refused(
    first: dict[str, Any], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = work / "home"
    registry = Registry(tracking_uri=f"sqlite:///{home / 'mlflow' / 'mlflow.db'}", artifact_root=str(home / "mlflow"))
    split = first["data"]["test_digest"]
    assert first["test_reuse"] == 1
    assert 1 <= len(questions(registry, split)) <= 3  # later runs asked the same, but for what was unsteady in one
    for number in range(2):
        record_question(registry, split, f"another question {number}", model="tiny", run_id=str(number))
    assert main(["run", str(work / "plan.toml"), "--set", "gates.test_reuse=2"]) == 3
    assert "draw a new one with `parsimony rotate`" in capsys.readouterr().err
