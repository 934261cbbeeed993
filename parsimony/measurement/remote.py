"""What another machine is asked to measure, and what it says: both as JSON, named by digests.

A request holds references alone, so that equal ones have equal digests: what was measured for one is the result of the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from parsimony.errors import require
from parsimony.files import FileRef
from parsimony.measurement.json_format import from_json, target_from_json, to_json
from parsimony.measurement.records import Measurement, TargetSettings

FORMAT = 1
# A steady result that is younger is not taken again: a run that was killed finds it.
FRESH = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Bundles to measure side by side on the validation texts, and to let predict the test texts, on a target.

    `bundles` are names with the references of folders; both texts are JSON lists. `code` is the digest of what measures.
    """

    target: TargetSettings
    baseline: str
    bundles: tuple[tuple[str, FileRef], ...]
    validation: FileRef
    test: FileRef
    code: str

    def __post_init__(self) -> None:
        names = [name for name, _ in self.bundles]
        require(self.baseline in names, f"the baseline {self.baseline!r} is none of {names}")
        require(len(set(names)) == len(names), f"the bundles are called {names}, expected different names")

    def dumps(self) -> bytes:
        """Return the request as JSON."""
        # How long somebody waits, and whether it may be missing, change nothing that is measured.
        target = asdict(replace(self.target, deadline_s=0.0, optional=False, missing=""))
        bundles = [[name, asdict(reference)] for name, reference in self.bundles]
        said = {"format": FORMAT, **asdict(self), "target": target, "bundles": bundles}
        return json.dumps(said, sort_keys=True).encode()

    @classmethod
    def loads(cls, content: bytes) -> Request:
        """Return the request that was written; ValueError, TypeError or KeyError for anything else."""
        said = _document(content)
        return cls(
            target=target_from_json(said["target"]),
            baseline=str(said["baseline"]),
            bundles=tuple((str(name), FileRef(**reference)) for name, reference in said["bundles"]),
            validation=FileRef(**said["validation"]),
            test=FileRef(**said["test"]),
            code=str(said["code"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a target says to a request: by name the measurements and the class numbers of the test texts, and why others have neither.

    `taken_at` is a moment of UTC; `remade` how many bundles' predictions were made for this result rather than found from an attempt
    that was interrupted.
    """

    request: str
    taken_at: str
    measurements: Mapping[str, Measurement]
    predictions: Mapping[str, tuple[int, ...]]
    refused: Mapping[str, str]
    remade: int

    def dumps(self) -> bytes:
        """Return the result as JSON."""
        measurements = {name: to_json(measurement) for name, measurement in self.measurements.items()}
        said = {name: getattr(self, name) for name in ("request", "taken_at", "predictions", "refused", "remade")}
        return json.dumps({"format": FORMAT, **said, "measurements": measurements}, sort_keys=True).encode()

    @classmethod
    def loads(cls, content: bytes) -> Result:
        """Return the result that was written; ValueError, TypeError or KeyError for anything else."""
        said = _document(content)
        return cls(
            request=str(said["request"]),
            taken_at=str(said["taken_at"]),
            measurements={str(name): from_json(measurement) for name, measurement in said["measurements"].items()},
            predictions={str(name): tuple(map(int, numbers)) for name, numbers in said["predictions"].items()},
            refused={str(name): str(why) for name, why in said["refused"].items()},
            remade=int(said["remade"]),
        )

    def is_fresh(self) -> bool:
        """Say whether it is steady and young enough to be the result of the same request again."""
        age = datetime.now(UTC) - datetime.fromisoformat(self.taken_at)
        return all(m.stable for m in self.measurements.values()) and timedelta(0) <= age < FRESH

    def require_of(self, request: Request, digest: str, test_rows: int) -> None:
        """Raise ValueError unless it is a whole result of this request, measured where the request says."""
        names = {name for name, _ in request.bundles}
        require(
            self.request == digest, f"it is the result of the request {self.request[:12]}…, expected {digest[:12]}…"
        )
        require(
            set(self.measurements) == set(self.predictions) == names - set(self.refused),
            f"it measured {sorted(self.measurements)} and refused {sorted(self.refused)} of {sorted(names)}",
        )
        require(request.baseline in self.measurements, f"the baseline {request.baseline} was not measured")
        for name, measurement in self.measurements.items():
            place = (measurement.target, measurement.environment.threads)
            expected = (request.target.name, request.target.threads)
            require(place == expected, f"{name} was measured on {place}, expected {expected}")
            different = request.target.machine.mismatch(measurement.environment)
            require(not different, f"{name} was measured on another machine: {different}")
            rows = len(self.predictions[name])
            require(rows == test_rows, f"{name} has {rows} predictions, expected {test_rows}")


def _document(content: bytes) -> dict[str, Any]:
    said = dict(json.loads(content))
    require(
        said.get("format") == FORMAT,
        f"found format {said.get('format')!r}, expected {FORMAT}; install the same version",
    )
    return said
