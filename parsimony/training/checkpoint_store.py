"""Checkpoints, kept by the content of what they were trained from: the same question is never trained twice."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from parsimony.candidates import ModelSpec
from parsimony.files import (
    MANIFEST,
    code_digest,
    digest_file,
    digest_of,
    is_complete,
    new_folder,
    touch,
    write_manifest,
)
from parsimony.files.locks import held
from parsimony.training import bases
from parsimony.training.checkpoint import FACTS
from parsimony.training.families import FAMILIES
from parsimony.training.family import Material

log = logging.getLogger("parsimony.progress")

# What a training that was killed goes on from lies beside its checkpoint, under this ending.
PARTIAL = ".partial"
# Every room whose code decides what is trained.
ROOMS = ("data", "graphs", "runtimes", "training")
_LIBRARIES = ("accelerate", "onnx", "scikit-learn", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A trained model on disk. `cost_s` is what this run spent on it: 0 when it was there already."""

    spec: ModelSpec
    folder: str
    key: str
    validation_accuracy: float
    cost_s: float


def checkpoint_of(material: Material, data_digest: str, store: Path) -> Checkpoint:
    """Return the checkpoint of this material, training it only when no complete one is kept."""
    key = key_of(material, data_digest)
    folder = store / key
    spent = 0.0
    if is_complete(folder):
        touch(folder)
    else:
        with _place(store / f"{key}{PARTIAL}") as place:
            if not is_complete(folder):  # another run has trained it meanwhile
                start = time.monotonic()
                with new_folder(folder, present="kept") as work:
                    FAMILIES[material.spec.family].train(replace(material, place=place), work)
                    write_manifest(work, {"spec": asdict(material.spec), "data_digest": data_digest})
                spent = time.monotonic() - start
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return Checkpoint(
        spec=material.spec,
        folder=str(folder),
        key=key,
        validation_accuracy=float(facts["validation_accuracy"]),
        cost_s=spent,
    )


@contextmanager
def _place(folder: Path) -> Iterator[Path]:
    """Give the folder of a training in progress to one run at a time; it goes when the block ends well."""

    def waiting() -> None:
        detail = f"waits for another run that trains the same model ({folder})"
        log.info("train %s", detail, extra={"stage": "train", "detail": detail})

    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder, patience="wait", waiting=waiting) as hold:
            if hold == "gone":  # the other run has finished, and cleared it away
                continue
            try:
                yield folder
            except BaseException:
                with suppress(OSError):  # there is something to go on from
                    folder.rmdir()
                raise
            shutil.rmtree(folder, ignore_errors=True)
            return


def key_of(material: Material, data_digest: str) -> str:
    """Return the digest of everything that the training depends on, 32 hexadecimal digits."""
    start = None if material.start is None else digest_file(material.start / MANIFEST)
    return digest_of(
        material.spec.family,
        material.spec.base,
        material.spec.shape,
        bases.digest(material.base),
        start,
        data_digest,
        material.max_tokens,
        material.seed,
        asdict(material.settings),
        code_digest(*ROOMS),
        [importlib.metadata.version(name) for name in _LIBRARIES],
    )[:32]
