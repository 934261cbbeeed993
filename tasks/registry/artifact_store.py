"""MLflow's stores, tried with a small file and a short text: one that cannot keep what is promoted is noticed before anything is trained."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.tasks.registry.refusals import failures, one_line
from parsimony.tasks.registry.secrets import without_secrets
from parsimony.tasks.registry.tracking import Registry, connected, experiment_of

_PROBE = "parsimony-probe"
_BYTES = 4096
_TEXT = "−5 °C ≥ Ελλάς 漢字 😀"


def try_artifacts(registry: Registry, model: str) -> None:
    """Store a small file where the artifacts of a model go, read it back and remove it.

    Raises InfrastructureError when what comes back is not what was stored.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with connected(registry) as client, tempfile.TemporaryDirectory() as work:
        location = client.get_experiment(experiment_of(client, registry, model)).artifact_location
        name, folder = f"{secrets.token_hex(8)}.bin", Path(work)
        (folder / name).write_bytes(stored := secrets.token_bytes(_BYTES))
        try:
            store = get_artifact_repository(f"{location.rstrip('/')}/{_PROBE}", tracking_uri=registry.tracking_uri)
            store.log_artifact(str(folder / name))
            (folder / "back").mkdir()
            back = Path(store.download_artifacts(name, dst_path=str(folder / "back"))).read_bytes()
        except failures() as error:
            raise InfrastructureError(_refusal(location, one_line(error))) from error
        with suppress(*failures()):  # a store that keeps what it has is a store
            store.delete_artifacts(name)
    if back != stored:
        raise InfrastructureError(_refusal(location, f"{len(back):,} other bytes came back of {_BYTES:,}"))


def try_text(registry: Registry, model: str) -> None:
    """Write a short text in several scripts as a tag of a model's experiment, read it back and remove it.

    Raises InfrastructureError when MLflow's database does not keep it: labels, texts of cards and names can be in any script.
    """
    with connected(registry) as client:
        experiment, tag = experiment_of(client, registry, model), f"{_PROBE}.{secrets.token_hex(8)}"
        client.set_experiment_tag(experiment, tag, "plain")  # what fails here has another cause
        refused: tuple[type[Exception], ...] = (*failures(), UnicodeError)
        try:
            client.set_experiment_tag(experiment, tag, _TEXT)
            back = client.get_experiment(experiment).tags.get(tag)
        except refused as error:
            raise InfrastructureError(_no_text(one_line(error))) from error
        with suppress(*failures()):
            client.delete_experiment_tag(experiment, tag)
    if back != _TEXT:
        raise InfrastructureError(_no_text(f"{back!r} came back"))


def _no_text(said: str) -> str:
    return (
        f"MLflow's database does not keep text in every script: {said}; nothing was trained; it needs the encoding UTF8 "
        "(PostgreSQL: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)"
    )


def _refusal(location: str, said: str) -> str:
    return (
        f"MLflow's artifact store {without_secrets(location)} does not take a small file: {said}; nothing was trained; check that it "
        "can be reached and written, and has free space"
    )
