"""Twenty secrets in every place where a user may have one; then all that was printed, logged and stored is searched for them."""

from __future__ import annotations

import contextlib
import os
import random
import string
from collections.abc import Iterator
from pathlib import Path

from test_registry import MODEL, free_port

from parsimony.flows.cli.main import main
from tests.storm.forks import done
from tests.storm.material import Base, Ground, begin_again, publish
from tests.storm.records import SuiteResult, Tally, part

WHOLE = 20
# %s is the secret. What is an address is one that does not respond, or that is refused.
_PLACES = (
    ("MLFLOW_TRACKING_URI", "http://user:%s@127.0.0.1:{port}"), ("MLFLOW_TRACKING_URI", "http://%s@127.0.0.1:{port}/"),
    ("MLFLOW_TRACKING_URI", "http://127.0.0.1:{port}/token/%s/x"), ("MLFLOW_TRACKING_URI", "postgresql+psycopg2://u:%s@127.0.0.1:{port}/d"),
    ("MLFLOW_TRACKING_URI", "postgresql://127.0.0.1:{port}/d?user=u&password=%s"), ("MLFLOW_TRACKING_URI", "ftp://u:%s@h/x"),
    ("MLFLOW_TRACKING_URI", "http://127.0.0.1:{port}/?access_token=%s"), ("MLFLOW_TRACKING_PASSWORD", "%s"), ("MLFLOW_TRACKING_TOKEN", "%s"),
    ("PREFECT_API_URL", "http://127.0.0.1:{port}/api?key=%s"), ("PREFECT_API_KEY", "pnu_%s"), ("PREFECT_API_AUTH_STRING", "admin:%s"),
    ("HF_TOKEN", "hf_%s"), ("AWS_SECRET_ACCESS_KEY", "%s"), ("DATABASE_URL", "postgres://u:%s@127.0.0.1/x"), ("HTTP_PROXY", "http://u:%s@127.0.0.1:{port}"),
    ("HTTPS_PROXY", "http://u:p@%s@127.0.0.1:{port}"), ("AZURE_STORAGE_ACCESS_KEY", "%s"), ("MLFLOW_S3_ENDPOINT_URL", "http://u:%s@127.0.0.1:{port}"),
    ("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://u:%s@127.0.0.1:{port}/p"),
)  # fmt: skip
_COMMANDS = (
    ("history", MODEL), ("champion", MODEL), ("reconcile",), ("predict", MODEL, "hello"), ("doctor",), ("rollback", MODEL, "--reason", "x"),
    ("run", "plan.toml"),
)  # fmt: skip
_PLAN = 'model = "m"\n[data]\ntrain = "t.csv"\ntext = "text"\nlabel = "label"\n[bases]\nnames = ["base"]\n'


def everywhere(base: Base, share: float, rng: random.Random) -> SuiteResult:
    """Ask and publish with each secret in its place."""
    tally = Tally(name="canary secret, then all output searched", whole=WHOLE)
    for name, form in rng.sample(_PLACES, part(WHOLE, share)):
        secret = "".join(rng.choices(string.ascii_letters + string.digits, k=rng.randint(10, 24)))
        with tally.trial(f"{name}={form} with {secret}"), base.ground() as ground:
            value = form.replace("%s", secret).replace("{port}", str(free_port()))
            done(lambda: _ask(ground, name, value), ground.log)  # noqa: B023
            if name != "MLFLOW_TRACKING_URI":
                outcome = done(lambda: _publish(base, ground, name, value), ground.log)  # noqa: B023
                assert outcome.end == "ended", outcome.error.replace(secret, "***")
            hits = [str(path) for path, content in _contents(ground.home) if secret.encode() in content]
            assert not hits, f"it came through in {hits}"
    return tally.result(f"{len(_COMMANDS)} commands and a publication for each")


def _ask(ground: Ground, name: str, value: str) -> None:
    """Give every command with the secret in its place; what they print goes to the trial's log."""
    os.environ.update(
        {"PARSIMONY_HOME": str(ground.home / "asked"), "MLFLOW_TRACKING_URI": ground.registry.tracking_uri}
    )
    os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "PREFECT_CLIENT_MAX_RETRIES": "0", name: value})
    os.chdir(ground.home)
    Path("plan.toml").write_text(_PLAN, encoding="utf-8")
    for command in _COMMANDS:
        with contextlib.suppress(SystemExit):
            main(command)


def _publish(base: Base, ground: Ground, name: str, value: str) -> None:
    if not name.startswith("PREFECT"):  # the storm's own server is asked
        os.environ[name] = value
    begin_again(ground)
    publish(base.decisions["c"], ground, "run-secret")


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()
