"""What the files of a base may say: nothing that chooses code to run, or a place outside its folder to read from.

transformers makes every key of config.json an attribute of the configuration, its own machinery included
(`_attn_implementation_internal`: CVE-2026-4372), and follows some: to another file of weights, to a kernel or a base on the
hub, to a package that decodes weights. So keys are refused by what they do, in whatever depth and spelling, before anything
is loaded; and once transformers has read the rest, whatever lies over something of its own class is refused too.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.errors import PlanError
from parsimony.training.base_files import CONFIG, read_json, read_object

if TYPE_CHECKING:
    import transformers

# The settings that transformers and sentence-transformers read beside the weights.
_SETTINGS = (
    CONFIG,
    "config_sentence_transformers.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "sentence_*_config.json",
    "tokenizer_config.json",
)
# What transformers takes instead of the weights of the folder.
_SHARDS = "shard-*-model-*.safetensors"
# Spelled without case, signs or white space: these words inside a key, and these whole keys.
_WORDS = (
    "attnimplementation",
    "attentionimplementation",
    "automap",
    "basemodelnameorpath",
    "customcode",
    "customgenerate",
    "custompipeline",
    "expertsimplementation",
    "hubkernel",
    "peft",
    "remotecode",
    "transformersweights",
)
_KEYS = frozenset(
    {
        "allowallkernels",
        "attributemap",
        "autoclass",
        "backbone",
        "configurationfiles",
        "devicemap",
        "distributedconfig",
        "extraconfigfiles",
        "extrafiles",
        "fusionconfig",
        "gguffile",
        "kernelconfig",
        "kernelmapping",
        "loadin4bit",
        "loadin8bit",
        "subconfigs",
        "subconfigsdefaults",
        "usekernel",
        "usekernels",
        "usepretrainedbackbone",
        "usetimmbackbone",
    }
)
_QUANTISED = ("quantizationconfig", "compressionconfig")
# What these hold is a note or a name for people, whatever it looks like.
_NOTES = frozenset({"_name_or_path", "name_or_path", "id2label", "label2id", "task_specific_params"})
_LABELS = frozenset({"id2label", "label2id"})
_SIGNS = re.compile(r"[\W_]+")
_OUTSIDE = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|\w+://|(.*[/\\])?\.\.([/\\]|\Z)")


def check(folder: Path) -> None:
    """Raise PlanError, without the base's name, when a file of a base reaches for code or for files outside its folder."""
    if shards := sorted(path.name for path in folder.glob(_SHARDS)):
        raise PlanError(f"{shards[0]} is part of a distributed checkpoint; save the model as one model.safetensors")
    for path in sorted(path for pattern in _SETTINGS for path in folder.glob(pattern)):
        _check_settings(path)


def config_of(folder: Path) -> transformers.PreTrainedConfig:
    """Return the configuration of a base or a checkpoint as transformers reads it, from this folder and nowhere else.

    Raises PlanError for what `check` refuses, when transformers does not know the architecture, and when a key would lie over
    a method or a table of transformers' own.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    _check_settings(folder / CONFIG)
    document = read_object(folder / CONFIG)
    architecture = str(document.get("model_type"))
    if architecture not in CONFIG_MAPPING:
        raise PlanError(f"{folder} is a {architecture}, for which transformers has no encoder")
    if covering := _covering(CONFIG_MAPPING[architecture], document):
        raise PlanError(f"{folder}: {CONFIG} sets {covering[0]!r}, which is transformers' own; take it out of {CONFIG}")
    return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _covering(kind: type, keys: Iterable[str]) -> list[str]:
    """Return the keys that name a method or a table of a class of configurations, where only data may be set."""
    fields = {field.name for field in dataclasses.fields(kind)}
    own = {name: getattr(kind, name) for name in keys if name not in fields and hasattr(kind, name)}
    return sorted(
        name
        for name, value in own.items()
        if not (isinstance(value, bool | int | float | str | None) or getattr(value, "fset", None))
    )


def _check_settings(path: Path) -> None:
    for key, value in _entries(read_json(path)):
        above = set(key.split(".")[:-1])
        if above & _LABELS:
            continue
        spelled = _SIGNS.sub("", key.rpartition(".")[2]).casefold()
        if any(word in spelled for word in _QUANTISED):
            raise PlanError(
                f"{path.name} names {key!r}: its weights are quantised, which other packages undo, and cannot be trained; "
                "take the model that it was quantised from"
            )
        if spelled in _KEYS or any(word in spelled for word in _WORDS):
            raise PlanError(
                f"{path.name} names {key!r}, which asks to run code or to read from elsewhere; that is never done: use a "
                f"base that needs it not, or take the key out of {path.name}"
            )
        if (
            path.name == CONFIG
            and isinstance(value, str)
            and _OUTSIDE.match(value)
            and not _NOTES & set(key.split("."))
        ):
            raise PlanError(
                f"{path.name} says {key!r} is {value[:80]!r}, a place outside its folder; nothing is read from there: put "
                f"what is needed into the folder, or take the key out of {path.name}"
            )


def _entries(document: object) -> Iterator[tuple[str, object]]:
    """Yield every key with its value, in whatever depth; a key below others is named with them: `a.b`."""
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        above, value = waiting.pop()
        if isinstance(value, dict):
            inner = [(f"{above}.{key}" if above else str(key), item) for key, item in value.items()]
            yield from inner
            waiting += inner
        elif isinstance(value, list):
            yield from ((above, item) for item in value if isinstance(item, str))
            waiting += [(above, item) for item in value]
