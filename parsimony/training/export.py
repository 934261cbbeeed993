"""Turn a trained classifier into one ONNX graph. The only place that knows optimum, so that it can be replaced."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from parsimony.errors import PlanError
from parsimony.graphs import rewrite
from parsimony.training.classifier import Classifier, all_logits

OPSET = 18
_INPUTS = {"input_ids", "attention_mask"}
# Logits differ by rounding only: this much of their largest magnitude.
TOLERANCE = 1e-3


class ParityError(ValueError):
    """The predictions of a graph differ from those of the model that it was made from."""


def export(classifier: Classifier) -> onnx.ModelProto:
    """Return the classifier as one graph: `input_ids` and `attention_mask` in, `logits` out.

    Raises PlanError when the encoder needs more than these two.
    """
    from optimum.exporters.onnx import onnx_export_from_model

    with tempfile.TemporaryDirectory() as scratch, _silence():
        onnx_export_from_model(
            classifier.encoder, Path(scratch), task="feature-extraction", opset=OPSET, do_validation=False
        )
        model = onnx.load(Path(scratch) / "model.onnx")
    weight, bias = (p.detach().float().numpy() for p in (classifier.head.weight, classifier.head.bias))
    rewrite.drop_token_types(model)
    require_inputs(model, classifier.encoder.config.model_type)
    rewrite.fold_copies(model)
    add_head = rewrite.add_mean_head if classifier.pooling == "mean" else rewrite.add_first_token_head
    add_head(model, weight, bias)
    rewrite.strip(model)
    return model


def require_inputs(model: onnx.ModelProto, architecture: str) -> None:
    """Raise PlanError unless a graph takes tokens and their mask, and nothing else."""
    if (inputs := {node.name for node in model.graph.input}) != _INPUTS:
        names, expected = ", ".join(sorted(inputs)), " and ".join(sorted(_INPUTS))
        raise PlanError(f"a {architecture} graph takes {names}, expected {expected} only")


def check_parity(model: onnx.ModelProto, classifier: Classifier, rows: Sequence[Sequence[int]]) -> None:
    """Compare the graph with the trained model on tokenised texts; raise ParityError when they differ."""
    compare(all_logits(classifier, rows), rewrite.run(model, rows))


def compare(expected: np.ndarray, logits: np.ndarray) -> None:
    """Raise ParityError unless two arrays of logits [texts, classes] agree to rounding."""
    gap = float(np.abs(expected - logits).max())
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not gap <= limit:
        raise ParityError(f"logits differ by up to {gap:.2g}, expected at most {limit:.2g}")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's advice out of the user's log."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
