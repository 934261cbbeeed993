"""Which changes to the arithmetic of the decision no test notices, and why each may stay: the second half of `make mutate`.

mutmut has changed one thing at a time in the modules that pyproject.toml names, and run their tests on each. This reads
what it found, looks up the reason of every survivor in survivors.toml, writes the page and prints one JSON line. A survivor
is known by its function and by the lines before and after, so it keeps its reason when lines move.
"""

from __future__ import annotations

import datetime
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parsimony.measurement import machine
from parsimony.runtimes import cpu

LEAST_SHARE = 0.95
REASONS = Path(__file__).with_name("survivors.toml")
_KILLED = {"killed", "timeout"}  # whatever else mutmut calls a mutant, no test has noticed it


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A mutant that no test notices: its function, and the changed lines before and after."""

    where: str
    was: str
    now: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What became of the mutants of one module; one that ran out of time is killed."""

    name: str
    mutants: int
    out_of_time: int
    survivors: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        """How many mutants some test noticed."""
        return self.mutants - len(self.survivors)


def read() -> list[Module]:
    """Return what mutmut left of its last run, by its own account."""
    from mutmut.configuration import config

    return [_read(path) for path in config().only_mutate]


def _read(path: str) -> Module:
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    data = SourceFileMutationData(path=path)
    data.load()
    words = {mutant: status_by_exit_code[code] for mutant, code in data.exit_code_by_key.items()}
    name = Path(path).stem
    return Module(
        name=name,
        mutants=len(words),
        out_of_time=sum(word == "timeout" for word in words.values()),
        survivors=tuple(
            survivor(
                ".".join(filter(None, (name, *reversed(orig_function_and_class_names_from_key(mutant))))),
                get_diff_for_mutant(mutant, path=path),
            )
            for mutant, word in words.items()
            if word not in _KILLED
        ),
    )


def survivor(where: str, diff: str) -> Survivor:
    """Return the survivor that a unified diff shows, its lines joined, without their numbers and surroundings."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    was, now = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return Survivor(where=where, was=was, now=now)


def reasons(path: Path = REASONS) -> dict[Survivor, str]:
    """Return the reason of each survivor that is known; a table of the file may name several changes of one line."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["survivor"]
    return {Survivor(where=t["where"], was=t["was"], now=now): t["reason"] for t in tables for now in t["now"]}


def summary(modules: Sequence[Module], known: Mapping[Survivor, str]) -> dict[str, object]:
    """Return the counts and shares, the survivors without a reason, and whether both are as they must be."""
    mutants, killed = sum(module.mutants for module in modules), sum(module.killed for module in modules)
    alive = [one for module in modules for one in module.survivors]
    unexplained = [f"{one.where}: {one.was} -> {one.now}" for one in alive if one not in known]
    complete = bool(modules) and all(module.mutants for module in modules)
    return {
        "mutants": mutants,
        "killed": killed,
        "survived": len(alive),
        "share": round(killed / mutants, 4) if mutants else None,
        "modules": {m.name: {"mutants": m.mutants, "killed": m.killed, "survived": len(m.survivors)} for m in modules},
        "without_reason": unexplained,
        "reasons_without_survivor": [one.where for one in known if one not in alive],
        "holds": complete and killed >= LEAST_SHARE * mutants and not unexplained,
    }


def page(modules: Sequence[Module], known: Mapping[Survivor, str], where_from: str) -> str:
    """Return the Markdown page: a row for each module, then the survivors of each with their reasons."""
    rows = [
        f"| {m.name} | {m.mutants:,} | {m.killed:,} | {m.out_of_time} | {len(m.survivors)} "
        f"| {100 * m.killed / max(m.mutants, 1):.1f} |"
        for m in modules
    ]
    survivors = [
        f"- `{one.where}`: `{one.was}` as `{one.now}`. {known.get(one, '**No reason is known.**')}"
        for module in modules
        for one in module.survivors
    ]
    return _PAGE.format(where_from=where_from, rows="\n".join(rows), survivors="\n".join(survivors) or "None.")


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file named, print one JSON line; 1 when a survivor has no reason or too many survive."""
    from importlib.metadata import version

    modules, known = read(), reasons()
    result = summary(modules, known)
    where_from = (
        f"{cpu.cpu()}, {machine.cores()} {'core' if machine.cores() == 1 else 'cores'}, one at a time; mutmut {version('mutmut')}; "
        f"{datetime.date.today().isoformat()}"
    )
    Path(arguments[0]).write_text(page(modules, known, where_from), encoding="utf-8")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["holds"] else 1


_PAGE = """# Mutants of the arithmetic

`make mutate` wrote this page. It changes one thing at a time in the functions that decide (a comparison, a sign, a number, an
argument, a word) and runs their tests: a change that no test notices is a rule that no test holds. Not changed are constants
of modules and functions with a decorator. {where_from}.

| module | mutants | killed | of these out of time | survived | killed, % |
|---|---:|---:|---:|---:|---:|
{rows}

## Survivors
Each has its reason in [survivors.toml](../../tests/survivors.toml); one without makes `make mutate` fail, as less than 95 % killed does.

{survivors}
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
