"""Follow a run: a live line with stage, candidate and time left on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from parsimony.reporting.formatting import duration, printable

_LOGGER = "parsimony"
_COLUMNS = 100  # of a table that goes to a file or a pipe


@dataclass(slots=True)
class Follower:
    """Turns progress records into what a person reads; `live` is None where nobody watches."""

    console: Console
    live: Live | None
    begun: float = field(default_factory=time.monotonic)
    stage: str = ""

    def show(self, record: logging.LogRecord) -> None:
        """Show one record: a stage that ends becomes a line, the present one the live line."""
        stage, detail = getattr(record, "stage", ""), getattr(record, "detail", record.getMessage())
        left_s = getattr(record, "left_s", None)
        if self.live is None:
            self.console.print(self._line(stage, detail, left_s), highlight=False, soft_wrap=True, markup=False)
            return
        if stage != self.stage:
            self.live.console.print(Text(f"{self._clock()}  {stage}", style="bold"))
            self.stage = stage
        self.live.update(
            Spinner("dots", text=Text(self._line(stage, detail, left_s), overflow="ellipsis", no_wrap=True))
        )

    def _line(self, stage: str, detail: str, left_s: float | None) -> str:
        left = "" if left_s is None else f"  (about {duration(left_s)} left)"
        return printable(f"{self._clock()}  {stage:<9} {detail}{left}")

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        return f"{minutes:02d}:{seconds:02d}"


@contextlib.contextmanager
def following() -> Iterator[None]:
    """Show the progress of the run in this block on standard error."""
    console = Console(stderr=True)
    live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None
    follower = Follower(console=console, live=live)
    handler = logging.Handler(logging.INFO)
    handler.emit = follower.show  # type: ignore[method-assign]  # a handler is one function; no class is needed for it
    logger = logging.getLogger(_LOGGER)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with live or contextlib.nullcontext():
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print a table whose first row is the header on standard output; what stands in the first column is never broken."""
    table = Table(*rows[0], box=None, header_style="bold", pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows[1:]:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _COLUMNS).print(table)
