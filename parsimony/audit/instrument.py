"""How far the instrument can be trusted: the same work against itself, and against work that is 5 % longer.

Each repetition starts fresh processes and measures them side by side as a run does. The work is known beforehand
(`known_work`), so every verdict is right or wrong. Once on the machine as it is, once with another process on the very core
that is measured.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from parsimony.audit import known_work
from parsimony.measurement import machine, measure
from parsimony.measurement.processes import WORKER
from parsimony.measurement.records import Ratio, RatioVerdict, TargetSettings
from parsimony.measurement.scenarios.bench import SAMPLE_TEXTS

log = logging.getLogger(__name__)

HASHED_BYTES = 400_000
LONGER = 1.05
MOST_WRONG, FEWEST_FOUND = 0.05, 0.9
TARGET = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
_VERDICTS: tuple[RatioVerdict, ...] = ("faster", "slower", "same", "inconclusive")
_BASE, _SAME, _LONGER, _BUNDLE = "baseline", "the same", "5 % longer", "the same bundle"
# The process that started it may be killed, and nothing may spin on after that.
_SPINNING = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The verdicts on one kind of work in many repetitions: how often each was given, and the ratios behind them."""

    work: str
    machine: str
    repetitions: int
    verdicts: dict[RatioVerdict, int]
    median_ratio: float
    middle_90: tuple[float, float]
    median_floor: float

    def share(self, *verdicts: RatioVerdict) -> float:
        """Return how often one of these verdicts was given."""
        return sum(self.verdicts[verdict] for verdict in verdicts) / self.repetitions


def repeated(folders: Mapping[str, Path], module: str, repetitions: int) -> dict[str, list[Ratio]]:
    """Measure the same side by side again and again, in fresh processes; return each one's ratios to the first."""
    ratios: dict[str, list[Ratio]] = {name: [] for name in list(folders)[1:]}
    for _ in range(repetitions):
        measurements = measure.measure(folders, SAMPLE_TEXTS * 8, TARGET, module=module)
        for name in ratios:
            if (ratio := measurements[name].ratio) is not None:
                ratios[name].append(ratio)
    return ratios


def row(work: str, state: str, ratios: Sequence[Ratio]) -> Row:
    """Return the row that summarises these ratios."""
    counted = Counter(ratio.verdict for ratio in ratios)
    values = [ratio.value for ratio in ratios]
    low, high = np.quantile(values, (0.05, 0.95))
    return Row(
        work=work,
        machine=state,
        repetitions=len(ratios),
        verdicts={verdict: counted[verdict] for verdict in _VERDICTS},
        median_ratio=float(np.median(values)),
        middle_90=(float(low), float(high)),
        median_floor=float(np.median([ratio.noise_floor for ratio in ratios])),
    )


def write_known_work(folder: Path) -> dict[str, Path]:
    """Write the baseline's work, the same again, and work that is 5 % longer, into a folder."""
    shares = {_BASE: 1.0, _SAME: 1.0, _LONGER: LONGER}
    return {
        name: known_work.write(folder / f"{number}.json", known_work.Known(hashed_bytes=round(HASHED_BYTES * share)))
        for number, (name, share) in enumerate(shares.items())
    }


@contextlib.contextmanager
def one_core_loaded() -> Iterator[None]:
    """Keep the core that is measured busy with another process; one of the others where cores cannot be chosen."""
    process = subprocess.Popen([sys.executable, "-c", _SPINNING, str(os.getpid())])
    try:
        if mine := machine.measuring_cores(1):
            os.sched_setaffinity(process.pid, mine)
        yield
    finally:
        process.kill()
        process.wait()


def experiment(repetitions: int, bundle: Path | None = None) -> list[Row]:
    """Return one row for each kind of work and state of the machine; a bundle is compared with itself, less often."""
    with tempfile.TemporaryDirectory() as scratch:
        kinds = [(write_known_work(Path(scratch)), known_work.MODULE, repetitions)]
        if bundle is not None:
            kinds.append(({_BASE: bundle, _BUNDLE: bundle}, WORKER, max(1, repetitions // 4)))
        rows: list[Row] = []
        for folders, module, times in kinds:
            for state, loaded in (("as it is", contextlib.nullcontext), ("its core loaded", one_core_loaded)):
                with loaded():
                    measured = repeated(folders, module, times)
                rows += [row(name, state, ratios) for name, ratios in measured.items()]
                log.info("%s", table(rows))
    return rows


def holds(rows: Sequence[Row]) -> bool:
    """Say whether the instrument keeps its promises.

    What is the same is called different at most 5 times in 100, on a loaded core too; what is 5 % longer is found at
    least 90 times in 100 on the machine as it is, and never called faster.
    """
    longer = [each for each in rows if each.work == _LONGER]
    return (
        all(each.share("faster", "slower") <= MOST_WRONG for each in rows if each.work != _LONGER)
        and all(each.share("slower") >= FEWEST_FOUND for each in longer if each.machine == "as it is")
        and not any(each.verdicts["faster"] for each in longer)
    )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = (
        "| work | machine | repetitions | faster | slower | same | inconclusive | ratio (middle 90 %) | noise floor |"
    )
    lines = [head, "|---|---|" + "---:|" * 7]
    for each in rows:
        counts = " | ".join(str(each.verdicts[verdict]) for verdict in _VERDICTS)
        low, high = each.middle_90
        lines.append(
            f"| {each.work} | {each.machine} | {each.repetitions} | {counts} | "
            f"{each.median_ratio:.4f} ({low:.4f} to {high:.4f}) | {each.median_floor:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run the experiment, write the page to the file named, print one JSON line; 1 when a promise is not kept.

    Arguments: repetitions, the page, and, if one is at hand, a folder with a bundle.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # on standard error
    repetitions, path = int(arguments[0]), Path(arguments[1])
    here = machine.environment(TARGET.threads)
    rows = experiment(repetitions, Path(arguments[2]) if len(arguments) > 2 else None)
    versions = ", ".join(f"{name} {version}" for name, version in here.versions)
    date = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    about = f"{here.cpu}, {here.cores} {'core' if here.cores == 1 else 'cores'}, load {here.load_1m:.2f} before; {versions}; {date}"
    page = _PAGE.format(about=about, table=table(rows), rounds=measure.ROUNDS, block=measure.BLOCK)
    path.write_text(page, encoding="utf-8")
    result = {"machine": about, "rows": [asdict(each) for each in rows], "holds": holds(rows)}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if holds(rows) else 1


_PAGE = """# The instrument, measured

`make instrument` wrote this page. {about}.

Every repetition starts fresh processes, warms them up and measures them side by side in {rounds} rounds of {block} texts, as a run
does; a third process, the A/A control, sets the noise floor. *The same*: two processes with the same work, so "faster"
and "slower" are both wrong; at most 5 % are promised. *5 % longer*: it hashes 5 % more bytes a text, so "slower" is right; 90 %
are promised on the machine as it is, and that it is never called faster. *Its core loaded*: another process spins on the
very core that is measured.

{table}"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
