"""What the command line says and returns when the input is bad: one line, the right status, nothing kept."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import decisions
import pytest
from bundles import write_tiny_bundle

from parsimony import reporting
from parsimony.decision.records import Decision
from parsimony.flows import cli
from parsimony.flows.cli.main import main, parser
from parsimony.measurement import machine

ROWS = "text,label\n" + "".join(
    f"text number {i} about {'cats' if i % 2 else 'dogs'},{'ab'[i % 2]}\n" for i in range(60)
)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "train.csv").write_text(ROWS, encoding="utf-8")
    path = tmp_path / "plan.toml"
    path.write_text('model = "m"\n[data]\ntrain = "train.csv"\ntext = "text"\nlabel = "label"\n', encoding="utf-8")
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return status, err


BAD_DATA = {
    "missing": (None, r"train\.csv"),
    "empty": (b"", r"train\.csv.*(empty|0 bytes)"),
    "header only": (b"text,label\n", r"train\.csv.*no rows"),
    "wrong columns": (b"txt,label\na,b\n", r"'text'.*'txt'|txt.*text"),
    "broken row": (b"text,label\na,x\nb,y,z\n", r"line 3"),
    "broken first row": (b"text,label\na,x,z\n", r"line 2"),
    "latin-1": ("text,label\ncaf\xe9,x\n".encode("latin-1"), r"UTF-8"),
    "unclosed quote": (b'text,label\n"a,x\n', r"quote"),
}


@pytest.mark.slow  # torch tries the base before any data is read
@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_one_line_and_status_3(
    name: str, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, said = BAD_DATA[name]
    if content is None:
        (tmp_path / "train.csv").unlink()
    else:
        (tmp_path / "train.csv").write_bytes(content)
    status, err = refused(capsys, "run", str(plan))
    assert status == 3
    assert re.search(said, err), err
    assert err.startswith("parsimony: ") and err.count("\n") == 1
    assert not list((tmp_path / "home").glob("runs/*"))


@pytest.mark.slow  # torch tries the base before any data is read
def test_lines_that_stop_a_run_are_listed_in_a_file_that_stays(
    plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.csv").write_text("text,label\na,x\n" + "b,y,z\n" * 7, encoding="utf-8")
    status, err = refused(capsys, "run", str(plan))
    path = tmp_path / "home" / "quarantine.csv"
    assert (status, f"; 7 rows (3, 4, 5, 6, 7, …) with their reasons in {path}\n" in err) == (3, True), err
    assert path.read_text(encoding="utf-8").count("has 3 fields, the header 2") == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("gates.margn=0.1", "did you mean 'margin'"),
        ("bases.names=['package:no_such_package']", "no such package is installed; pip install no-such-package"),
        ("bases.names=['nowhere']", "no folder"),
        (f"targets=[{{name='here', threads={machine.usable_threads() + 1}}}]", "this machine runs"),
    ],
)
def test_a_bad_plan_is_one_line_and_status_2(
    change: str, said: str, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, err = refused(capsys, "run", str(plan), "--set", change)
    assert (status, said in err, err.count("\n")) == (2, True, 1), err


def test_a_plan_that_is_not_there_is_status_2(tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "run", str(tmp_path / "none.toml"))[0] == 2


def test_a_home_that_cannot_be_written_is_status_4(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "train.csv" / "home"))
    status, err = refused(capsys, "run", str(plan))
    assert (status, err.count("\n")) == (4, 1)
    assert "set PARSIMONY_HOME to a folder that can" in err


def test_a_report_that_is_not_there_is_status_2(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, err = refused(capsys, "report", "latest")
    assert status == 2
    assert "the last ones: none yet" in err


@pytest.mark.parametrize(
    ("name", "address"), [("MLFLOW_TRACKING_URI", "http://127.0.0.1:9"), ("PREFECT_API_URL", "http://127.0.0.1:9/api")]
)
@pytest.mark.slow
def test_a_server_that_does_not_answer_is_one_line_and_status_4(
    name: str, address: str, plan: Path, prefect_backend: None
) -> None:
    """Where it is MLflow's, Prefect's is there and keeps the log of the flow; the terminal shows none of it."""
    command = [sys.executable, "-m", "parsimony.flows.cli.main", "run", str(plan)]
    environment = {**os.environ, name: address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.slow
def test_bench_shows_every_scenario_and_what_they_are_to_be_held_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    made = write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "texts.txt").write_text("hello sun\nsend money now\n\nrain\n", encoding="utf-8")
    assert main(["bench", made.folder, "--texts", str(tmp_path / "texts.txt"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["size_bytes"], measured["digest"], measured["samples"] % 500) == (made.size_bytes, made.digest, 0)
    assert measured["ratio"]["baseline"] == "bundle"
    assert measured["roofline_peaks"]["int8_ops_per_s"] > 0
    assert measured["roofline_efficiency"]["reason"] == "the graph multiplies no matrices"
    assert [(s["name"], s["kind"]) for s in measured["scenarios"]] == [
        ("16 tokens", "service"), ("32 tokens", "service"), ("64 tokens", "service"), ("128 tokens", "service"),
        ("offline", "batch"), ("server 50%", "response"), ("server 80%", "response"),
    ]  # fmt: skip
    assert [s["samples"] for s in measured["scenarios"]] == [400, 400, 0, 0, 13, 1000, 1000]
    assert main(["bench", made.folder]) == 0
    out = capsys.readouterr().out
    said = " ".join(out.split())
    for words in (
        "single stream",
        "left out: the bundle cuts texts at 32 tokens",
        "efficiency –: the graph multiplies no matrices",
        "peaks int8",
        "noise floor",
        "CPU steal by other machines",
    ):
        assert words in said, out


def test_bench_refuses_a_file_without_texts(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "none.txt").write_text("\n\n", encoding="utf-8")
    status, err = refused(capsys, "bench", made.folder, "--texts", str(tmp_path / "none.txt"))
    assert (status, "holds no text, expected one a line" in err) == (2, True)


@pytest.mark.parametrize("verb", ["history", "champion", "predict"])
def test_a_verb_that_misses_a_library_names_the_extra(
    verb: str, plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    status, err = refused(capsys, verb, "m")
    assert (status, err) == (4, "parsimony: mlflow is not installed; pip install 'parsimony[flow]'\n")


@pytest.mark.slow
def test_a_library_whose_folder_is_empty_is_not_installed(
    plan: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As in the checkout, where `mlflow/` is a folder of settings.
    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    status, err = refused(capsys, "history", "m")
    assert (status, err) == (4, "parsimony: mlflow is not installed; pip install 'parsimony[flow]'\n")


@pytest.mark.slow
def test_a_defect_is_one_line_with_its_evidence_also_where_that_cannot_be_kept(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    monkeypatch.setattr(sys, "stdin", None)  # what is read without any text given
    status, err = refused(capsys, "predict", made.folder)
    assert (status, err.count("\n")) == (4, 1)
    path = tmp_path / "home" / "error.txt"
    assert err == f"parsimony: TypeError: 'NoneType' object is not iterable; the details are in {path}\n"
    assert path.read_text(encoding="utf-8").startswith("Traceback")
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "train.csv" / "home"))
    status, err = refused(capsys, "predict", made.folder)
    assert (status, err.count("\n")) == (4, 1)
    assert "the details could not be kept: PARSIMONY_HOME" in err


@pytest.mark.slow
def test_predict_labels_texts_that_are_given_or_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    assert main(["predict", made.folder, "hello", "send money"]) == 0
    assert capsys.readouterr().out == "greeting\ntransfer\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("rain\nhi\n"))
    assert main(["predict", made.folder, "--json"]) == 0
    assert [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()] == ["weather", "greeting"]


def _printed(decision: Decision, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Return the lines that `parsimony run` prints of a decision before its sentence."""
    from parsimony.flows.cli import run

    chosen = parser().parse_args(["run", "plan.toml", *arguments])
    from parsimony.tasks.publish import Published  # brings Prefect

    run._print_table(Published(decision=decision, folder=Path("runs"), receipt={}), chosen)
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_a_run_prints_its_most_telling_rows_and_how_many_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    decision = decisions.many(400)
    *rows, more = _printed(decision, capsys)
    assert len(rows) <= 1 + 12
    assert max(map(len, rows)) <= 100
    assert more == reporting.left_out(decision)
    assert decision.winner is not None
    assert any(row.startswith(decision.winner) for row in rows)


@pytest.mark.slow
def test_a_run_prints_the_whole_ladder_when_it_is_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    decision = decisions.many(60)
    text = "\n".join(_printed(decision, capsys, "--all"))
    assert all(judged.candidate in text for judged in decision.judged)
    assert "--all" not in text
    assert max(map(len, text.splitlines())) <= 100


def _verbs() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def _options(verb: argparse.ArgumentParser) -> set[str]:
    return {option for action in verb._actions for option in action.option_strings} - {"-h", "--help"}


def test_every_verb_and_option_is_on_its_page_and_the_other_way_round() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    by_verb = {m[1]: section for section in sections if (m := re.match(r"`?parsimony (\w+)", section))}
    assert set(by_verb) == set(_verbs())
    for name, verb in _verbs().items():
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", by_verb[name])) == _options(verb), name


def test_every_verb_has_a_file_of_its_own() -> None:
    folder = Path(cli.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "main", "shared"} == set(_verbs())


@pytest.mark.parametrize("verb", _verbs())
def test_the_help_of_every_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"example: parsimony {verb}" in capsys.readouterr().out
