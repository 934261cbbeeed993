"""The command line: `parsimony VERB`. Results on standard output, progress and errors on standard error."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from parsimony.errors import InfrastructureError, ParsimonyError, PlanError

if TYPE_CHECKING:
    from parsimony.records import Finding
    from tasks.publish import Published
    from tasks.tracking import Registry

_EXIT_CODES = (
    "exit status: 0 promoted or kept, 1 nothing passed or a receipt that does not hold, 2 bad plan, 3 bad data, "
    "4 infrastructure"
)
_FINDINGS_SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status; what is refused is one line on standard error."""
    chosen = _parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = chosen.verb
    try:
        return verb(chosen)
    except ParsimonyError as error:
        print(f"parsimony: {error}", file=sys.stderr)
        _list_findings(getattr(error, "findings", ()))
        return error.exit_code
    except KeyboardInterrupt:
        print("parsimony: interrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"parsimony: {error}; free or fix it and run again", file=sys.stderr)
        return InfrastructureError.exit_code
    except Exception as error:  # a server that went away, a broken installation, a defect: one line, and the evidence
        print(f"parsimony: {_evidence(error)}", file=sys.stderr)
        return InfrastructureError.exit_code


def _evidence(error: Exception) -> str:
    """Keep the traceback in a file and return the line that names the error and the file."""
    path = settings.prepare().home / "error.txt"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    first = (str(error).strip().splitlines() or [""])[0][:300]
    return f"{type(error).__name__}: {first}; the details are in {path}"


def _list_findings(findings: Sequence[Finding]) -> None:
    """Print every finding when there are several: file, row, column, reason."""
    for finding in findings[:_FINDINGS_SHOWN] if len(findings) > 1 else ():
        print(f"  {finding.line()}", file=sys.stderr)
    if len(findings) > _FINDINGS_SHOWN:
        print(f"  and {len(findings) - _FINDINGS_SHOWN} more", file=sys.stderr)


# --- verbs ----------------------------------------------------------------------------------------


def _run(chosen: argparse.Namespace) -> int:
    settings.prepare()
    from flows import plan as plans
    from flows.display import following
    from flows.preflight import preflight

    plan = plans.load(Path(chosen.plan), chosen.set)
    preflight(plan)
    with following():
        from flows.promote_smallest import promote_smallest

        published = promote_smallest(plan)
    if chosen.json:
        from parsimony.receipt import dumps

        print(dumps(published.receipt))
    else:
        _tell(published, chosen.plan)
    return 1 if published.decision.outcome == "none" else 0


def _tell(published: Published, plan: str) -> None:
    """Print the table, the decision, where the report lies, and what to type next."""
    from flows.display import print_table
    from parsimony import report

    decision, folder = published.decision, published.folder
    print_table(report.table(decision))
    print(f"\n{report.sentence(decision)}\n")
    print(f"report   {folder / 'report.html'}\nreceipt  {folder / 'receipt.json'}")
    model = decision.model
    if decision.outcome == "none":
        print(f"next     parsimony run {plan} --set gates.margin=...   (the report says what was missed by how much)")
        return
    print(f'next     parsimony predict {model} "a text of your own"')
    print(f"         parsimony champion {model} --download ./{model}")
    print(f"         parsimony history {model}")


def _plan(chosen: argparse.Namespace) -> int:
    settings.prepare()
    from flows import plan as plans
    from flows.display import print_table
    from flows.outlook import outlook
    from parsimony import wording as say

    plan = plans.load(Path(chosen.plan), chosen.set)
    seen = outlook(plan)
    seconds = dict(seen.student_s)
    if chosen.json:
        rungs = [
            {
                "candidate": r.candidate.id,
                "predicted_bytes": r.predicted_bytes,
                "train_s": seconds.get(r.candidate.trunk),
            }
            for r in seen.rungs
        ]
        print(json.dumps({"candidates": rungs, "finetune_s": seen.finetune_s, "reference": seen.reference}))
        return 0
    whole = next(r.predicted_bytes for r in seen.rungs if r.candidate.id == seen.reference)
    rows: list[tuple[str, ...]] = [("candidate", "predicted size", "× smaller", "training")]
    rows += [
        (
            r.candidate.id,
            say.size(r.predicted_bytes),
            say.times(whole / r.predicted_bytes),
            say.duration(seconds[r.candidate.trunk]) if r.candidate.trunk in seconds else "",
        )
        for r in seen.rungs
    ]
    print_table(rows)
    print(
        f"\n{seen.dataset.train:,} rows to train on, {seen.dataset.search:,} to choose on, {seen.dataset.sealed:,} sealed\n"
        f"fine-tuning the reference takes about {say.duration(seen.finetune_s)}; of {len(seconds)} students about "
        f"{max(1, len(seconds)).bit_length()} are trained, found by bisection, while the budget of "
        f"{plan.search.budget_minutes:g} minutes lasts"
    )
    return 0


def _rotate(chosen: argparse.Namespace) -> int:
    from flows import plan as plans
    from flows.rotation import rotate

    plan = plans.load(Path(chosen.plan), chosen.set)
    train, test = rotate(plan, Path(chosen.out), chosen.seed if chosen.seed is not None else plan.run.seed + 1)
    print(f"parsimony run {chosen.plan} --set data.train={train.resolve()} --set data.test={test.resolve()}")
    print(
        "the champion and its predecessors were trained on some of the rows that are sealed now: their first comparison "
        "flatters them",
        file=sys.stderr,
    )
    return 0


def _champion(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tasks.promotion import champion, download

    registry = _registry()
    found = champion(registry, chosen.name)
    if found is None:
        raise PlanError(f"{chosen.name} has no champion; run a plan with model = {chosen.name!r} first")
    if chosen.download:
        download(registry, chosen.name, Path(chosen.download))
    if chosen.json:
        print(json.dumps(asdict(found)))
        return 0
    from parsimony.wording import size

    print(f"{found.model} version {found.version}: {found.candidate}, {size(found.size_bytes)}, since {found.at}")
    print(f"digest {found.digest}\n{found.reason}")
    if chosen.download:
        print(f"bundle in {chosen.download}")
    return 0


def _history(chosen: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tasks.promotion import history

    entries = history(_registry(), chosen.name)
    if chosen.json:
        print(json.dumps([asdict(entry) for entry in entries]))
        return 0
    from flows.display import print_table
    from parsimony.wording import size

    rows = [(e.kind, str(e.number), e.version, size(e.size_bytes), e.at, e.reason) for e in entries]
    print_table([("what", "entry", "version", "size", "when", "why"), *rows])
    return 0


def _predict(chosen: argparse.Namespace) -> int:
    from parsimony import bundle

    loaded = bundle.load(_bundle(chosen.name))
    for text in chosen.text or (line.rstrip("\n") for line in sys.stdin):
        shares = bundle.probabilities(loaded, text)
        label = max(shares, key=lambda name: shares[name])
        print(json.dumps({"label": label, "share": round(shares[label], 4)}) if chosen.json else label)
    return 0


def _report(chosen: argparse.Namespace) -> int:
    folder = _run_folder(chosen.run)
    print((folder / "receipt.json").read_text("utf-8").strip() if chosen.json else folder / "report.html")
    return 0


def _audit(chosen: argparse.Namespace) -> int:
    from parsimony.audit import audit

    home = settings.prepare().home
    folder = _run_folder(chosen.run)
    differences = audit(folder, (home / "bundles", home / "champions"))
    if chosen.json:
        print(json.dumps({"run": folder.name, "differences": list(differences)}))
    else:
        print(
            "\n".join(differences) or f"{folder.name}: every score, bound, verdict and size follows from the evidence"
        )
    return 1 if differences else 0


def _run_folder(name: str | None) -> Path:
    """Return the folder of a run: of the latest one without a name, by its id, or by the path of its receipt."""
    if name is not None and Path(name).name == "receipt.json" and Path(name).is_file():
        return Path(name).parent
    runs_folder = settings.prepare().home / "runs"
    runs = sorted(p.parent.name for p in runs_folder.glob("*/receipt.json"))
    matching = [run for run in runs if run == name or name in (None, "latest")]
    if not matching:
        known = ", ".join(runs[-5:]) or "none yet"
        raise PlanError(f"no finished run {name or 'latest'!r} below {runs_folder}; the last ones: {known}")
    return runs_folder / matching[-1]


def _bench(chosen: argparse.Namespace) -> int:
    from flows.display import print_table
    from parsimony import bench, machine
    from parsimony.records import TargetSettings

    if chosen.threads > (available := machine.usable_threads()):
        raise PlanError(f"--threads {chosen.threads}: this machine runs {available} at once")
    folder = _bundle(chosen.bundle)
    given = Path(chosen.texts).read_text("utf-8").splitlines() if chosen.texts else bench.SAMPLE_TEXTS
    texts = [text for text in given if text]
    target = TargetSettings(name="here", threads=chosen.threads, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    if not texts:
        raise PlanError(f"{chosen.texts} holds no text, expected one a line")
    found = bench.bench(folder, texts, target)
    if chosen.json:
        print(json.dumps(bench.to_json(found)))
        return 0
    print_table(bench.table(found))
    print("\n" + "\n".join(bench.lines(found)))
    return 0


def _registry() -> Registry:
    where = settings.prepare()
    from tasks.tracking import Registry

    return Registry(tracking_uri=where.tracking_uri, artifact_root=where.artifact_root)


def _bundle(name: str) -> Path:
    """Return a bundle's folder: a folder on disk, or the champion of a model, downloaded and verified once."""
    if (Path(name) / "manifest.json").is_file():
        return Path(name)
    from tasks.promotion import champion, download

    registry = _registry()
    found = champion(registry, name)
    if found is None:
        raise PlanError(f"{name!r} is neither a folder with a bundle nor a model with a champion")
    return Path(download(registry, name, settings.prepare().home / "champions" / found.digest[:32]).folder)


# --- arguments ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parsimony",
        description="Find the smallest model that provably keeps the quality, and put exactly that one into production.",
        epilog=_EXIT_CODES,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    run = _verb(
        verbs,
        _run,
        "run",
        "run a plan: validate, train, shrink, judge, promote",
        "run plan.toml --set gates.margin=0.02",
    )
    _takes_plan(run)
    _json(run, "print the receipt as one line of JSON")

    plan = _verb(verbs, _plan, "plan", "show the ladder of a plan, before any of it runs", "plan plan.toml")
    _takes_plan(plan)
    _json(plan, "print it as JSON")

    rotate = _verb(
        verbs, _rotate, "rotate", "draw a new sealed split when the old one is worn", "rotate plan.toml --out ./data"
    )
    _takes_plan(rotate)
    rotate.add_argument("--out", required=True, metavar="DIR", help="write train.csv and test.csv into this folder")
    rotate.add_argument("--seed", type=int, help="of the draw (the plan's seed and one more)")

    champion = _verb(
        verbs, _champion, "champion", "show the model in production", "champion support-tickets --download ./model"
    )
    champion.add_argument("name", help="the registered model")
    champion.add_argument("--download", metavar="DIR", help="write its bundle into this folder, verified")
    _json(champion, "print it as JSON")

    history = _verb(verbs, _history, "history", "show every promotion and rollback", "history support-tickets")
    history.add_argument("name", help="the registered model")
    _json(history, "print it as JSON")

    predict = _verb(
        verbs, _predict, "predict", "label texts with the champion", 'predict support-tickets "it does not sync"'
    )
    predict.add_argument("name", help="the registered model, or a folder with a bundle")
    predict.add_argument("text", nargs="*", help="texts; without any, one a line from standard input")
    _json(predict, "print label and share, one JSON object a line")

    report = _verb(verbs, _report, "report", "say where a run's report lies", "report latest")
    report.add_argument("run", nargs="?", help="the run's id; without it the latest")
    _json(report, "print the receipt instead")

    audit = _verb(verbs, _audit, "audit", "recompute a receipt from the answers kept beside it", "audit latest")
    audit.add_argument("run", nargs="?", help="the run's id or the path of its receipt; without it the latest")
    _json(audit, "print the differences as JSON")

    bench = _verb(
        verbs,
        _bench,
        "bench",
        "measure a bundle on this machine in every scenario",
        "bench support-tickets --threads 1",
    )
    bench.add_argument("bundle", help="a folder with a bundle, or a registered model")
    bench.add_argument("--threads", type=int, default=1, help="threads a prediction may use (1)")
    bench.add_argument("--texts", metavar="FILE", help="texts to predict, one a line")
    _json(bench, "print the measurement as JSON")
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    function: Callable[[argparse.Namespace], int],
    name: str,
    purpose: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=purpose, description=purpose, epilog=f"example: parsimony {example}")
    parser.set_defaults(verb=function)
    return parser


def _takes_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", help="the plan, a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the plan")


def _json(parser: argparse.ArgumentParser, purpose: str) -> None:
    parser.add_argument("--json", action="store_true", help=purpose)


if __name__ == "__main__":
    sys.exit(main())
