"""A training that was killed goes on from its last checkpoint: the Trainer's own, saved every few minutes, with a manifest written last.

A checkpoint without a sound manifest was cut off and is not used.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parsimony.files import is_complete, write_manifest

if TYPE_CHECKING:
    import transformers

SAVE_EVERY_S = 180.0
# The best epoch, the last whole checkpoint, and the one that is being written.
KEPT = 3
_PREFIX, _STATE, _ACCURACY = "checkpoint-", "trainer_state.json", "eval_accuracy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training came: its checkpoint, the steps and epochs until then, and the epochs since its best one."""

    folder: Path
    steps: int
    epochs: float
    without_gain: int


def progress(place: Path) -> Progress | None:
    """Return how far the training in this place came; None where it starts anew. Checkpoints that were cut off are removed."""
    for folder in sorted(place.glob(f"{_PREFIX}*"), key=_number, reverse=True):
        if is_complete(folder) and (known := _read(folder)) is not None:
            return known
        shutil.rmtree(folder, ignore_errors=True)
    return None


def _number(folder: Path) -> int:
    return int(folder.name.removeprefix(_PREFIX)) if folder.name.removeprefix(_PREFIX).isdigit() else -1


def _read(folder: Path) -> Progress | None:
    """Read a checkpoint; None when the best epoch is elsewhere or unsound: the Trainer would go on without it."""
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    best = state["best_model_checkpoint"]
    if best is not None and (Path(best).parent != folder.parent or not is_complete(Path(best))):
        return None
    accuracies = [entry[_ACCURACY] for entry in state["log_history"] if _ACCURACY in entry]
    since = len(accuracies) - 1 - accuracies.index(max(accuracies)) if accuracies else 0
    return Progress(folder=folder, steps=int(state["global_step"]), epochs=float(state["epoch"]), without_gain=since)


def saving(steps_an_epoch: int) -> transformers.TrainerCallback:
    """Return what makes the Trainer save every few minutes, and vouch for what it saved."""
    import transformers

    class Saving(transformers.TrainerCallback):  # type: ignore[misc]  # the Trainer calls its subclasses only
        def __init__(self) -> None:
            self.saved_at = time.monotonic()

        def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
            # At the end of an epoch the Trainer evaluates first and saves then; a checkpoint from between would skip that.
            if time.monotonic() - self.saved_at >= SAVE_EVERY_S and state.global_step % steps_an_epoch:
                control.should_save = True

        def on_save(self, arguments: Any, state: Any, _: Any, **__: Any) -> None:
            write_manifest(Path(arguments.output_dir) / f"{_PREFIX}{state.global_step}", {"step": state.global_step})
            self.saved_at = time.monotonic()

    return Saving()
