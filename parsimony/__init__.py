"""Find the smallest model that keeps the quality, build it, measure it, judge it.

`load` and `predict` use a bundle; they need numpy, onnxruntime and tokenizers, which are imported when first called.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parsimony.bundle.predict import Model

__all__ = ["load", "predict"]

# ONNX Runtime's wheel sends usage events unless this is set before it is imported, by whomever, here or in a child.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def load(folder: str | Path, *, threads: int = 1) -> Model:
    """Verify a bundle and load it for `threads` threads: `.predict(texts)`, `.probabilities(text)`, `.labels`.

    A folder outside PARSIMONY_HOME is first tried out in a limited process of its own, once a process. Raises
    parsimony.errors.InfrastructureError when a file differs from the manifest, the graph breaks the contract, or the trial fails.
    """
    from parsimony.bundle import predict, trial

    trial.require(Path(folder))
    return predict.load(Path(folder), threads=threads)


def predict(bundle: str | Path | Model, texts: Sequence[str]) -> list[str]:
    """Return the label of each text, predicted one at a time; a folder is loaded first, with one thread."""
    model = load(bundle) if isinstance(bundle, str | Path) else bundle
    return model.predict(texts)
