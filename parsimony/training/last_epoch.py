"""At which epoch a fine-tuned network is left: the last one, unless an earlier one was better beyond noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    import transformers


def left_at(trainer: transformers.Trainer, network: torch.nn.Module, rows: int) -> float:
    """Leave the network at its last epoch where the best one of `rows` texts is not better beyond noise; return its accuracy.

    The best of several epochs on one split looks better there than it is, and it is the reference that every candidate is
    compared with on the same split. With the rule of one standard error (Breiman et al. 1984) luck hardly chooses any more;
    the last epoch, nearest to the end of the schedule, is rarely the worse one.
    """
    from safetensors.torch import load_file

    state = trainer.state
    best, last = accuracy_of(state), _accuracy_at(state, state.global_step)
    if state.best_global_step in (None, state.global_step) or not within_noise(last, best, rows):
        return best
    folder = Path(str(trainer.args.output_dir)) / f"checkpoint-{state.global_step}"
    network.load_state_dict(load_file(str(folder / "model.safetensors")))
    return last


def within_noise(last: float, best: float, rows: int) -> bool:
    """Say whether an accuracy lies at most one standard error of the best one below it; `rows` texts gave both."""
    return last >= best - float((best * (1 - best) / rows) ** 0.5)


def accuracy_of(state: Any) -> float:
    """Return the accuracy of the epoch that the Trainer kept: the best one, or the last where it keeps none."""
    return _accuracy_at(state, int(state.best_global_step or state.global_step))


def _accuracy_at(state: Any, step: int) -> float:
    key = "eval_accuracy"
    return {entry["step"]: float(entry[key]) for entry in state.log_history if key in entry}.get(step, 0.0)
