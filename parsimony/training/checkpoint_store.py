"""Checkpoints, kept by the content of what they were trained from: the same question is never trained twice."""

from __future__ import annotations

import importlib.metadata
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from parsimony.candidates import ModelSpec
from parsimony.files import MANIFEST, code_digest, digest_file, digest_of, is_complete, new_folder, write_manifest
from parsimony.training import bases
from parsimony.training.checkpoint import FACTS
from parsimony.training.families import FAMILIES
from parsimony.training.family import Material

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
    if not is_complete(folder):
        start = time.monotonic()
        with new_folder(folder) as work:
            FAMILIES[material.spec.family].train(material, work)
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
