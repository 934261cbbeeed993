"""Nothing of ours looks up a name: traced where there is no network, by a resolver that writes down what it is asked.

Needs Linux and user namespaces (`unshare --user --map-root-user`); ONNX Runtime's uploader begins some ten seconds after the import.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import resolver
from bundles import write_tiny_bundle
from tinymodels import tables, write_csv, write_tiny_base

from parsimony.tasks.registry.versions import model_code

SETTING = "ORT_DISABLE_TELEMETRY"
WAIT_S = 12
PLAN = """
model = "m"
[data]
train = "train.csv"
text = "text"
label = "label"
[bases]
names = ["base"]
[search]
families = ["linear"]
budget_minutes = 1
[gates]
margin = 0.3
underpowered = true
"""
STORED = (
    "import runpy, sys, time\nfrom types import SimpleNamespace\n"
    "model = runpy.run_path(sys.argv[1])['BundleModel']()\n"
    "model.load_context(SimpleNamespace(artifacts={'bundle': 'b'}))\n"
    f"print(model.predict(None, ['rain']))\ntime.sleep({WAIT_S})\n"
)
PLAIN = (
    f"import onnxruntime, time\nonnxruntime.InferenceSession(open('b/model.onnx', 'rb').read())\ntime.sleep({WAIT_S})\n"
)

traced = pytest.mark.skipif(not resolver.is_possible(), reason="needs unshare and user namespaces")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment as a user has it, with a home of its own: no setting of these tests."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    write_tiny_bundle(tmp_path / "b")
    return {**kept, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home" / ".cache")}


def queued(home: Path) -> list[str]:
    """Return the files in which ONNX Runtime keeps events that it is to send."""
    return sorted(path.name for path in home.rglob("*") if "onnxruntime" in str(path) and path.is_file())


def names(tmp_path: Path, environment: dict[str, str], *command: str) -> tuple[str, list[str]]:
    done, looked_up = resolver.names_looked_up(
        [sys.executable, *command], tmp_path / "names.log", environment, tmp_path
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout, looked_up


@pytest.mark.parametrize("before", [None, "", "0", "1"])
def test_whatever_of_ours_is_imported_first_turns_the_uploader_off(before: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    environment |= {} if before is None else {SETTING: before}
    code = f"import parsimony.runtimes.onnxruntime_cpu, os; print(os.environ[{SETTING!r}])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.slow
def test_predicting_queues_no_event(tmp_path: Path, environment: dict[str, str]) -> None:
    code = "import parsimony; print(parsimony.predict('b', ['rain']))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, queued(tmp_path)) == ("['weather']\n", [])


@pytest.mark.slow
@traced
def test_a_name_that_is_looked_up_is_written_down(tmp_path: Path, environment: dict[str, str]) -> None:
    code = "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('canary.invalid', 80)"
    assert set(names(tmp_path, environment, "-c", code)[1]) == {"canary.invalid"}


@pytest.mark.slow
@traced
def test_without_the_setting_the_wheel_queues_events_and_looks_its_collector_up(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """When this fails, the wheel has no uploader any more, and the setting may go."""
    _, looked_up = names(tmp_path, environment, "-c", PLAIN)
    assert any(name.endswith(".microsoft.com") for name in looked_up)
    assert queued(tmp_path) != []


@pytest.mark.slow
@traced
def test_predicting_with_a_folder_looks_up_no_name(tmp_path: Path, environment: dict[str, str]) -> None:
    code = (
        f"import time; from parsimony.flows.cli.main import main; main(['predict', 'b', 'rain']); time.sleep({WAIT_S})"
    )
    assert names(tmp_path, environment, "-c", code) == ("weather\n", [])
    assert queued(tmp_path) == []


@pytest.mark.slow
@traced
def test_the_stored_model_code_looks_up_no_name(tmp_path: Path, environment: dict[str, str]) -> None:
    said, looked_up = names(
        tmp_path, {**environment, "MLFLOW_DISABLE_TELEMETRY": "true"}, "-c", STORED, str(model_code())
    )
    assert (said, looked_up, queued(tmp_path)) == ("['weather']\n", [], [])


@pytest.mark.slow
@pytest.mark.long
@traced
def test_a_whole_run_looks_up_no_name(tmp_path: Path, environment: dict[str, str]) -> None:
    write_csv(tmp_path / "train.csv", *tables())
    write_tiny_base(tmp_path / "base")
    (tmp_path / "plan.toml").write_text(PLAN, encoding="utf-8")
    code = "import sys; from parsimony.flows.cli.main import main; sys.exit(main(['run', 'plan.toml']) not in (0, 1))"
    _, looked_up = names(tmp_path, environment, "-c", code)
    assert looked_up == []
    assert queued(tmp_path) == []
    assert list(tmp_path.glob(".parsimony/runs/*/receipt.json")) != []
