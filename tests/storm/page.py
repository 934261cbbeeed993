"""The page of a storm: what is concluded, one table, how to read it, what is not covered."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from parsimony.measurement import machine
from parsimony.runtimes import cpu
from tests.storm.records import ON_A_REGISTRY, ON_FILES, SuiteResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """The results of every suite by its name, and the seed of the last ones."""

    seed: int
    results: Mapping[str, SuiteResult] = field(default_factory=dict)

    @classmethod
    def kept(cls, file: Path, seed: int) -> Storm:
        """Read what other suites gave before."""
        rows = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return cls(
            seed=seed,
            results={n: SuiteResult(**{**row, "violations": tuple(row["violations"])}) for n, row in rows.items()},
        )

    def keep(self, file: Path) -> None:
        """Keep the results for the next suites."""
        rows = {name: asdict(result) for name, result in self.results.items()}
        file.write_text(json.dumps(rows, indent=1), encoding="utf-8")

    def with_result(self, name: str, result: SuiteResult) -> Storm:
        """Return the storm with one more result."""
        return replace(self, results={**self.results, name: result})


def page(storm: Storm) -> str:
    """Return the page as Markdown."""
    results = storm.results.values()
    order = [storm.results[name] for name in (*ON_A_REGISTRY, *ON_FILES) if name in storm.results]
    rows = "\n".join(_row(result) for result in order)
    violations = [f"- {result.name}: {line}" for result in results for line in result.violations]
    return f"""# Reliability: what was tried, and how often it went wrong

{_conclusion(storm)}

| suite | trials | of a whole storm | violations | 95 % upper bound | seconds | remark |
|---|---:|---:|---:|---:|---:|---|
{rows}

Made by `make storm` with seed {storm.seed} on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}; {_machine()}.
{_violations(violations)}
## How to read it
- A trial that was **stopped** begins with a copy of a registry in which two models were promoted. A new process publishes, rolls back, holds, releases or reconciles, and is killed (`kill -9`),
  given an I/O error, or made to hang and then killed, at one place. Places are found by watching the process: operations on files, calls of MLflow's client before and after, and
  the registry's functions where they begin and end. No line of the product knows of them. Then a new process does it once more, as the next run does, and must succeed.
- After every stop, and again at the end, a **checker** that uses nothing of the product reads the database by SQL and the files: at most one champion; it is complete and was judged; its
  files have its digest; the journal's entries are what was sealed, each names the one before; no bundle has two versions; the alias names a champion that was, and in the end the present one.
- **Calls** are spoiled by a proxy before a real server of MLflow, one call a publication: the request or the response is lost, 500, 503, no answer, a reset, half a body, or the server is gone
  from that call on. A run that is told to try again is not a violation. One that is told that it promoted and did not, or the other way round, is.
- **Strangers' files** may be refused in one line or read. A violation is a crash of the process that asked, a file beside them that was read (the kernel watches it), a gigabyte, a minute, or
  a known bad one that was taken. Bundles are tried out as the product does it, one in ten in a new process, the others in a copy of one that has loaded the libraries.
- **Upper bound**: with no violation in n independent trials the rate is below about 3/n at 95 % confidence (Clopper and Pearson, one-sided). It is a bound for the kind of trial that
  was made, not for everything that can happen. States of two actors are counted, not drawn: the bound says nothing there.
- A violation is named with what repeats it: `python -m tests.storm OUT.md --only SUITE --seed {storm.seed}`, and the share that it had. A seeded part is in the tests (`tests/test_storm.py`); two actors, broken bases and killed runs have tests of their own.

## What is not covered
- Power that fails: `kill -9` keeps what the kernel has not yet written. Full disks and a clock that jumps are tested one by one, not here.
- More than one machine, object stores, and databases other than SQLite and PostgreSQL 15.
- Someone who can write the whole database and knows how entries are sealed: that takes a secret, and is not claimed.
- Defects of ONNX Runtime, tokenizers or pyarrow that do harm within the limits of the process that opens a file.
"""


def _conclusion(storm: Storm) -> str:
    results = storm.results.values()
    trials, violations = sum(r.trials for r in results), sum(len(r.violations) for r in results)
    fewer = [result.name for result in results if result.trials < result.whole]
    counted = {0: "no violation", 1: "1 violation"}.get(violations, f"{violations} violations")
    said = f"**{trials:,} trials, {counted}.**"
    meaning = (
        " Whatever was killed, lost, raced or changed by hand, the model in production was complete, judged, and what its digest says; the next run put things right."
        if not violations
        else " Each is named below."
    )
    short = f" Fewer trials than a whole storm has were made in: {', '.join(fewer)}." if fewer else ""
    missing = [name for name in (*ON_A_REGISTRY, *ON_FILES) if name not in storm.results]
    none = f" Not one trial was made of: {', '.join(missing)}." if missing else ""
    return said + meaning + short + none


def _row(result: SuiteResult) -> str:
    bound = f"{result.upper_bound:.2%}" if "two actors" not in result.name else "–"
    cells = (
        result.name,
        f"{result.trials:,}",
        f"{result.whole:,}",
        str(len(result.violations)),
        bound,
        f"{result.seconds:.0f}",
        result.remark,
    )
    return f"| {' | '.join(cells)} |"


def _violations(lines: list[str]) -> str:
    return "\n## Violations\n" + "\n".join(lines) + "\n" if lines else ""


def _machine() -> str:
    cores = machine.cores()
    return f"{cpu.cpu()}, {cores} {'core' if cores == 1 else 'cores'} of a machine that did other work beside it"
