"""Compare what Parsimony promotes with what others make of the same reference, on the same data, machine and run.

python benchmarks/peers.py PLAN.toml --optimum PYTHON --olive PYTHON --out docs/trials/benchmarks.md

Runs the plan, then lets optimum and Olive (each in its own environment, PYTHON) quantise the run's reference, lets optimum
export it as well, and trains a TF-IDF model. All predict the test split one text at a time; all but the TF-IDF model are timed side by side, in turn.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from parsimony.audit.receipt import by_digest
from parsimony.bundle.folder import Contents, write_bundle
from parsimony.candidates import ModelSpec
from parsimony.data.splits import SPLITS, Splits, read_splits
from parsimony.decision import stats
from parsimony.files import folder_bytes, verify_folder
from parsimony.flows import settings
from parsimony.measurement import machine, quantiles
from parsimony.measurement.interleaving import mixed
from parsimony.measurement.measure import judge, measure
from parsimony.measurement.records import Quantile, TargetSettings
from parsimony.training.checkpoint import MODEL, TOKENIZER, WEIGHTS
from parsimony.training.classifier import load as load_classifier
from parsimony.training.export import with_head
from parsimony.training.vocabulary import token_ids

TARGET = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
SAMPLES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the comparison; times in milliseconds per text on one thread, `search_s` in seconds beyond the fine-tuning."""

    name: str
    size_bytes: int
    right: int
    rows: int
    p50: Quantile
    p99: Quantile
    per_second: float
    search_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A model as a bundle, and the seconds that it took to make from the reference."""

    name: str
    folder: Path
    search_s: float


def main() -> int:
    """Run the comparison and print the table that is kept."""
    given = _arguments().parse_args()
    receipt = _promoted(given.plan)
    home = settings.prepare().home
    splits = read_splits(home / "runs" / receipt["run_id"] / "data")
    labels = splits.dataset.labels
    bundles = by_digest([home / "bundles"])
    reference = bundles[_digest_of(receipt, receipt["reference"]["candidate"])]
    with tempfile.TemporaryDirectory() as scratch:
        peers = [
            Peer(name="reference, fp32", folder=reference, search_s=0.0),
            Peer(name="the same once more (A/A control)", folder=reference, search_s=0.0),
            Peer(
                name=f"Parsimony: {receipt['winner']['candidate']}",
                folder=bundles[receipt["winner"]["digest"]],
                search_s=_searching_s(receipt),
            ),
        ]
        if given.olive:
            make = _olive(given.olive, splits, float(receipt["gates"]["margin"]))
            peers.insert(2, _made("Olive, its smallest", make, reference, Path(scratch) / "olive", labels))
        if given.optimum:
            make = _optimum(given.optimum)
            peers.insert(2, _made("optimum, dynamic int8", make, reference, Path(scratch) / "optimum", labels))
            make = _optimum_exported(given.optimum, _weights_of(receipt["reference"]["candidate"], home))
            peers.insert(2, _made("optimum, its own export, fp32", make, reference, Path(scratch) / "exported", labels))
        rows = [*_bundles(peers, splits), _tf_idf(splits)]
    text = _page(receipt, rows, given.plan)
    given.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--optimum", type=Path, help="the Python of an environment that has optimum-onnx")
    parser.add_argument("--olive", type=Path, help="the Python of an environment that has olive-ai")
    parser.add_argument("--out", type=Path, default=Path("docs/trials/benchmarks.md"))
    return parser


def _promoted(plan: Path) -> dict[str, Any]:
    """Run the plan in a home that holds nothing yet, so that its time is that of the first run; return the receipt."""
    done = subprocess.run(
        [sys.executable, "-m", "parsimony.flows.cli.main", "run", str(plan), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the run ended with {done.returncode}; nothing to compare")
    receipt: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return receipt


def _digest_of(receipt: dict[str, Any], candidate: str) -> str:
    return next(str(c["digest"]) for c in receipt["candidates"] if c["candidate"] == candidate)


def _stages(receipt: dict[str, Any]) -> dict[str, float]:
    """Return how many seconds each stage of the run took."""
    return {stage["stage"]: stage["duration_s"] for stage in receipt["cost"]["stages"]}


def _searching_s(receipt: dict[str, Any]) -> float:
    """Return the seconds of the whole run but those that every peer needs too: validation, probe and fine-tuning."""
    stages = _stages(receipt)
    return float(receipt["cost"]["wall_s"] - sum(stages[name] for name in ("validate", "probe", "finetune")))


def _made(
    name: str, make: Callable[[Path, Path], Path], reference: Path, scratch: Path, labels: tuple[str, ...]
) -> Peer:
    """Let a peer make its graph from the reference's and put it into a bundle."""
    scratch.mkdir(parents=True)
    start = time.monotonic()
    graph = make(reference / MODEL, scratch)
    seconds = time.monotonic() - start
    tokenizer = (reference / TOKENIZER).read_text(encoding="utf-8")
    target = scratch / "bundle"
    write_bundle(target, Contents(model=graph.read_bytes(), tokenizer=tokenizer, labels=labels, lineage={"name": name}))
    return Peer(name=name, folder=target, search_s=seconds)


def _optimum(python: Path) -> Callable[[Path, Path], Path]:
    """Return a function that lets optimum quantise a graph to dynamic int8."""

    def make(model: Path, scratch: Path) -> Path:
        script = Path(__file__).with_name("optimum_int8.py")
        subprocess.run([str(python), str(script), str(model), str(scratch / "out")], check=True, stdout=sys.stderr)
        return scratch / "out" / MODEL

    return make


