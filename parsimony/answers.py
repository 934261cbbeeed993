"""A bundle's answers to a list of texts, asked once: the same bundle on the same machine is not asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from parsimony import machine
from parsimony.files import digest_of, write_json
from parsimony.measure import Seen, judge
from parsimony.records import BuiltBundle, Environment, Measurement, Quantile, TargetSettings


def answers_of(bundle: BuiltBundle, texts: Sequence[str], target: TargetSettings, store: Path) -> Seen:
    """Return the class numbers [texts] and the measurement of a bundle, from the store or from a fresh process.

    The key holds the bundle, the texts, the target and the machine: answers of another processor are never used,
    because quantised kernels answer differently there.
    """
    here = machine.environment(target.threads)
    key = digest_of(bundle.digest, list(texts), target.name, target.threads, here.cpu, here.isa, here.versions)[:32]
    path = store / f"{key}.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Seen(classes=np.array(kept["classes"]), measurement=_measurement(kept["measurement"]))
    seen = judge(Path(bundle.folder), texts, target)
    write_json(path, {"classes": seen.classes.tolist(), "measurement": asdict(seen.measurement)})
    return seen


def _measurement(values: dict[str, Any]) -> Measurement:
    p50, p90, p99 = (Quantile(**values.pop(name)) for name in ("p50", "p90", "p99"))
    environment = values.pop("environment")
    environment["isa"] = tuple(environment["isa"])
    environment["versions"] = tuple((name, version) for name, version in environment["versions"])
    return Measurement(**values, p50=p50, p90=p90, p99=p99, environment=Environment(**environment))
