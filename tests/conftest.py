"""One Prefect backend a session, and nothing that leaves the machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests side by side do not wait for one another's measurements.
LOCKS = tempfile.mkdtemp(prefix="locks-")
# Read by the libraries when they are imported, so they are set before any test imports one.
os.environ.update(
    {
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "ORT_DISABLE_TELEMETRY": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PARSIMONY_LOCKS": LOCKS,
        "TOKENIZERS_PARALLELISM": "false",
    }
)
# Who is started in the background of a script ignores Ctrl-C, and so would every process that a test starts and ends with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Remove the folder of locks."""
    shutil.rmtree(LOCKS, ignore_errors=True)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a file whose tests are all slow when the slow ones are left out: torch takes seconds."""
    if "not slow" not in config.option.markexpr or collection_path.suffix != ".py":
        return None
    marks = re.search(r"^pytestmark = .*", collection_path.read_text(encoding="utf-8"), re.MULTILINE)
    return True if marks and "mark.slow" in marks.group() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that run flows first, then the other slow ones: side by side, a long one at the end costs its whole time."""
    marks: dict[Path, int] = {}
    for item in items:
        mark = 0 if item.get_closest_marker("flow") else 1 if item.get_closest_marker("slow") else 2
        marks[item.path] = min(mark, marks.get(item.path, 2))
    items.sort(key=lambda item: marks[item.path])


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Give the next test the environment that this one found: libraries write addresses into it, and urllib keeps its proxies."""
    before = dict(os.environ)
    yield
    urllib.request.install_opener(None)
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def prefect_backend() -> Iterator[None]:
    """Start one temporary Prefect server for all flow tests; no heartbeats, which cost each flow a second."""
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))  # or a run would start a server of its own
        yield
