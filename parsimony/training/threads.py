"""How many threads torch trains with: as many as other programs leave cores for, chosen again between epochs.

The threads of a step wait for the slowest of them. One of two that shares its core with another program makes every matrix
product wait for it, and training many times slower than on one core alone.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parsimony.runtimes import cores

if TYPE_CHECKING:
    import transformers

log = logging.getLogger("parsimony.progress")

_FIRST_LOOK_S, _NEXT_LOOK_S = 0.2, 5.0


@dataclass(slots=True)
class Threads:
    """The threads of torch in a block: at most as many as it had before, and what the cores did until the last choice."""

    most: int
    before: cores.Reading | None = None

    def choose(self, after_s: float) -> None:
        """Let torch run as many threads as fit beside what others did since the last choice, if so many seconds have passed."""
        import torch

        if self.most < 2 or (now := cores.reading()) is None:
            return
        if self.before is not None and now.at_s - self.before.at_s < after_s:
            return
        busy = 0.0 if self.before is None else cores.busy_cores(self.before, now)
        self.before, available = now, len(now.busy_s)
        chosen = cores.threads_beside(busy, self.most, available)
        if chosen != torch.get_num_threads():
            detail = f"with {chosen} of {self.most} threads: other programs keep {busy:.1f} of {available} cores busy"
            log.info("train %s", detail, extra={"stage": "train", "detail": detail})
            torch.set_num_threads(chosen)


@contextlib.contextmanager
def suited() -> Iterator[Threads]:
    """Let torch run as many threads as other programs leave cores for, within the block; what it had before is the most.

    The number decides in which order numbers are added up, and so the last digits of weights: OMP_NUM_THREADS=1 fixes it.
    """
    import torch

    # Where a GPU does the sums there is nothing to choose.
    most = 1 if torch.cuda.is_available() else min(torch.get_num_threads(), cores.usable_threads())
    threads = Threads(most=most)
    had = torch.get_num_threads()
    if threads.most > 1:
        threads.before = cores.reading()
        time.sleep(_FIRST_LOOK_S)
        threads.choose(0.0)
    try:
        yield threads
    finally:
        torch.set_num_threads(had)


def chosen_between_epochs(threads: Threads) -> transformers.TrainerCallback:
    """Return what makes the Trainer choose the number of threads anew after an epoch."""
    import transformers

    class Choosing(transformers.TrainerCallback):  # type: ignore[misc]  # the Trainer calls its subclasses only
        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            threads.choose(_NEXT_LOOK_S)

    return Choosing()
