"""Bundles, graphs, bases and tables from strangers: refused in one line or read, within a gigabyte and a minute, and nothing else is read."""

from __future__ import annotations

import io
import os
import random
import resource
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import hostile
from bundles import write_tiny_bundle

from parsimony.bundle import trial
from parsimony.bundle.folder import MODEL
from parsimony.bundle.graph_check import problems_of
from parsimony.errors import InfrastructureError, ParsimonyError
from tests.storm.forks import End, Outcome, done
from tests.storm.records import SuiteResult, Tally, part
from tests.storm.watching import Canary, canary

BUNDLES, GRAPHS, BASES, TABLES = 250, 2000, 60, 250
MOST_BYTES, MOST_S = 2**30, 60.0
_BATCH = 50
_AS_A_PROCESS = 10  # one in so many is tried out as the product does it, in a new process


# --- bundles --------------------------------------------------------------------------------------


def bundles(folder: Path, share: float, rng: random.Random) -> SuiteResult:
    """Try out every case of `hostile`, and cases drawn from a seed beside them."""
    tally = Tally(name="hostile or broken bundle", whole=BUNDLES)
    drawn = {f"drawn {seed}": hostile.drawn(seed) for seed in range(BUNDLES - len(hostile.CASES))}
    cases = {**hostile.CASES, **drawn}
    accepted = 0
    with canary(folder / hostile.SECRET) as secret:
        for number, name in enumerate(rng.sample(sorted(cases), part(BUNDLES, share))):
            with tally.trial(name):
                cases[name](folder / "b")
                _drain(secret)
                try:
                    tried = _in_a_process if number % _AS_A_PROCESS == 0 else _in_a_fork
                    accepted += _held(tried(folder / "b", folder), secret, must_fail=name in hostile.CASES)
                finally:
                    shutil.rmtree(folder / "b")
    return tally.result(f"{accepted} of those drawn from seeds were harmless and read")


def _drain(secret: Canary) -> None:
    """Forget what writing the case did to the canary: a hard link to it is no read."""
    try:
        os.read(secret.events, 4096)
    except BlockingIOError:
        return


def _in_a_fork(folder: Path, work: Path) -> Outcome:
    """Do what the process of a trial does, where the libraries are loaded."""
    before = _rss_bytes()

    def serve() -> str:
        os.chdir(work)
        sys.stdout = told = io.StringIO()
        trial.serve(str(folder))
        return told.getvalue()

    outcome = done(serve)
    limited = outcome.end == "killed" and outcome.error in ("signal 9", "signal 24", "signal 6", "signal 11")
    value = '"it ended the process that opened it"' if limited else outcome.value
    end: End = "ended" if limited else outcome.end
    return replace(outcome, end=end, value=value, rss_bytes=max(0, outcome.rss_bytes - before))


def _in_a_process(folder: Path, work: Path) -> Outcome:
    """Try a bundle out as the product does."""

    def try_out() -> list[object]:
        os.chdir(work)
        try:
            trial.try_out(folder)
            said = ""
        except InfrastructureError as error:
            said = str(error)
        return [said, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]

    outcome = done(try_out)
    said, rss = outcome.value or ("", 0)
    return replace(outcome, value=repr(said), rss_bytes=rss)


def _held(outcome: Outcome, secret: Canary, *, must_fail: bool) -> bool:
    """Hold what a stranger's file may do; say whether it was read."""
    secret.untouched()
    assert outcome.end == "ended", f"{outcome.end} {outcome.error}"
    assert outcome.rss_bytes < MOST_BYTES, f"{outcome.rss_bytes / 2**20:.0f} MiB"
    assert outcome.seconds < MOST_S, f"{outcome.seconds:.0f} s"
    refused = str(outcome.value).strip() not in ('""', "''")
    assert refused or not must_fail, "it was not refused"
    return not refused


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- graphs ---------------------------------------------------------------------------------------


def graphs(folder: Path, share: float, rng: random.Random) -> SuiteResult:
    """Change a sound graph at random, thousands of times: walked, and loaded where the walk finds nothing."""
    tally = Tally(name="mutated ONNX graph", whole=GRAPHS)
    write_tiny_bundle(folder / "sound")
    whole = (folder / "sound" / MODEL).read_bytes()
    seeds = [rng.randrange(2**32) for _ in range(part(GRAPHS, share))]
    read = ended = 0
    with canary(folder / hostile.SECRET) as secret:
        for first in range(0, len(seeds), _BATCH):
            for some, outcome in _each(whole, seeds[first : first + _BATCH], folder):
                ended += outcome.end == "killed"
                read += int(outcome.value or 0)
                for seed in some:
                    with tally.trial(f"seed {seed}"):
                        secret.untouched()
                        assert outcome.end in ("ended", "killed"), f"{outcome.end} {outcome.error}"
                        assert outcome.seconds < MOST_S
    return tally.result(f"{read} were loaded, {ended} ended the process that opened them")


def _each(whole: bytes, seeds: Sequence[int], folder: Path) -> list[tuple[Sequence[int], Outcome]]:
    """Try mutants in one process; where that does not come through, each in one of its own."""
    together = _mutants(whole, seeds, folder)
    if together.end == "ended":
        return [(seeds, together)]
    return [([seed], _mutants(whole, [seed], folder)) for seed in seeds]


