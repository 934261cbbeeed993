"""Train a classifier with transformers' Trainer: bf16 where the processor has it, batches of like length,
early stopping on the search split, a fixed seed. The loss is cross entropy, or distillation from cached logits.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parsimony.classifier import Classifier, mean_state, pad
from parsimony.machine import has_fast_bf16

if TYPE_CHECKING:
    import torch
    import transformers

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train. `patience` counts epochs without a better search score; `temperature` is for distillation."""

    epochs: float
    learning_rate: float
    batch_size: int = 32
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    patience: int = 2
    temperature: float = 2.0
    hard_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Tokenised texts with class numbers, and the teacher's logits [texts, classes] when distilling."""

    rows: Sequence[Sequence[int]]
    targets: np.ndarray
    teacher: np.ndarray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training did: epochs run, the best search accuracy, the seconds it took."""

    epochs: float
    search_accuracy: float
    steps: int
    bf16: bool


def train(classifier: Classifier, examples: Examples, search: Examples, recipe: Recipe, seed: int) -> Trained:
    """Train the classifier in place and leave it at its best epoch on the search split."""
    import torch
    import transformers

    transformers.set_seed(seed)
    transformers.utils.logging.set_verbosity_error()
    bf16 = torch.cuda.is_available() or has_fast_bf16()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = transformers.Trainer(
            model=_network(classifier),
            args=_arguments(recipe, seed, scratch, bf16=bf16),
            train_dataset=_rows(examples),
            eval_dataset=_rows(search),
            data_collator=_collate,
            compute_loss_func=_loss(recipe),
            compute_metrics=_accuracy,
            callbacks=[transformers.EarlyStoppingCallback(recipe.patience)],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        result = trainer.train()
        best = float(trainer.state.best_metric or 0.0)
        classifier.encoder.to("cpu").eval()
        classifier.head.to("cpu").eval()
    return Trained(epochs=float(trainer.state.epoch or 0.0), search_accuracy=best, steps=result.global_step, bf16=bf16)


def _network(classifier: Classifier) -> torch.nn.Module:
    import torch

    # Dropout costs a quarter of a step on a CPU and gained nothing on the data sets tried; early stopping guards.
    for module in classifier.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0

    class Network(torch.nn.Module):  # type: ignore[misc]  # the Trainer takes a module; it holds the classifier's parts, nothing else
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = classifier.encoder, classifier.head

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"logits": self.head(mean_state(self.encoder, input_ids, attention_mask))}

    return Network()


def _arguments(recipe: Recipe, seed: int, scratch: str, *, bf16: bool) -> transformers.TrainingArguments:
    import torch
    import transformers

    return transformers.TrainingArguments(
        output_dir=scratch,
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=64,
        warmup_ratio=recipe.warmup_share,
        weight_decay=recipe.weight_decay,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        group_by_length=True,
        length_column_name="length",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        logging_strategy="no",
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )


def _rows(examples: Examples) -> Any:  # datasets ships no types
    import datasets

    columns: dict[str, list[Any]] = {
        "input_ids": [list(row) for row in examples.rows],
        "length": [len(row) for row in examples.rows],
        "labels": examples.targets.tolist(),
    }
    if examples.teacher is not None:
        columns["teacher"] = examples.teacher.tolist()
    return datasets.Dataset.from_dict(columns)


def _collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    import torch

    ids, mask = pad([row["input_ids"] for row in rows])
    labels = torch.tensor([[float(row["labels"]), *row.get("teacher", ())] for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _loss(recipe: Recipe) -> Any:
    """Return the loss: cross entropy, mixed with the teacher's soft targets (Hinton et al. 2015) where given.

    The Trainer hands labels as float [batch, 1 + classes]: the class number, then the teacher's logits.
    """
    from torch.nn import functional

    def loss(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits = outputs["logits"].float()
        hard = functional.cross_entropy(logits, labels[:, 0].long())
        if labels.shape[1] == 1:
            return hard
        t = recipe.temperature
        soft = functional.kl_div(
            functional.log_softmax(logits / t, -1), functional.softmax(labels[:, 1:] / t, -1), reduction="batchmean"
        )
        return recipe.hard_share * hard + (1 - recipe.hard_share) * t * t * soft

    return loss


def _accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids[:, 0]).mean())}
