"""What a checkpoint looks like on disk, and the steps that all transformer checkpoints share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from parsimony.errors import PlanError
from parsimony.training.base_files import first_line
from parsimony.training.classifier import Classifier, load, padding_position, position_limit, save
from parsimony.training.export import check_parity, export
from parsimony.training.family import Material
from parsimony.training.layer_parts import kept_heads
from parsimony.training.vocabulary import token_ids

if TYPE_CHECKING:
    import torch

MODEL, TOKENIZER, FACTS, WEIGHTS = "model.onnx", "tokenizer.json", "checkpoint.json", "weights"
_PARITY_TEXTS = 32


def write_checkpoint(folder: Path, classifier: Classifier, material: Material, facts: Mapping[str, object]) -> None:
    """Write weights, the graph exported from these weights (checked against the trained model) and the facts."""
    save(classifier, _made(folder / WEIGHTS))
    try:
        model = graph_of(load(folder / WEIGHTS))
    except PlanError as error:
        raise PlanError(f"base {material.spec.base!r} cannot be used: {error}") from error
    sample = token_ids(classifier.tokenizer, material.validation.texts[:_PARITY_TEXTS])
    check_parity(model, classifier, sample)
    config = classifier.encoder.config
    heads = kept_heads(classifier.encoder)
    shape = {
        "architecture": config.model_type,
        "heads": heads,
        "hidden": int(config.hidden_size) // int(config.num_attention_heads) * heads,
        "layers": int(config.num_hidden_layers),
    }
    about = in_transformers_words(classifier.encoder, classifier.tokenizer)
    write_model(folder, model, classifier.tokenizer, {**shape, **facts, "config": about})


def in_transformers_words(encoder: torch.nn.Module, tokenizer: str) -> dict[str, object]:
    """Return what a bundle's `config.json` says of a classifier on this encoder; its weights need not be allocated.

    As many positions as the tokenizer keeps tokens, and those before the first one (RoBERTa counts from its padding token).
    """
    config, first = encoder.config, padding_position(encoder)
    truncation = json.loads(tokenizer).get("truncation")
    kept = truncation["max_length"] if truncation else position_limit(encoder)
    return {
        "architectures": [f"{type(encoder).__name__.removesuffix('Model')}ForSequenceClassification"],
        "model_type": str(config.model_type),
        "hidden_size": int(config.hidden_size),
        "num_hidden_layers": int(config.num_hidden_layers),
        "num_attention_heads": kept_heads(encoder),
        "max_position_embeddings": (kept or 0) + (0 if first is None else first + 1),
    }


def bag_in_their_words(width: int) -> dict[str, object]:
    """Return what a bundle's `config.json` says of a bag of tokens with so many numbers each; transformers has no such model."""
    return {
        "architectures": ["BagOfTokensForSequenceClassification"],
        "model_type": "bag-of-tokens",
        "hidden_size": width,
        "num_hidden_layers": 0,
        "num_attention_heads": 0,
    }


def graph_of(classifier: Classifier) -> onnx.ModelProto:
    """Return the classifier as a graph; raise PlanError, one line without the base's name, when none can be made."""
    try:
        return export(classifier)
    except (PlanError, ImportError, OSError, MemoryError):
        raise
    except Exception as error:  # tracing an unknown architecture raises anything
        kind = classifier.encoder.config.model_type
        raise PlanError(f"a {kind} cannot be exported to ONNX: {first_line(error)}; take another base") from error


def write_model(folder: Path, model: onnx.ModelProto, tokenizer: str, facts: Mapping[str, object]) -> None:
    """Write what every checkpoint has: graph, tokenizer, facts."""
    (folder / MODEL).write_bytes(model.SerializeToString())
    (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    (folder / FACTS).write_text(json.dumps(dict(facts), indent=1, sort_keys=True), encoding="utf-8")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