def _weights_of(candidate: str, home: Path) -> Path:
    """Return the folder of the trained weights of a candidate without techniques."""
    for folder in (home / "checkpoints").iterdir():
        spec = verify_folder(folder)["spec"]
        if ModelSpec(**{**spec, "shape": tuple(spec["shape"])}).id == candidate:
            return folder / WEIGHTS
    raise FileNotFoundError(f"found no checkpoint of {candidate} in {home}, expected the one of the run before")


def _optimum_exported(python: Path, weights: Path) -> Callable[[Path, Path], Path]:
    """Return a function that lets optimum export the reference's encoder; pooling and head are added as to ours."""

    def make(_: Path, scratch: Path) -> Path:
        script = Path(__file__).with_name("optimum_export.py")
        subprocess.run([str(python), str(script), str(weights), str(scratch / "out")], check=True, stdout=sys.stderr)
        graph = with_head(onnx.load(scratch / "out" / MODEL), load_classifier(weights))
        onnx.save(graph, scratch / MODEL)
        return scratch / MODEL

    return make


def _olive(python: Path, splits: Splits, margin: float) -> Callable[[Path, Path], Path]:
    """Return a function that lets Olive search, judging by the validation split."""

    def make(model: Path, scratch: Path) -> Path:
        rows = scratch / "rows.json"
        ids = token_ids((model.parent / TOKENIZER).read_text(encoding="utf-8"), splits.tables["validation"].texts)
        classes = splits.truth("validation").tolist()
        rows.write_text(json.dumps({"ids": ids, "classes": classes}), encoding="utf-8")
        script = Path(__file__).with_name("olive_search.py")
        command = [str(python), str(script), str(model), str(rows), str(margin), str(scratch / "out")]
        subprocess.run(command, check=True, env={**os.environ, "OLIVE_DISABLE_TELEMETRY": "1"}, stdout=sys.stderr)
        return scratch / "out" / MODEL

    return make


def _bundles(peers: list[Peer], splits: Splits) -> list[Row]:
    """Return how well every bundle predicts the test split and how fast, measured in turn on texts of the validation split."""
    test, truth = splits.tables["test"], splits.truth("test")
    folders = {peer.name: peer.folder for peer in peers}
    measurements = measure(folders, splits.tables["validation"].texts, TARGET)
    return [
        Row(
            name=peer.name,
            size_bytes=folder_bytes(peer.folder),
            right=int((judge(peer.folder, test.texts, TARGET).classes == truth).sum()),
            rows=len(truth),
            p50=measurements[peer.name].p50,
            p99=measurements[peer.name].p99,
            per_second=measurements[peer.name].throughput_per_s,
            search_s=peer.search_s,
        )
        for peer in peers
    ]


def _tf_idf(splits: Splits) -> Row:
    """Return the usual scikit-learn model: TF-IDF of words and pairs of words, a linear support vector machine."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    train, validation, test = (splits.tables[name] for name in SPLITS)
    start = time.monotonic()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=0))
    model.fit(train.texts, train.labels)
    seconds = time.monotonic() - start
    with tempfile.TemporaryDirectory() as scratch:
        joblib.dump(model, Path(scratch) / "model.joblib")
        size = folder_bytes(Path(scratch))
    durations = np.array(_durations(lambda text: model.predict([text]), validation.texts))
    return Row(
        name="TF-IDF, linear SVM",
        size_bytes=size,
        right=int((model.predict(test.texts) == np.array(test.labels)).sum()),
        rows=len(test),
        p50=quantiles.quantile(durations, 0.50),
        p99=quantiles.quantile(durations, 0.99),
        per_second=1e3 * len(durations) / float(durations.sum()),
        search_s=seconds,
    )


def _durations(predict: Callable[[str], object], texts: tuple[str, ...]) -> list[float]:
    order = mixed(texts) * -(-SAMPLES // len(texts))
    durations = []
    for place in order[:SAMPLES]:
        start = time.perf_counter_ns()
        predict(texts[place])
        durations.append((time.perf_counter_ns() - start) / 1e6)
    return durations


def _page(receipt: dict[str, Any], rows: list[Row], plan: Path) -> str:
    """Return the comparison as Markdown."""
    here, data = machine.environment(TARGET.threads), receipt["data"]
    lines = [
        "# Against others",
        "",
        f"`make bench PLAN={plan.name}`: model {receipt['model']}, {data['train_rows']:,} rows to train on, {data['validation_rows']:,} to "
        f"choose on, {data['test_rows']:,} test rows; margin {receipt['gates']['margin']:g}. {here.cpu}, {here.cores} {'core' if here.cores == 1 else 'cores'}, one "
        f"thread; onnxruntime {dict(here.versions)['onnxruntime']}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}. "
        f"Fine-tuning the reference, which all but the last need, took {_stages(receipt)['finetune']:.0f} s.",
        "",
        "| model | size | test accuracy (95 %) | p50 | p99 | texts per second | time to find |",
        "|---|---|---|---|---|---|---|",
        *(_line(row) for row in rows),
        "",
    ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    low = stats.proportion_lower(row.right, row.rows, 0.975)
    high = 1 - stats.proportion_lower(row.rows - row.right, row.rows, 0.975)
    return (
        f"| {row.name} | {row.size_bytes / 1e6:.2f} MB | {row.right / row.rows:.4f} ({low:.4f} to {high:.4f}) | "
        f"{row.p50.value_ms:.2f} ms | {row.p99.value_ms:.2f} ms | {row.per_second:,.0f} | {row.search_s:.0f} s |"
    )


if __name__ == "__main__":
    sys.exit(main())