def _mutants(whole: bytes, seeds: Sequence[int], folder: Path) -> Outcome:
    def walk() -> int:
        os.chdir(folder)
        read = 0
        for seed in seeds:
            content = hostile.mutated(whole, random.Random(seed))
            try:
                if problems_of(content):
                    continue
            except ValueError:
                continue
            target = folder / f"m{seed}"
            write_tiny_bundle(target)
            (target / MODEL).write_bytes(content)
            hostile.vouch(target)
            sys.stdout = told = io.StringIO()
            trial.serve(str(target))
            read += told.getvalue().strip() == '""'
            shutil.rmtree(target)
        return read

    return done(walk)


# --- bases and tables -----------------------------------------------------------------------------


def bases(folder: Path, share: float, rng: random.Random) -> SuiteResult:
    """Check bases that are broken in the ways that people meet, and bases changed at random."""
    import test_preflight
    from tinymodels import base_of

    from parsimony.training.base_checks import check

    tally = Tally(name="broken base", whole=BASES)
    good = base_of("bert")
    check(str(good), max_tokens=64, asked=True)
    with canary(folder / hostile.SECRET) as secret:
        for name in rng.sample(sorted(test_preflight.BROKEN), part(BASES, share)):
            with tally.trial(name):
                shutil.copytree(good, folder / "base")
                test_preflight.BROKEN[name][0](folder / "base")
                outcome = _tried(partial(check, str(folder / "base"), max_tokens=100, asked=True), folder)
                shutil.rmtree(folder / "base", ignore_errors=True)
                (folder / "base").unlink(missing_ok=True)
                _held(outcome, secret, must_fail=True)
    return tally.result()


def _tried(act: Callable[[], object], folder: Path) -> Outcome:
    """Do something with a stranger's file in a process of its own; the memory counted is what it took beside ours."""
    before = _rss_bytes()
    outcome = done(partial(_refusal, act, folder))
    return replace(outcome, rss_bytes=max(0, outcome.rss_bytes - before))


def _refusal(act: Callable[[], object], work: Path) -> str:
    """Do something with a stranger's file, and return the one line that refuses it, '""' when none does."""
    os.chdir(work)
    try:
        act()
    except ParsimonyError as error:
        said = str(error).strip()
    else:
        return '""'
    assert said and len(said.splitlines()) == 1, f"not one line: {said}"
    return said


def tables(folder: Path, share: float, rng: random.Random) -> SuiteResult:
    """Read tables that are broken in the ways that people meet, and tables changed at random."""
    import test_reader
    import test_shapes

    tally = Tally(name="broken or hostile table", whole=TABLES)
    known = {f"known: {name}": (file, content) for name, (file, content, _) in test_reader.BAD_FILES.items()}
    known |= {f"known: {name}": ("t.csv", content) for name, (content, _) in test_shapes.OTHER_KINDS.items()}
    names = [*sorted(known), *(f"drawn {seed}" for seed in range(TABLES - len(known)))]
    from parsimony.data.reader import read_table

    read_table(str(_sound(folder)[0]), text="text", label="label", part="train")
    read = 0
    with canary(folder / hostile.SECRET) as secret:
        for name in rng.sample(names, part(TABLES, share)):
            with tally.trial(name):
                file, content = known[name] if name in known else _drawn_table(folder, int(name.split()[1]))
                path = folder / "tables" / file
                path.parent.mkdir()
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
                outcome = _tried(partial(read_table, str(path), text="text", label="label", part="train"), folder)
                shutil.rmtree(path.parent)
                read += _held(outcome, secret, must_fail=name in known)
    return tally.result(f"{read} of those drawn from seeds were sound enough to be read")


def _sound(folder: Path) -> list[Path]:
    """Write one table in four formats."""
    import json

    import pyarrow
    import pyarrow.parquet

    rows = [{"text": f'text {i}, with "quotes" and ümlauts', "label": "abc"[i % 3]} for i in range(30)]
    made = folder / "sound"
    made.mkdir(exist_ok=True)
    lines = ["text,label", *(f'"text {i}, with ""quotes""",{row["label"]}' for i, row in enumerate(rows))]
    (made / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (made / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (made / "t.json").write_text(json.dumps(rows), encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), made / "t.parquet")
    return [made / f"t.{ending}" for ending in ("csv", "jsonl", "json", "parquet")]


_SPLICES = (
    b"\0" * 9, b'"' * 3, b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 50_000, b'{"text": ' * 5_000, b"9" * 400, b"\r", b"\n\n\n", b",,,,", b"\x1b[2J", b"a" * 3_000_000,
    b"=cmd|' /C calc'!A0,", b"../secret.bin", b"\xed\xa0\x80", b"NaN", b'{"text": 1e999, "label": null}\n', "\u202e\u2066".encode(), b"\t", b";",
)  # fmt: skip


def _drawn_table(folder: Path, seed: int) -> tuple[str, bytes]:
    rng = random.Random(seed)
    path = rng.choice(_sound(folder))
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(content))
        content[at:at] = rng.choice(_SPLICES) if rng.random() < 0.7 else b""
        if rng.random() < 0.5:
            content = bytearray(hostile.mutated(bytes(content), rng))
    return f"t{path.suffix}", bytes(content)
