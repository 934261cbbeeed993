"""Every hostile bundle, tried out from a small process whose only children are the trials: what each took, as JSON lines."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import hostile

from parsimony.bundle import trial
from parsimony.errors import InfrastructureError


def main(names: str) -> None:
    """Print a line a case, of those named in a JSON list; the peak is the largest of the trials until then, in bytes."""
    for number, name in enumerate(json.loads(names)):
        folder, refusal, start = Path(str(number)), "", time.monotonic()
        hostile.CASES[name](folder)
        try:
            trial.try_out(folder)
        except InfrastructureError as error:
            refusal = str(error)
        seconds = time.monotonic() - start
        peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(json.dumps({"name": name, "refusal": refusal, "seconds": seconds, "peak_bytes": peak_bytes}))
