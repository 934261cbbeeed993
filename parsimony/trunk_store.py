"""Trained trunks, kept by the content of what they were trained from: the same question is never trained twice."""

from __future__ import annotations

import importlib.metadata
import json
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from parsimony import bases
from parsimony.contracts import Material
from parsimony.families import FAMILIES
from parsimony.files import MANIFEST, digest_file, digest_of, is_complete, new_folder, write_manifest
from parsimony.records import Trunk
from parsimony.trunks import FACTS

_CODE = (
    "bases",
    "classifier",
    "export",
    "factorised",
    "graphs",
    "length_groups",
    "packing",
    "pruning",
    "rounding",
    "training",
    "trunks",
    "vocabulary",
)
_LIBRARIES = ("accelerate", "onnx", "optimum-onnx", "scikit-learn", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A trained trunk on disk. `cost_s` is what this run spent on it: 0 when it was there already."""

    trunk: Trunk
    folder: str
    key: str
    search_accuracy: float
    cost_s: float


def grow(material: Material, data_digest: str, store: Path) -> Grown:
    """Return the trained trunk of this material, training it only when no complete one is kept."""
    key = key_of(material, data_digest)
    folder = store / key
    spent = 0.0
    if not is_complete(folder):
        start = time.monotonic()
        with new_folder(folder) as work:
            FAMILIES[material.trunk.family].train(material, work)
            write_manifest(work, {"trunk": asdict(material.trunk), "data_digest": data_digest})
        spent = time.monotonic() - start
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return Grown(
        trunk=material.trunk,
        folder=str(folder),
        key=key,
        search_accuracy=float(facts["search_accuracy"]),
        cost_s=spent,
    )


def key_of(material: Material, data_digest: str) -> str:
    """Return the digest of everything that the training depends on, 32 hexadecimal digits."""
    start = None if material.start is None else digest_file(material.start / MANIFEST)
    return digest_of(
        asdict(material.trunk),
        bases.digest(material.base),
        start,
        data_digest,
        material.max_tokens,
        material.seed,
        asdict(material.settings),
        code_digest(_CODE, material.trunk.family),
        [importlib.metadata.version(name) for name in _LIBRARIES],
    )[:32]


@lru_cache(maxsize=64)
def code_digest(modules: tuple[str, ...], family: str) -> str:
    """Return the digest of the source files that decide what is trained."""
    root = Path(__file__).parent
    names = [*(f"{name}.py" for name in modules), f"families/{family}.py"]
    return digest_of(*(digest_file(root / name) for name in names))
