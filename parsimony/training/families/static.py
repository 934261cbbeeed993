"""The static family: a vector a token, their mean and a linear layer, distilled from the reference.

A token starts as what the reference makes of it alone, in the directions that matter most in the training texts, and
frequent tokens count less (Model2Vec: van Dongen and Tulkens 2024; Arora et al. 2017, SIF). Then the table learns the
reference's predictions and states as a student does. There are no layers: a text costs as many additions as it has tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from parsimony.data.labels import class_numbers
from parsimony.graphs import rewrite
from parsimony.training import qat
from parsimony.training.checkpoint import WEIGHTS, bag_in_their_words, write_model
from parsimony.training.classifier import Classifier, features, load
from parsimony.training.examples import Examples, Teacher, lessons_of
from parsimony.training.export import OPSET, compare
from parsimony.training.family import Bag, Family, Material, Sizes
from parsimony.training.teacher import classes_of, passes, read_teacher
from parsimony.training.trainer import Recipe, loss_of
from parsimony.training.vocabulary import token_ids

if TYPE_CHECKING:
    import torch

_LETTER = "E"
_SMOOTHING = 1e-3
_PASSES, _LEARNING_RATE, _ROUNDED_SHARE = 3, 5e-3, 0.2
_PARITY_TEXTS = 32


def train(material: Material, folder: Path) -> None:
    """Write the checkpoint: the table, started from the reference and trained on its predictions, as a graph."""
    if material.start is None:
        raise ValueError("a static model starts from the reference, found none")
    reference = load(material.start / WEIGHTS)
    rows, others = (token_ids(reference.tokenizer, t) for t in (material.texts, material.validation.texts))
    known = sorted({token for row in rows for token in row})
    learned, held_out = _compact(rows, known), _compact(others, known)
    width = width_in(material.spec.shape)
    start = _start(_vectors(reference, known), _frequencies(learned, len(known)), width)
    wanted = class_numbers(material.validation.labels, material.labels)
    lesson, _ = read_teacher(material.start)
    settings = material.settings
    recipe = Recipe(
        epochs=passes(material, settings.student_epochs * _PASSES),
        learning_rate=_LEARNING_RATE,
        batch_size=settings.batch_size,
    )
    examples = Examples(rows=learned, targets=classes_of(material, lesson), teacher=lesson)
    table, head = _fit(start, examples, lesson, recipe, material.seed)
    weight, bias = (part.detach().numpy() for part in (head.weight, head.bias))
    logits = np.stack([table[row].mean(0) if row else np.zeros(width) for row in held_out]) @ weight.T + bias
    graph = _graph(_spread(table, known, len(reference.encoder.get_input_embeddings().weight)), weight, bias)
    compare(logits[:_PARITY_TEXTS], rewrite.run(graph, others[:_PARITY_TEXTS]))
    facts = {"architecture": "bag", "heads": 0, "hidden": width, "config": bag_in_their_words(width)}
    accuracy = float((logits.argmax(1) == wanted).mean())
    done = {"validation_accuracy": accuracy, "trained": "distilled", "epochs": recipe.epochs}
    write_model(folder, graph, reference.tokenizer, {**facts, **done})


def width_in(shape: tuple[str, ...]) -> int:
    """Return e of the shape ("Ee",)."""
    return int(shape[0].removeprefix(_LETTER))


def _compact(rows: Sequence[Sequence[int]], known: Sequence[int]) -> list[list[int]]:
    """Return tokenised texts with known tokens numbered from 0; all others get the number behind them."""
    number = {token: place for place, token in enumerate(known)}
    return [[number.get(token, len(known)) for token in row] for row in rows]


def _vectors(reference: Classifier, tokens: Sequence[int]) -> np.ndarray:
    """Return the reference's mean state of each token alone, between the special tokens, float32 [tokens, hidden]."""
    ends = token_ids(reference.tokenizer, [""])[0]
    middle = (len(ends) + 1) // 2
    return features(reference, [[*ends[:middle], token, *ends[middle:]] for token in tokens])


def _frequencies(rows: Sequence[Sequence[int]], count: int) -> np.ndarray:
    occurrences = Counter(token for row in rows for token in row)
    counts = np.array([occurrences[token] for token in range(count)], dtype=np.float64)
    shares: np.ndarray = counts / counts.sum()
    return shares


