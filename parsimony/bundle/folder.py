"""The deployable folder: written whole, verified, described. Needs no library.

`model.onnx` (one file), `tokenizer.json` and `config.json` (when the input is tokens), `labels.json`, `manifest.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from parsimony.bundle.config_json import CONFIG, UNNAMED, check_config, config_text
from parsimony.bundle.external_data import refuse_external_data
from parsimony.bundle.runtime_version import least_version
from parsimony.bundle.tokenizer_check import check_tokenizer
from parsimony.candidates import BuiltBundle
from parsimony.errors import InfrastructureError
from parsimony.files import MANIFEST, digest_file, folder_bytes, new_folder, verify_folder, write_manifest

MODEL, TOKENIZER, LABELS = "model.onnx", "tokenizer.json", "labels.json"
FORMAT = 2  # 1 had no config.json
_MOST_LABELS, _MOST_LABEL_CHARS = 1_000_000, 10_000
# How a text is read that is longer than what the tokenizer keeps: its beginning, or every window, averaged.
Windows = Literal["first", "mean"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a bundle is made of; `tokenizer` is None when the graph takes text.

    `config` says of the model, in transformers' words, what the graph does not say itself.
    """

    model: bytes
    tokenizer: str | None
    labels: Sequence[str]
    lineage: Mapping[str, object]
    windows: Windows = "first"
    config: Mapping[str, object] = field(default_factory=lambda: UNNAMED)


def write_bundle(target: Path, contents: Contents) -> BuiltBundle:
    """Write a bundle under a temporary name, manifest last, and rename it to `target`.

    A graph that takes text reads all of it, so `windows` is only kept beside a tokenizer. Raises InfrastructureError when the graph or the
    tokenizer holds what `load` refuses.
    """
    with new_folder(target) as work:
        fill_bundle(work, contents)
    return describe(target)


def fill_bundle(work: Path, contents: Contents) -> None:
    """Write the files of a bundle into an empty folder, manifest last, as `write_bundle` does."""
    tokenizer, labels = contents.tokenizer, list(contents.labels)
    refuse_external_data(contents.model, work / MODEL)
    (work / MODEL).write_bytes(contents.model)
    (work / LABELS).write_text(json.dumps(labels, ensure_ascii=False), encoding="utf-8")
    if tokenizer is not None:
        tokenizer_text(tokenizer.encode(), work / TOKENIZER)
        (work / TOKENIZER).write_text(tokenizer, encoding="utf-8")
        (work / CONFIG).write_text(config_text(contents.config, tokenizer, labels), encoding="utf-8")
    kind: Literal["tokens", "text"] = "text" if tokenizer is None else "tokens"
    reading = {"windows": contents.windows} if tokenizer is not None and contents.windows != "first" else {}
    least, lineage = least_version(contents.model), dict(contents.lineage)
    write_manifest(work, {"format": FORMAT, "input": kind, **reading, "onnxruntime": least, "lineage": lineage})


def require_config(content: bytes | None, labels: Sequence[str], path: Path) -> None:
    """Raise InfrastructureError for a `config.json`, read from `path`, that tells others something else than the bundle is.

    None, where a bundle of format 1 has none, is no fault.
    """
    try:
        if content is not None:
            check_config(content, labels)
    except ValueError as error:
        raise InfrastructureError(f"{path} is not of this bundle: {error}; build it again") from error


def windows_of(manifest: Mapping[str, object]) -> Windows:
    """Return how a bundle reads a long text; InfrastructureError for a way that is not known here."""
    for known in get_args(Windows):
        if manifest.get("windows", "first") == known:
            return known  # type: ignore[no-any-return]
    raise InfrastructureError(
        f"{MANIFEST} says windows {manifest['windows']!r}, expected 'first' or 'mean'; a newer Parsimony may read it"
    )


def tokenizer_text(content: bytes, path: Path) -> str:
    """Return a tokenizer, read from `path`, as text; InfrastructureError when it may not be opened (see `tokenizer_check`)."""
    try:
        return check_tokenizer(content)
    except ValueError as error:
        raise InfrastructureError(f"{path} is not a tokenizer for a bundle: {error}") from error


def labels_of(content: bytes, path: Path) -> tuple[str, ...]:
    """Return the labels, read from `path`; InfrastructureError when they are no list of different texts."""
    try:
        labels = json.loads(str(content, "utf-8"))
        is_sound = isinstance(labels, list) and 0 < len(labels) <= _MOST_LABELS and set(map(type, labels)) == {str}
        if is_sound and max(map(len, labels)) <= _MOST_LABEL_CHARS and len(set(labels)) == len(labels):
            "".join(labels).encode()
            return tuple(labels)
    except (ValueError, RecursionError) as error:
        raise InfrastructureError(f"{path} is not a list of labels ({error}); build it again") from error
    raise InfrastructureError(
        f"{path} is not a list of 1 to {_MOST_LABELS:,} different texts of at most {_MOST_LABEL_CHARS:,} characters; build it again"
    )


def describe(folder: Path) -> BuiltBundle:
    """Verify a bundle and return its digest (SHA-256 of its manifest) and its size.

    Raises InfrastructureError when a file differs from the manifest.
    """
    verify_folder(folder)
    return BuiltBundle(folder=str(folder), digest=digest_file(folder / MANIFEST), size_bytes=folder_bytes(folder))


def described(folder: Path) -> BuiltBundle | None:
    """Verify and describe the bundle in a folder; None where there is no complete one."""
    try:
        return describe(folder) if folder.is_dir() else None
    except (InfrastructureError, OSError, ValueError):
        return None
