"""The images, really built with buildah and run with podman: `make test-long` leaves them out, and says so, where there is no buildah."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import LABELS, write_tiny_bundle

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.containers]

ROOT = Path(__file__).parents[1]
BASE, MOST_BYTES = "localhost/parsimony-base", 90e6
# What a container may still do inside another container: no limits above its own, no control groups of systemd.
RUN = ("podman", "--cgroup-manager=cgroupfs", "--runtime", shutil.which("runc") or "runc", "run", "--rm")
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--cap-drop", "ALL", "--read-only")
ASK = """
import sys, urllib.request as r
kind = {"content-type": "application/json"}
print(r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode() or None, kind)).read().decode())
"""


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image() -> str:
    """Build the image that serves, on BASE, or on a Debian that debootstrap makes once."""
    built = subprocess.run((ROOT / "docker" / "build.sh", "serve"), capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-3000:]
    return "localhost/parsimony-serve"


@pytest.fixture(scope="module")
def container(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the image as SageMaker does: a bundle in /opt/ml/model, the argument `serve`; it has a network of its own."""
    folder = tmp_path_factory.mktemp("model")
    write_tiny_bundle(folder)
    for path in (folder, *folder.iterdir(), *folder.parents[:2]):
        path.chmod(0o755)
    name = f"parsimony-test-{os.getpid()}"
    mount = f"{folder}:/opt/ml/model:ro"
    _said(*RUN, "-d", "--name", name, *LIMITS, "--network", "none", "-v", mount, image, "serve")
    yield name
    subprocess.run(("podman", "rm", "-f", name), capture_output=True, check=False)


def _ask(container: str, path: str, body: str = "") -> str:
    return _said("podman", "exec", container, "python3", "-c", ASK, f"http://127.0.0.1:8080{path}", body)


def _log(container: str) -> str:
    done = subprocess.run(("podman", "logs", container), capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def _healthy(container: str) -> bool:
    return subprocess.run(("podman", "healthcheck", "run", container), capture_output=True, check=False).returncode == 0


def test_it_becomes_healthy_and_predicts(container: str) -> None:
    end = time.monotonic() + 60
    while not _healthy(container):
        assert time.monotonic() < end, _log(container)
        time.sleep(0.2)
    assert '"address":"http://0.0.0.0:8080"' in _log(container)
    assert json.loads(_ask(container, "/v2/health/ready"))["ready"]
    assert json.loads(_ask(container, "/predict", '{"inputs": "rain rain"}'))[0]["label"] == LABELS[1]


def test_it_runs_as_nobody_without_rights_and_can_write_nowhere(container: str) -> None:
    status = _said("podman", "exec", container, "cat", "/proc/1/status")
    assert "Uid:\t65532\t65532\t65532\t65532" in status and "CapEff:\t0000000000000000" in status
    for place in ("/x", "/app/x", "/home/parsimony/x", "/opt/ml/model/x"):
        done = subprocess.run(
            ("podman", "exec", container, "touch", place), capture_output=True, text=True, check=False
        )
        assert "Read-only file system" in done.stderr


def test_it_holds_three_libraries_and_the_server(container: str) -> None:
    code = "import importlib.metadata as m; print(*(each.name.lower() for each in m.distributions()))"
    names = set(_said("podman", "exec", container, "/app/bin/python", "-c", code).split())
    assert {"numpy", "onnxruntime", "tokenizers", "uvicorn", "parsimony"} <= names
    assert not names & {"torch", "transformers", "prefect", "mlflow", "huggingface-hub", "huggingface_hub"}


def test_what_is_pulled_beside_the_base_is_small(image: str, tmp_path: Path) -> None:
    _said(
        "podman", "save", "--quiet", "--format", "docker-dir", "--compress", "--output", str(tmp_path / "image"), image
    )
    manifest = json.loads((tmp_path / "image" / "manifest.json").read_text(encoding="utf-8"))
    base = _said("podman", "image", "inspect", "--format", "{{len .RootFS.Layers}}", os.environ.get("BASE") or BASE)
    assert sum(layer["size"] for layer in manifest["layers"][int(base) :]) <= MOST_BYTES


def test_it_ends_when_it_is_told_to(container: str) -> None:
    begin = time.monotonic()
    _said("podman", "stop", "-t", "20", container)
    assert time.monotonic() - begin < 10.0