def _start(vectors: np.ndarray, shares: np.ndarray, width: int) -> np.ndarray:
    """Return a row a token in the directions that vary most in the texts, float32 [tokens + 1, width].

    The last row, of all tokens that no training text holds, is zero.
    """
    centered = vectors - shares @ vectors
    _, _, directions = np.linalg.svd(centered * np.sqrt(shares)[:, None], full_matrices=False)
    rows = np.zeros((len(vectors) + 1, width), dtype=np.float32)
    directions = directions[:width]
    rows[:-1, : len(directions)] = centered @ directions.T * (_SMOOTHING / (_SMOOTHING + shares))[:, None]
    scaled: np.ndarray = rows / (rows[:-1].std() or 1.0)
    return scaled


def _fit(
    start: np.ndarray, examples: Examples, teacher: Teacher, recipe: Recipe, seed: int
) -> tuple[np.ndarray, torch.nn.Linear]:
    """Return the trained table and head; towards the end they are rounded to 4 bits, as they will be stored."""
    import torch

    lessons, loss = torch.from_numpy(lessons_of(examples)), loss_of(recipe, examples)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Linear(start.shape[1], teacher.logits.shape[1])
        states = torch.nn.Linear(start.shape[1], teacher.states.shape[1])
    table = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(start), freeze=False, mode="mean")
    parameters = [*table.parameters(), *head.parameters(), *states.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    stored, batches = (table.weight, head.weight), _batches(len(examples.rows), recipe, seed)
    for step, chosen in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * (1 - step / len(batches))
        whole = [weight.data for weight in stored]
        if step >= (1 - _ROUNDED_SHARE) * len(batches):
            qat.round_weights(stored)
        means = table(*_joined([examples.rows[place] for place in chosen]))
        optimiser.zero_grad()
        loss({"logits": head(means), "states": states(means)}, lessons[chosen]).backward()
        for weight, before in zip(stored, whole, strict=True):
            weight.data = before
        optimiser.step()
    qat.round_weights(stored)
    trained: np.ndarray = table.weight.detach().numpy()
    return trained, head


def _batches(count: int, recipe: Recipe, seed: int) -> list[np.ndarray]:
    """Return the places of the texts of every step, each pass in another order."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(count) for _ in range(max(1, round(recipe.epochs)))]
    return [part for order in orders for part in np.array_split(order, max(1, count // recipe.batch_size))]


def _joined(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens of some texts behind one another, and where each text begins."""
    import torch

    starts = np.cumsum([0, *(len(row) for row in rows[:-1])])
    return torch.tensor([token for row in rows for token in row]), torch.from_numpy(starts)


def _spread(table: np.ndarray, known: Sequence[int], vocabulary: int) -> np.ndarray:
    """Return a row for every token of the vocabulary, from those of the known ones and the last, of all others."""
    rows = np.repeat(table[-1:], vocabulary, axis=0)
    rows[list(known)] = table[:-1]
    return rows


def _graph(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """Return the graph: the mean of the rows of a text's tokens, times a matrix [classes, width]."""
    states = helper.make_tensor_value_info("states", onnx.TensorProto.FLOAT, ["batch", "tokens", rows.shape[1]])
    nodes = [helper.make_node("Gather", ["tokens", "input_ids"], ["states"], name="states")]
    graph = helper.make_graph(
        nodes, "static", rewrite.token_inputs(), [states], [numpy_helper.from_array(rows, "tokens")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    rewrite.add_mean_head(model, weight, bias)
    return model


def _weights(shape: tuple[str, ...], rows: int, classes: int) -> tuple[Sizes, Sizes]:
    """Return the sizes of the tables and of the matrices."""
    width = width_in(shape)
    return ((rows, width),), ((width, classes),)


FAMILY = Family(
    name="static",
    train=train,
    bag=Bag(
        shapes=((f"{_LETTER}32",), (f"{_LETTER}64",), (f"{_LETTER}128",)),
        chains=(("trim",), ("trim", "int4"), ("int4",)),
        starts_from="reference",
        weights=_weights,
        overhead={"": 430, "int4": 1_530},
    ),
)
