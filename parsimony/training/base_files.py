"""Which files a base must have, and what lies there instead: pointers, pickles, slow tokenizers, pipes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from parsimony import errors
from parsimony.errors import PlanError

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
INDEX = "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
_POINTER = b"version https://git-lfs"
_PICKLED = ("pytorch_model*.bin", "pytorch_model*.bin.index.json", "*.pt", "*.pth", "*.ckpt", "model.bin")
_ELSEWHERE = {"tf_model.h5": "TensorFlow's", "flax_model.msgpack": "Flax's", "*.gguf": "llama.cpp's", "*.onnx": "ONNX"}
_SETTINGS = ("*.json", "*.txt", "*.model", "*.jinja")
_SLOW = (
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "tokenizer.model",
    "vocab.json",
    "*.codes",
)


def require_files(folder: Path) -> None:
    """Raise PlanError, without the base's name, unless a folder holds a configuration, weights and a tokenizer to read."""
    _require_regular(folder)
    if (folder / _ADAPTER).is_file():
        raise PlanError(
            f"{folder} holds an adapter ({_ADAPTER}), which would be laid over a model from elsewhere; merge it: load it "
            "with peft, call merge_and_unload() and save_pretrained() into a folder of its own"
        )
    if not (folder / CONFIG).is_file():
        raise PlanError(_lacks(folder, CONFIG))
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        raise PlanError(_without_weights(folder))
    if not (folder / TOKENIZER).is_file():
        raise PlanError(_without_tokenizer(folder))
    for path in (folder / CONFIG, folder / TOKENIZER, *weight_files(folder)):
        refuse_pointer(path)


def _require_regular(folder: Path) -> None:
    """Refuse what cannot be read to its end: links to nothing, pipes, sockets, devices."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.exists():
            raise PlanError(f"{path} is a link to nothing; copy the file itself there, or take the link away")
        if not path.is_file() and not path.is_dir():
            raise PlanError(f"{path} is a pipe, a socket or a device, expected files only; take it away")


def refuse_pointer(path: Path) -> None:
    """Raise PlanError when a file is what Git LFS leaves in place of a large one."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        start = stream.read(len(_POINTER))
    if start == _POINTER:
        raise PlanError(
            f"{path.name} is a Git LFS pointer of {path.stat().st_size} bytes, not the file itself; "
            f"run `git lfs pull` in {path.parent}, or download the file"
        )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold a base's weights, and the index where there are several.

    Raises PlanError when the index names none, or one that is not beside it.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    refuse_pointer(folder / INDEX)
    document = read_object(folder / INDEX)
    shards = document.get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
        raise PlanError(f"{INDEX} has no weight_map that says which file holds which weights; download it again")
    names = sorted(set(shards.values()))
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise PlanError(f"{INDEX} names {name!r}, expected safetensors files in the same folder")
        if not (folder / name).is_file():
            raise PlanError(f"{INDEX} names {name}, which is not in {folder}; download all {len(names)} files")
    return (folder / INDEX, *(folder / name for name in names))


def read_files(folder: Path) -> tuple[Path, ...]:
    """Return every file of an encoder's folder that is read when it is loaded, or may be: settings, tokenizer, weights."""
    settings = {path for pattern in _SETTINGS for path in folder.glob(pattern) if path.is_file()}
    return tuple(sorted(settings.union(weight_files(folder))))


def read_json(path: Path) -> object:
    """Return what a JSON file holds; raise PlanError, without the base's name, when it is none."""
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path} is no JSON: {first_line(error)}; download it again") from error
    return document


def read_object(path: Path) -> dict[str, object]:
    """Return the JSON object in a file; raise PlanError, without the base's name, when it holds none."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise PlanError(f"{path} holds a {type(document).__name__}, expected a JSON object; download it again")
    return document


def _without_weights(folder: Path) -> str:
    if pickled := _first(folder, _PICKLED):
        return (
            f"lacks {WEIGHTS}; its weights are pickled ({pickled}; pickled weights are not loaded, because loading runs "
            f"what is in them); where you trust them, convert them: {_saved_again('AutoModel', folder)}"
        )
    for pattern, whose in _ELSEWHERE.items():
        if name := _first(folder, [pattern]):
            return (
                f"lacks {WEIGHTS}; it holds {whose} weights ({name}) only; save the model with transformers, or take a "
                "base that comes as safetensors"
            )
    if name := _first(folder, ["*.safetensors"]):
        return f"{_lacks(folder, WEIGHTS)}; it holds {name}: rename it, or add the {INDEX} that belongs to it"
    return _lacks(folder, WEIGHTS)


def _without_tokenizer(folder: Path) -> str:
    if slow := _first(folder, _SLOW):
        return (
            f"lacks {TOKENIZER}; it holds a slow tokenizer ({slow}) only; make it: "
            f"{_saved_again('AutoTokenizer', folder)} (with sentencepiece and protobuf installed)"
        )
    return _lacks(folder, TOKENIZER)


def _saved_again(kind: str, folder: Path) -> str:
    where = str(folder)
    return f'python -c "from transformers import {kind} as A; A.from_pretrained({where!r}).save_pretrained({where!r})"'


def _lacks(folder: Path, name: str) -> str:
    return f"{folder} lacks {name}; expected {CONFIG}, {WEIGHTS} and {TOKENIZER}: download the whole model"


def _first(folder: Path, patterns: Iterable[str]) -> str:
    return next((path.name for pattern in patterns for path in sorted(folder.glob(pattern))), "")


def first_line(error: BaseException) -> str:
    """Return the first line of what is said of a base, at most 200 characters: some libraries repeat whole files."""
    return errors.first_line(error, 200)
