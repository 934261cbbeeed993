"""Output that an encoding does not hold, a reader that went away, a stream that was closed: none costs a result."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import write_tiny_bundle

from parsimony.errors import UNSAFE
from parsimony.flows import streams
from parsimony.flows.cli.main import main

SIGNS = "× – − … • ≥ ✓ é \udce9"
CODE = f"""
import sys
from parsimony.flows.streams import lenient
with lenient():
    print({SIGNS!a})
    print({SIGNS!a}, file=sys.stderr)
print("status", 0, file=open("done", "w"))
"""


def run(folder: Path, code: str = CODE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, **environment}, capture_output=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"x - - ... * >= \\u2713 \\xe9 \xe9\n"),
        ({"PYTHONIOENCODING": "latin-1"}, b"\xd7 - - ... * >= \\u2713 \xe9 \xe9\n"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"x - - ... * >= \\u2713 \\xe9 \xe9\n"),
        ({"PYTHONIOENCODING": "utf-8"}, "× – − … • ≥ ✓ é ".encode() + b"\xe9\n"),
        ({"PYTHONIOENCODING": "ascii:replace"}, b"? ? ? ? ? ? ? ? ?\n"),  # the user's own choice
    ],
)
def test_signs_that_an_encoding_does_not_hold_become_plain_ones(
    environment: dict[str, str], expected: bytes, tmp_path: Path
) -> None:
    done = run(tmp_path, **environment)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    assert (tmp_path / "done").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("which", [1, 2])
def test_a_reader_that_went_away_is_no_error(which: int, tmp_path: Path) -> None:
    code = CODE.replace("with lenient():", "with lenient():\n  for _ in range(40_000):")
    reader, writer = os.pipe()
    streams: dict[str, int] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    streams["stdout" if which == 1 else "stderr"] = writer
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **streams)  # type: ignore[call-overload]
    os.close(writer)
    os.read(reader, 10)
    os.close(reader)
    assert process.wait(timeout=60) == 0
    assert (tmp_path / "done").is_file()


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_is_never_the_next_file_that_is_opened(closed: str, tmp_path: Path) -> None:
    code = CODE.replace("with lenient():", "with lenient():\n    kept = open('kept', 'w'); import os")
    code = code.replace("print(", "os.system('echo told; echo told >&2'); print(", 1)
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert (tmp_path / "kept").read_text(encoding="utf-8") == ""
    assert (tmp_path / "done").is_file()


def test_another_error_of_a_stream_is_raised(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", CODE], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode != 0 and b"No space left" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_verb_gives_its_result_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    made = write_tiny_bundle(tmp_path / "tiny")
    command = [sys.executable, "-m", "parsimony.flows.cli.main", "bench", made.folder]
    environment = {**os.environ, "PARSIMONY_HOME": str(tmp_path / "home"), "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"single stream" in done.stdout.decode(encoding).encode()
    assert done.stderr == b""


STEERING = ("\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\x00", "\x08", "\u202e", "\u2066", "\u2028", "\x7f")


@pytest.mark.parametrize("sign", STEERING)
def test_what_would_steer_a_terminal_is_not_written(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    with streams.lenient():
        print(f"a label {sign} of a stranger\tand a tab")
        print(f"an error {sign}", file=sys.stderr)
    out, err = capsys.readouterr()
    assert UNSAFE.search(out + err) is None
    assert out.startswith("a label �")
    assert out.endswith(" of a stranger\tand a tab\n")
    assert err.startswith("an error �")


def test_rich_writes_its_own_signs_and_clean_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from parsimony.flows import display

    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    with streams.lenient():
        Console(force_terminal=True, color_system="standard").print("[bold]x[/bold]")
        display.print_table([("name", "why"), ("\x1b[2Ja", "\u202eb")])
    assert terminal.getvalue().startswith("\x1b[1mx\x1b[0m\n")
    assert UNSAFE.search(terminal.getvalue().partition("\n")[2]) is None


@pytest.mark.slow
def test_a_hostile_label_is_one_clean_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ("evil\x1b[2J\u202e\r\nparsimony: promoted", "b", "c")
    made = write_tiny_bundle(tmp_path / "b", labels=labels)
    assert main(["predict", made.folder, "hello"]) == 0
    out = capsys.readouterr().out
    assert UNSAFE.search(out) is None
    assert (out.count("\n"), out.count("\r")) == (1, 0)
