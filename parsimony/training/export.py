"""Turn a trained classifier into one ONNX graph, by tracing its encoder.

Traced, not compiled (torch's `dynamo=True`): that graph needs another library to be made.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx

from parsimony.errors import PlanError
from parsimony.graphs import rewrite
from parsimony.training.classifier import Classifier, all_logits, position_limit

if TYPE_CHECKING:
    import torch

OPSET = 18
_INPUTS = {"input_ids", "attention_mask"}
_SEGMENTS, _STATES = "token_type_ids", "last_hidden_state"
# Logits differ by rounding only: this much of their largest magnitude.
TOLERANCE = 1e-3
# How many tokens the example has that is traced, where the encoder reads as many.
_EXAMPLE = 8
# Encoders whose layers all see the whole text, and add the mask that they are given to every score. They are given one
# of a row for each text; what they would make themselves is as long as the text is squared.
_ADDS_MASK = frozenset({"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"})


class ParityError(ValueError):
    """The predictions of a graph differ from those of the model that it was made from."""


def export(classifier: Classifier) -> onnx.ModelProto:
    """Return the classifier as one graph: `input_ids` and `attention_mask` in, `logits` out.

    Raises PlanError when the encoder needs more than these two, or reads every token without those behind it.
    """
    with _silence():
        _require_both_sides(classifier.encoder)
        return with_head(_traced(classifier.encoder), classifier)


def with_head(model: onnx.ModelProto, classifier: Classifier) -> onnx.ModelProto:
    """Return an encoder's graph with the classifier's pooling and head: logits out instead of the last states.

    `model` is changed; whichever exporter made it. Raises PlanError when the encoder needs more than tokens and their mask.
    """
    weight, bias = (p.detach().float().numpy() for p in (classifier.head.weight, classifier.head.bias))
    rewrite.drop_token_types(model)
    require_inputs(model, classifier.encoder.config.model_type)
    rewrite.fold_copies(model)
    add_head = rewrite.add_mean_head if classifier.pooling == "mean" else rewrite.add_first_token_head
    add_head(model, weight, bias)
    rewrite.strip(model)
    return model


def _traced(encoder: torch.nn.Module) -> onnx.ModelProto:
    """Return the encoder's graph: tokens, mask and, where there are any, segments in, the last states out."""
    import torch

    example = _example(encoder)
    if _has_segments(encoder):
        example[_SEGMENTS] = torch.zeros_like(example["input_ids"])
    written = io.BytesIO()
    torch.onnx.export(
        _with_tensors_only(encoder).eval(),  # the whole of it: dropout of a part left in training mode would be traced
        tuple(example.values()),
        written,
        input_names=list(example),
        output_names=[_STATES],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*example, _STATES)},
        opset_version=OPSET,
        dynamo=False,
    )
    return onnx.load_model_from_string(written.getvalue())


def _has_segments(encoder: torch.nn.Module) -> bool:
    """Say whether segments are looked up in a table, of which the first row is all that is ever used."""
    takes = _SEGMENTS in inspect.signature(encoder.forward).parameters
    return takes and any(name.endswith("token_type_embeddings") for name, _ in encoder.named_modules())


def _example(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return two texts, the second one padded: nothing that depends on padding is left out of what is traced."""
    import torch

    length = min(_EXAMPLE, position_limit(encoder) or _EXAMPLE)
    ids = torch.arange(2 * length).reshape(2, length) % encoder.config.vocab_size
    mask = torch.ones_like(ids)
    mask[1, length // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _with_tensors_only(encoder: torch.nn.Module) -> torch.nn.Module:
    """Return the encoder as a module of tensors in, one tensor out."""
    import torch

    adds_mask = encoder.config.model_type in _ADDS_MASK

    class States(torch.nn.Module):  # type: ignore[misc]  # what torch exports
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: torch.Tensor, mask: torch.Tensor, *segments: torch.Tensor) -> torch.Tensor:
            if adds_mask:
                mask = (1.0 - mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            names = dict(zip((_SEGMENTS,), segments, strict=False))
            states: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=mask, **names).last_hidden_state
            return states

    return States()


def _require_both_sides(encoder: torch.nn.Module) -> None:
    """Raise PlanError when no token's state depends on the tokens behind it: such a model was made to write texts."""
    import torch

    ids = _example(encoder)["input_ids"][:1, :4]
    other = torch.cat((ids[:, :-1], ids[:, :1]), dim=1)
    with torch.inference_mode():
        first, second = (encoder.eval()(input_ids=row).last_hidden_state[0, 0] for row in (ids, other))
    if torch.equal(first, second):
        raise PlanError(
            f"a {encoder.config.model_type} reads each token without those behind it, expected an encoder, which reads both sides"
        )


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
