"""What the command line says and returns when the input is bad: one line, the right status, nothing kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import write_tiny_bundle

from flows import cli
from parsimony import machine

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
    status = cli.main(arguments)
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
def test_a_server_that_does_not_answer_is_one_line_and_status_4(name: str, address: str, plan: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "run", str(plan)]
    environment = {**os.environ, name: address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 4
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_bench_shows_every_scenario_and_what_they_are_to_be_held_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    made = write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "texts.txt").write_text("hello sun\nsend money now\n\nrain\n", encoding="utf-8")
    assert cli.main(["bench", made.folder, "--texts", str(tmp_path / "texts.txt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["size_bytes"], found["digest"], found["samples"] % 500) == (made.size_bytes, made.digest, 0)
    assert found["ratio"]["base_line"] == "bundle"
    assert found["roofs"]["int8_ops_per_s"] > 0
    assert found["efficiency"]["reason"] == "the graph multiplies no matrices"
    assert [(s["name"], s["kind"]) for s in found["scenarios"]] == [
        ("16 tokens", "service"), ("32 tokens", "service"), ("64 tokens", "service"), ("128 tokens", "service"),
        ("offline", "batch"), ("server 50%", "response"), ("server 80%", "response"),
    ]  # fmt: skip
    assert [s["samples"] for s in found["scenarios"]] == [400, 400, 0, 0, 13, 1000, 1000]
    assert cli.main(["bench", made.folder]) == 0
    said = capsys.readouterr().out
    for words in (
        "single stream",
        "left out: the bundle cuts texts at 32 tokens",
        "roofs ",
        "noise floor",
        "stolen by",
    ):
        assert words in said, said


def test_bench_refuses_a_file_without_texts(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "none.txt").write_text("\n\n", encoding="utf-8")
    status, err = refused(capsys, "bench", made.folder, "--texts", str(tmp_path / "none.txt"))
    assert (status, "holds no text, expected one a line" in err) == (2, True)


@pytest.mark.parametrize("verb", ["run", "champion", "history", "predict", "report", "bench"])
def test_the_help_of_every_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"example: parsimony {verb}" in capsys.readouterr().out
