"""What a trained trunk looks like on disk, and the steps that all transformer trunks share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from parsimony import factorised
from parsimony.classifier import Classifier, features, load, narrow, padding_position, save, widen
from parsimony.contracts import Draft, Material
from parsimony.export import check_parity, export
from parsimony.pruning import kept_heads
from parsimony.records import Table
from parsimony.training import Examples, Recipe, Teacher, train
from parsimony.vocabulary import CannotTrimError, Trimmed, token_ids, trim

MODEL, TOKENIZER, FACTS, WEIGHTS, TEACHER = "model.onnx", "tokenizer.json", "trunk.json", "weights", "teacher.npz"
_PARITY_TEXTS = 32


def class_numbers(table: Table, labels: tuple[str, ...]) -> np.ndarray:
    """Return each row's class as a number, int64 [rows]."""
    number = {label: i for i, label in enumerate(labels)}
    return np.array([number[label] for label in table.labels], dtype=np.int64)


def frozen_head(classifier: Classifier, material: Material) -> float:
    """Fit the linear head on the frozen features and return its accuracy on the search split.

    Features are scaled to unit variance for the solver and the scale is folded back into the head.
    """
    from sklearn.linear_model import LogisticRegression

    table = features(classifier, token_ids(classifier.tokenizer, material.train.texts))
    search = features(classifier, token_ids(classifier.tokenizer, material.search.texts))
    numbers, wanted = (class_numbers(t, material.labels) for t in (material.train, material.search))
    scale = 1.0 / max(float(table.std()), 1e-12)
    model = LogisticRegression(C=1.0, max_iter=200).fit(table * scale, numbers)
    weight, bias = np.asarray(model.coef_) * scale, np.asarray(model.intercept_)
    if len(material.labels) == 2:  # scikit-learn keeps one row for two classes; logits need both
        weight, bias = np.concatenate((-weight, weight)) / 2, np.concatenate((-bias, bias)) / 2
    set_head(classifier, weight, bias)
    return float(((search @ weight.T + bias).argmax(1) == wanted).mean())


def set_head(classifier: Classifier, weight: np.ndarray, bias: np.ndarray) -> None:
    """Give the head its weight [classes, hidden] and bias [classes]."""
    import torch

    classifier.head.weight.data = torch.from_numpy(np.ascontiguousarray(weight, dtype=np.float32))
    classifier.head.bias.data = torch.from_numpy(np.ascontiguousarray(bias, dtype=np.float32))


def fit(classifier: Classifier, material: Material, recipe: Recipe, teacher: Path | None = None) -> dict[str, object]:
    """Train in place and return what happened; `teacher` is the trunk to learn from when distilling.

    Only the embedding rows of tokens seen in training are trained: the others have no gradient, so leaving them out
    spares them the weight decay and the run much time. They are put back afterwards, as they were.
    """
    trimmed = _needed(classifier, material.train.texts)
    original = factorised.table_of(classifier.encoder).weight.data.clone()
    narrow(classifier, trimmed)
    lessons = (None, None) if teacher is None else read_teacher(teacher)
    examples, search = (
        Examples(
            rows=token_ids(trimmed.tokenizer, table.texts),
            targets=class_numbers(table, material.labels),
            teacher=lesson,
        )
        for table, lesson in zip((material.train, material.search), lessons, strict=True)
    )
    done = train(classifier, examples, search, recipe, material.seed)
    widen(classifier, trimmed.kept, original)
    return {"epochs": done.epochs, "steps": done.steps, "search_accuracy": done.search_accuracy, "bf16": done.bf16}


def _needed(classifier: Classifier, texts: tuple[str, ...]) -> Trimmed:
    """Return the tokenizer and the embedding rows to train with: all of them where trimming is not possible."""
    try:
        trimmed = trim(classifier.tokenizer, texts)
    except CannotTrimError:
        return _all_rows(classifier)
    start = padding_position(classifier.encoder)
    moved = start is not None and (start >= len(trimmed.kept) or trimmed.kept[start] != start)
    return _all_rows(classifier) if moved else trimmed


def _all_rows(classifier: Classifier) -> Trimmed:
    rows = len(factorised.table_of(classifier.encoder).weight)
    every = tuple(range(rows))
    return Trimmed(tokenizer=classifier.tokenizer, kept=every, seen=every, rows=every)


def write_trunk(folder: Path, classifier: Classifier, material: Material, facts: Mapping[str, object]) -> None:
    """Write weights, the graph exported from these weights (checked against the trained model) and the facts."""
    save(classifier, _made(folder / WEIGHTS))
    model = export(load(folder / WEIGHTS))
    sample = token_ids(classifier.tokenizer, material.search.texts[:_PARITY_TEXTS])
    check_parity(model, classifier, sample)
    config = classifier.encoder.config
    heads = kept_heads(classifier.encoder)
    shape = {
        "architecture": config.model_type,
        "heads": heads,
        "hidden": int(config.hidden_size) // int(config.num_attention_heads) * heads,
        "layers": int(config.num_hidden_layers),
    }
    write_model(folder, model, classifier.tokenizer, {**shape, **facts})


def write_model(folder: Path, model: onnx.ModelProto, tokenizer: str, facts: Mapping[str, object]) -> None:
    """Write what every trunk has: graph, tokenizer, facts."""
    (folder / MODEL).write_bytes(model.SerializeToString())
    (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    (folder / FACTS).write_text(json.dumps(dict(facts), indent=1, sort_keys=True), encoding="utf-8")


def write_teacher(folder: Path, classifier: Classifier, material: Material) -> None:
    """Keep the mean states of the training and the search texts, and the head that reads them, for students."""
    weight, bias = (p.detach().float().numpy() for p in (classifier.head.weight, classifier.head.bias))
    train, search = (
        features(classifier, token_ids(classifier.tokenizer, table.texts))
        for table in (material.train, material.search)
    )
    np.savez(folder / TEACHER, weight=weight, bias=bias, train=train, search=search)


def read_teacher(folder: Path) -> tuple[Teacher, Teacher]:
    """Read what the teacher made of the training and of the search texts."""
    with np.load(folder / TEACHER, allow_pickle=False) as kept:
        states, weight, bias = (kept["train"], kept["search"]), kept["weight"], kept["bias"]
    train, search = (Teacher(logits=of @ weight.T + bias, states=of) for of in states)
    return train, search


def draft_of(folder: Path, texts: tuple[str, ...]) -> Draft:
    """Read a trunk as the draft that techniques start from."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return Draft(
        graph=onnx.load_model_from_string((folder / MODEL).read_bytes()),
        tokenizer=(folder / TOKENIZER).read_text(encoding="utf-8"),
        architecture=str(facts["architecture"]),
        heads=int(facts["heads"]),
        hidden=int(facts["hidden"]),
        texts=texts,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
