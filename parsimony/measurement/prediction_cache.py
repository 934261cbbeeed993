"""A bundle's predictions of some texts, made once: the same bundle on the same machine is not asked again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from parsimony.candidates import BuiltBundle
from parsimony.data.table import Texts
from parsimony.files import code_digest, digest_of, write_json
from parsimony.measurement import machine
from parsimony.measurement.json_format import from_json, to_json
from parsimony.measurement.measure import Predicted, judge
from parsimony.measurement.records import TargetSettings

# Every room whose code decides what is predicted and how it is timed.
ROOMS = ("bundle", "measurement", "runtimes")


def predictions_of(bundle: BuiltBundle, texts: Texts, target: TargetSettings, store: Path) -> Predicted:
    """Return the class numbers [texts] and the measurement of a bundle, from the store or from a fresh process.

    The key holds the bundle, the texts, the target, the machine and the code: predictions of another processor are never
    used, because quantised kernels predict differently there. What is kept is kept with its digest, and made again when it is
    not what was written under this key.
    """
    key = _key(bundle, texts, target)
    path = store / f"{key[:32]}.json"
    if (kept := _kept(path, key)) is not None:
        return kept
    predicted = judge(Path(bundle.folder), texts.texts, target)
    said = {"classes": predicted.classes.tolist(), "measurement": to_json(predicted.measurement)}
    write_json(path, {**said, "sha256": digest_of(key, said)})
    return predicted


def is_kept(bundle: BuiltBundle, texts: Texts, target: TargetSettings, store: Path) -> bool:
    """Say whether the predictions are in the store already."""
    key = _key(bundle, texts, target)
    return _kept(store / f"{key[:32]}.json", key) is not None


def _key(bundle: BuiltBundle, texts: Texts, target: TargetSettings) -> str:
    here = machine.environment(target.threads)
    what = (bundle.digest, texts.digest, target.name, target.threads, here.cpu, here.isa, here.versions)
    return digest_of(code_digest(*ROOMS), *what)


def _kept(path: Path, key: str) -> Predicted | None:
    """Return what is kept under a key; None when nothing is, or something else."""
    try:
        said = dict(json.loads(path.read_text(encoding="utf-8")))
        if said.pop("sha256", None) != digest_of(key, said):
            return None
        return Predicted(classes=np.array(said["classes"]), measurement=from_json(said["measurement"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
