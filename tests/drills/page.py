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
DRILLS: dict[str, Callable[[Stage], Sequence[Row]]] = {
    "Retraining, four data sets in a row": retraining.drill,
    "Aliases and versions that somebody touches in MLflow": aliases.drill,
    "What a look costs": cost.drill,
    "A worker that is stopped for three periods": kills.missed,
    "`kill -9` of worker and flow in the middle of a training": kills.killed,
    "Reviews": reviews.drill,
}


def main(out: Path) -> int:
    """Make the drills one after the other, and write the page after each."""
    folder = Path(tempfile.mkdtemp(prefix="drills-"))
    write_tiny_base(folder / "base")
    write_csv(folder / "train.csv", *tables())
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    begun = time.monotonic()
    up = start(folder, "plan.toml")
    tables_of = {"Start and end": [Row(what="`parsimony up` in a new home until both pages answer", shown="both answer", seconds=time.monotonic() - begun)]}  # fmt: skip
    try:
        for name, drill in DRILLS.items():
            tables_of[name] = list(drill(Stage(up=up)))
            out.write_text(_page(tables_of), encoding="utf-8")
            sys.stderr.write(f"{name}: {len(tables_of[name])} rows\n")
    finally:
        up.process.send_signal(signal.SIGINT)
    seconds, _ = after(lambda: up.process.poll() is not None and not family(folder / "home"))
    tables_of["Start and end"].append(Row(what="Ctrl-C until no process is left", shown=f"status {up.process.poll()}", seconds=seconds))  # fmt: skip
    out.write_text(_page(tables_of), encoding="utf-8")
    return 0


def _page(tables_of: dict[str, list[Row]]) -> str:
    here = machine.environment(1)
    lines = [
        "# Operation, tried",
        "",
        "The drills of `make drill`: `parsimony up` with real servers, a real worker and real searches of a tiny model, while something goes wrong. "
        f"{here.cpu}, {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f}, {datetime.now(UTC):%Y-%m-%d}; on a quiet machine everything takes less.",
        "",
    ]
    for name, rows in tables_of.items():
        lines += [f"## {name}", "", "| what | result | seconds |", "|---|---|---:|"]
        lines += [
            f"| {row.what} | {_cell(row.shown)} | {'' if row.seconds is None else round(row.seconds)} |" for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
