"""The linear family: a bag of the tokenizer's tokens, TF-IDF weights, a linear support vector machine.

The graph looks the weights of the tokens up and adds them, so that its cost grows with the text, not with
the vocabulary. A token counts once however often it occurs; rows are scaled to length one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parsimony.data.labels import class_numbers
from parsimony.graphs import rewrite
from parsimony.training.checkpoint import bag_in_their_words, write_model
from parsimony.training.export import OPSET, compare
from parsimony.training.family import Bag, Family, Material
from parsimony.training.sentence_encoder import tokenizer_of
from parsimony.training.vocabulary import token_ids

_PENALTIES = (0.1, 0.3, 1.0, 3.0)
_PARITY_TEXTS = 32


def train(material: Material, folder: Path) -> None:
    """Write the checkpoint: the best of four penalties on the validation split, exported and checked."""
    tokenizer = tokenizer_of(material.base, max_tokens=material.max_tokens)
    size, special = _vocabulary(tokenizer)
    train_rows, validation_rows = (token_ids(tokenizer, t.texts) for t in (material.train, material.validation))
    weights = _inverse_frequency(train_rows, size, special)
    bags = _bags(train_rows, weights), _bags(validation_rows, weights)
    numbers, wanted = (class_numbers(t.labels, material.labels) for t in (material.train, material.validation))
    model, accuracy = _best(bags, numbers, wanted, material.seed)
    coefficients, bias = _both_classes(model)
    graph = _graph(weights, coefficients, bias)
    sample = slice(0, _PARITY_TEXTS)
    compare(bags[1][sample] @ coefficients.T + bias, rewrite.run(graph, validation_rows[sample]))
    width = len(material.labels)
    facts = {"architecture": "bag", "heads": 0, "hidden": width, "config": bag_in_their_words(width)}
    done = {"validation_accuracy": accuracy, "penalty": float(model.C), "trained": "all"}
    write_model(folder, graph, tokenizer, {**facts, **done})


def _vocabulary(tokenizer: str) -> tuple[int, list[int]]:
    """Return the number of tokens and the ids of special tokens, which say nothing about a text."""
    import json

    from tokenizers import Tokenizer

    special = [token["id"] for token in json.loads(tokenizer).get("added_tokens", ()) if token["special"]]
    return Tokenizer.from_str(tokenizer).get_vocab_size(with_added_tokens=True), special


def _inverse_frequency(rows: list[list[int]], size: int, special: list[int]) -> np.ndarray:
    """Return the smoothed inverse document frequency, float32 [vocabulary]; 0 for tokens that occur in no text."""
    count = np.zeros(size)
    for row in rows:
        count[list(set(row))] += 1
    weights: np.ndarray = np.where(count > 0, np.log((1 + len(rows)) / (1 + count)) + 1, 0.0)
    weights[special] = 0.0
    return weights.astype(np.float32)


def _bags(rows: list[list[int]], weights: np.ndarray) -> Any:  # scipy ships no types
    """Return the bags of tokens, sparse [texts, vocabulary], each of length one."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    unique = [sorted(set(row)) for row in rows]
    columns = np.concatenate([np.array(row, dtype=np.int64) for row in unique])
    starts = np.concatenate(([0], np.cumsum([len(row) for row in unique])))
    return normalize(csr_matrix((weights[columns], columns, starts), shape=(len(rows), len(weights))))


def _best(bags: tuple[Any, Any], numbers: np.ndarray, wanted: np.ndarray, seed: int) -> tuple[Any, float]:
    from sklearn.svm import LinearSVC

    models = [LinearSVC(C=c, random_state=seed).fit(bags[0], numbers) for c in _PENALTIES]
    scores = [float(model.score(bags[1], wanted)) for model in models]
    best = int(np.argmax(scores))
    return models[best], scores[best]


def _both_classes(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients [classes, vocabulary] and bias [classes]; scikit-learn keeps one row for two classes."""
    weight, bias = model.coef_.astype(np.float32), model.intercept_.astype(np.float32)
    if len(weight) == 1:
        weight, bias = np.concatenate((-weight, weight)), np.concatenate((-bias, bias))
    return weight, bias


def _graph(weights: np.ndarray, coefficients: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """Build the graph: sum over distinct tokens of weight x coefficient, over the length of the weights.

    A token that occurs n times is looked up n times and counts 1/n each. Padding has weight 0, so the mask is not read; it is an
    input all the same, because servers give it to every text classifier.
    """
    make = helper.make_node
    nodes = (
        make("Gather", ["tokens.coefficients", "input_ids"], ["votes"], name="votes"),
        make("Gather", ["tokens.weights", "input_ids"], ["strength"], name="strength"),
        make("Unsqueeze", ["input_ids", "axis.row"], ["row"], name="row"),
        make("Unsqueeze", ["input_ids", "axis.column"], ["column"], name="column"),
        make("Equal", ["row", "column"], ["same"], name="same"),
        make("Cast", ["same"], ["same.float"], name="same.float", to=onnx.TensorProto.FLOAT),
        make("ReduceSum", ["same.float", "axis.column"], ["times"], name="times", keepdims=1),
        make("Div", ["votes", "times"], ["shares"], name="shares"),
        make("ReduceSum", ["shares", "axis.row"], ["total"], name="total", keepdims=0),
        make("Mul", ["strength", "strength"], ["square"], name="square"),
        make("Div", ["square", "times"], ["square.share"], name="square.share"),
        make("ReduceSum", ["square.share", "axis.row"], ["square.total"], name="square.total", keepdims=0),
        make("Max", ["square.total", "tiny"], ["square.safe"], name="square.safe"),
        make("Sqrt", ["square.safe"], ["length"], name="length"),
        make("Div", ["total", "length"], ["scaled"], name="scaled"),
        make("Add", ["scaled", "bias"], ["logits"], name="logits"),
    )
    constants = {
        "tokens.coefficients": np.ascontiguousarray((coefficients * weights).T.astype(np.float32)),
        "tokens.weights": weights.reshape(-1, 1),
        "axis.row": np.array([1], dtype=np.int64),
        "axis.column": np.array([2], dtype=np.int64),
        "tiny": np.array([1e-12], dtype=np.float32),
        "bias": bias,
    }
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", len(bias)])
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "linear", rewrite.token_inputs(), [logits], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


FAMILY = Family(
    name="linear",
    train=train,
    bag=Bag(
        shapes=((),),
        chains=((), ("trim",), ("trim", "int8"), ("trim", "int4")),
        starts_from="tokenizer",
        weights=lambda _, rows, classes: (((rows, classes), (rows, 1)), ()),
        overhead={"": 610, "int8": 820, "int4": 1_150},
    ),
)
