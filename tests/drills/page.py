"""The page of the drills."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from servers_up import family, start
from tinymodels import PLAN_HEAD, tables, write_csv, write_tiny_base

from parsimony.measurement import machine
from tests.drills import aliases, cost, kills, retraining, reviews
from tests.drills.stage import MODEL, Row, Stage, after

PLAN = f"""{PLAN_HEAD.replace('"tiny"', f'"{MODEL}"')}[search]
families = ["linear"]
[gates]
margin = 0.3
slice_margin = 1.0
champion_margin = 1.0
underpowered = true
"""
_BEGIN = "Start and end"
DRILLS: dict[str, Callable[[Stage], Sequence[Row]]] = {
    "Retraining, four data sets in a row": retraining.drill,
    "Aliases and versions that somebody touches in MLflow": aliases.drill,
    "What a look costs": cost.drill,
    "A worker that is stopped for three periods": kills.missed,
    "`kill -9` of worker and flow in the middle of a training": kills.killed,
    "Reviews": reviews.drill,
}


def main(out: Path, only: Sequence[str] = ()) -> int:
    """Make the drills one after the other, and write the page after each; `only` some, by words of their names: the others' tables stay."""
    folder = Path(tempfile.mkdtemp(prefix="drills-"))
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *tables())
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    begun = time.monotonic()
    up = start(folder, "plan.toml")
    begin = [Row(what="`parsimony up` in a new home until both pages answer", shown="both answer", seconds=time.monotonic() - begun)]  # fmt: skip
    made = _tables(out) if only else {}
    made[_BEGIN] = _table(begin)
    try:
        for name, drill in DRILLS.items():
            if only and not any(word in name for word in only):
                continue
            made[name] = _table(list(drill(Stage(up=up))))
            out.write_text(_page(made), encoding="utf-8")
            sys.stderr.write(f"{name}: done\n")
    finally:
        up.process.send_signal(signal.SIGINT)
    seconds, _ = after(lambda: up.process.poll() is not None and not family(folder / "home"))
    end = Row(what="Ctrl-C until no process is left", shown=f"status {up.process.poll()}", seconds=seconds)
    made[_BEGIN] = _table([*begin, end])
    out.write_text(_page(made), encoding="utf-8")
    return 0


def _tables(page: Path) -> dict[str, str]:
    """Return the tables of a page by their headings."""
    parts = page.read_text(encoding="utf-8").split("\n## ")[1:]
    return {name: table.strip() for name, _, table in (part.partition("\n") for part in parts)}


def _table(rows: Sequence[Row]) -> str:
    cells = [
        f"| {row.what} | {_cell(row.shown)} | {'' if row.seconds is None else round(row.seconds)} |" for row in rows
    ]
    return "\n".join(["| what | result | seconds |", "|---|---|---:|", *cells])


def _page(tables_of: dict[str, str]) -> str:
    here = machine.environment(1)
    begin = (
        "The drills of `make drill`: `parsimony up` with real servers, a real worker and real searches of a tiny model, while something goes wrong. "
        f"{here.cpu}, {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f}, {datetime.now(UTC):%Y-%m-%d}; on a quiet machine everything takes less."
    )
    order = [_BEGIN, *DRILLS]
    parts = [f"## {name}\n\n{tables_of[name]}" for name in sorted(tables_of, key=order.index)]
    return "\n\n".join(["# Operation, tried", begin, *parts]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
