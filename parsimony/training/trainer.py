"""Train a classifier with transformers' Trainer: bf16 where the processor has it, batches of like length,
early stopping on the validation split, a fixed seed. The loss is cross entropy, or distillation from a teacher's cached
logits and states.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parsimony.runtimes.cpu import has_fast_bf16
from parsimony.training import last_epoch, qat
from parsimony.training.classifier import Classifier, pooled_state
from parsimony.training.examples import Examples, collator_of, lessons_of, rows_of
from parsimony.training.resumption import KEPT, Progress, progress, saving
from parsimony.training.sampler import LengthGroups
from parsimony.training.threads import Threads, chosen_between_epochs, suited

if TYPE_CHECKING:
    import torch
    import transformers


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train. `patience` counts epochs without a better validation score.

    Distilling: the last `rounded_share` of the steps runs with weights rounded to 4 bits; `temperature` softens both
    predictions, `hard_share` is the weight of the label beside the teacher's prediction, `state_weight` that of the
    distance to the teacher's state, in units of that state's variance.
    """

    epochs: float
    learning_rate: float
    batch_size: int = 32
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    patience: int = 2
    temperature: float = 2.0
    hard_share: float = 0.2
    state_weight: float = 1.0
    rounded_share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training did: epochs and steps run, the accuracy of what it left on the validation split."""

    epochs: float
    validation_accuracy: float
    steps: int
    bf16: bool


def train(
    classifier: Classifier,
    examples: Examples,
    validation: Examples,
    recipe: Recipe,
    seed: int,
    place: Path | None = None,
) -> Trained:
    """Train the classifier in place.

    It is left at its last epoch, unless an earlier one was better on the validation split beyond noise; when distilling, at the last one with its weights rounded to 4 bits,
    because the teacher's predictions keep a student from overfitting and few validation texts say little about which epoch is best.
    Checkpoints are saved in `place`, from which the same training goes on when it was killed: with the same weights in the end.
    """
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory())) if place is None else place.resolve()
        threads = stack.enter_context(suited())
        past = progress(scratch)
        training = _Training(
            recipe=recipe, seed=seed, scratch=scratch, past=past, kept=place is not None, threads=threads
        )
        return _train(classifier, examples, validation, training)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Training:
    """A training: its recipe and seed, the folder it writes to, how far it came before, whether it can go on from there, its threads."""

    recipe: Recipe
    seed: int
    scratch: Path
    past: Progress | None
    kept: bool
    threads: Threads

    @property
    def epochs(self) -> float:
        """How many epochs there are: those until now, when early stopping had ended it."""
        ended = self.past is not None and self.past.without_gain >= self.recipe.patience
        return self.past.epochs if self.past is not None and ended else self.recipe.epochs


def _train(classifier: Classifier, examples: Examples, validation: Examples, training: _Training) -> Trained:
    import torch
    import transformers

    transformers.set_seed(training.seed)
    transformers.utils.logging.set_verbosity_error()
    bf16 = torch.cuda.is_available() or has_fast_bf16()
    network, distils = _network(classifier), examples.teacher is not None
    trainer = _trainer_of(examples, training)(
        model=network,
        args=_arguments(training, bf16=bf16, distils=distils),
        train_dataset=rows_of(examples, 0),
        eval_dataset=rows_of(validation, len(examples.rows)),
        data_collator=collator_of(np.concatenate((lessons_of(examples), lessons_of(validation)))),
        compute_loss_func=loss_of(training.recipe, examples),
        compute_metrics=_accuracy,
        callbacks=_callbacks(network, training, len(examples.rows), distils=distils),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    result = trainer.train(resume_from_checkpoint=None if training.past is None else str(training.past.folder))
    if distils:
        qat.round_weights(qat.stored_in_few_bits(network))
        trainer.evaluate()
    accuracy = (
        last_epoch.accuracy_of(trainer.state) if distils else last_epoch.left_at(trainer, network, len(validation.rows))
    )
    classifier.encoder.to("cpu").eval()
    classifier.head.to("cpu").eval()
    return Trained(
        epochs=float(trainer.state.epoch or 0.0), validation_accuracy=accuracy, steps=result.global_step, bf16=bf16
    )


def _callbacks(
    network: torch.nn.Module, training: _Training, rows: int, *, distils: bool
) -> list[transformers.TrainerCallback]:
    """Return what rounds the weights when distilling, else what stops early; what chooses threads; what saves where it can go on."""
    import transformers

    recipe = training.recipe
    if distils:
        callbacks = [qat.in_the_last_steps(network, recipe.rounded_share)]
    else:
        stopping = transformers.EarlyStoppingCallback(recipe.patience)
        stopping.early_stopping_patience_counter = 0 if training.past is None else training.past.without_gain
        callbacks = [stopping]
    callbacks.append(chosen_between_epochs(training.threads))
    return [*callbacks, saving(-(-rows // recipe.batch_size))] if training.kept else callbacks


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
            states = pooled_state(self.encoder, input_ids, attention_mask, classifier.pooling)
            logits = self.head(states)
            return {"logits": logits, "states": states} if self.training else {"logits": logits}

    return Network()


def _arguments(training: _Training, *, bf16: bool, distils: bool) -> transformers.TrainingArguments:
    import torch
    import transformers

    recipe, seed = training.recipe, training.seed
    return transformers.TrainingArguments(
        output_dir=str(training.scratch),
        num_train_epochs=training.epochs,
        learning_rate=recipe.learning_rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=64,
        warmup_steps=recipe.warmup_share,
        weight_decay=recipe.weight_decay,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        data_seed=seed,
        eval_strategy="no" if distils else "epoch",
        save_strategy="no" if distils else "epoch",
        save_only_model=not training.kept,
        save_total_limit=KEPT if training.kept else 2,  # the best epoch and the last
        load_best_model_at_end=not distils,
        metric_for_best_model="accuracy",
        logging_strategy="no",
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )


def _trainer_of(examples: Examples, training: _Training) -> type[transformers.Trainer]:
    """Return a Trainer that takes the examples in batches of like length, in the order of the epochs that are left."""
    import torch
    import transformers

    class Trainer(transformers.Trainer):  # type: ignore[misc]  # the way that transformers offers to batch otherwise
        def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
            batches = LengthGroups(
                lengths=[len(row) for row in examples.rows],
                batch_size=training.recipe.batch_size,
                rng=np.random.default_rng(training.seed),
            )
            for _ in range(0 if training.past is None else training.past.steps // len(batches)):
                list(batches)  # the Trainer skips the batches of the epoch it goes on with; whole epochs are drawn here
            return torch.utils.data.DataLoader(self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator)

    return Trainer


def loss_of(recipe: Recipe, examples: Examples) -> Any:
    """Return the loss: cross entropy, mixed with the teacher's soft predictions (Hinton et al. 2015) and state where given.

    The Trainer hands labels as float [batch, 1 + classes + hidden]: the class number, the teacher's logits, its state.
    """
    from torch.nn import functional

    variance = 1.0 if examples.teacher is None else max(float(examples.teacher.states.var(0).mean()), 1e-12)

    def loss(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits = outputs["logits"].float()
        hard = functional.cross_entropy(logits, labels[:, 0].long())
        if labels.shape[1] == 1 or "states" not in outputs:
            return hard
        classes, t = logits.shape[1], recipe.temperature
        wanted, states = labels[:, 1 : 1 + classes], labels[:, 1 + classes :]
        soft = functional.kl_div(
            functional.log_softmax(logits / t, -1), functional.softmax(wanted / t, -1), reduction="batchmean"
        )
        state_distance = functional.mse_loss(outputs["states"].float(), states) / variance
        return recipe.hard_share * hard + (1 - recipe.hard_share) * t * t * soft + recipe.state_weight * state_distance

    return loss


def _accuracy(prediction: Any) -> dict[str, float]:
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids[:, 0]).mean())}
