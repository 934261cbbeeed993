"""A bundle's answers to a list of texts, asked once: the same bundle on the same machine is not asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from parsimony import machine
from parsimony.files import digest_of, write_json
from parsimony.measure import Seen, judge
from parsimony.measurement_json import from_json, to_json
from parsimony.records import BuiltBundle, TargetSettings

FORMAT = 2  # of what is kept: answers kept in another one are asked again


def answers_of(bundle: BuiltBundle, texts: Sequence[str], target: TargetSettings, store: Path) -> Seen:
    """Return the class numbers [texts] and the measurement of a bundle, from the store or from a fresh process.

    The key holds the bundle, the texts, the target and the machine: answers of another processor are never used,
    because quantised kernels answer differently there.
    """
    here = machine.environment(target.threads)
    what = (bundle.digest, list(texts), target.name, target.threads, here.cpu, here.isa, here.versions)
    key = digest_of(FORMAT, *what)[:32]
    path = store / f"{key}.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Seen(classes=np.array(kept["classes"]), measurement=from_json(kept["measurement"]))
    seen = judge(Path(bundle.folder), texts, target)
    write_json(path, {"classes": seen.classes.tolist(), "measurement": to_json(seen.measurement)})
    return seen
