"""Compare what Parsimony promotes with what others make of the same reference, on the same data, machine and run.

python benchmarks/peers.py PLAN.toml --olive PYTHON --out docs/benchmarks.md

Runs the plan, then lets optimum and Olive (in its own environment, PYTHON) quantise the run's reference, and trains a
TF-IDF model. All answer the sealed split one text at a time; all but the TF-IDF model are timed side by side, in turn.
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

from flows import settings
from parsimony import machine, stats
from parsimony.audit import by_digest
from parsimony.bundle import write_bundle
from parsimony.data.splits import load_split, read_dataset
from parsimony.files import folder_bytes
from parsimony.measure import judge, measure
from parsimony.pacing import mixed
from parsimony.readings import without_base
from parsimony.records import Dataset, Quantile, Table, TargetSettings
from parsimony.trunks import MODEL, TOKENIZER, class_numbers
from parsimony.vocabulary import token_ids

TARGET = TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
SAMPLES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the comparison; times in milliseconds per text on one thread, `found_s` beyond the fine-tuning."""

    name: str
    size_bytes: int
    right: int
    rows: int
    p50: Quantile
    p99: Quantile
    per_second: float
    found_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A model as a bundle, and the seconds that it took to make from the reference."""

    name: str
    folder: Path
    found_s: float


def main() -> int:
    """Run the comparison and print the table that is kept."""
    given = _arguments().parse_args()
    receipt = _promoted(given.plan)
    home = settings.prepare().home
    dataset = read_dataset(home / "runs" / receipt["run_id"] / "data")
    bundles = by_digest([home / "bundles"])
    reference = bundles[_digest_of(receipt, receipt["reference"]["candidate"])]
    with tempfile.TemporaryDirectory() as scratch:
        peers = [
            Peer(name="reference, fp32", folder=reference, found_s=0.0),
            _made("optimum, dynamic int8", _optimum, reference, Path(scratch) / "optimum", dataset),
            Peer(
                name=f"Parsimony: {without_base(receipt['winner']['candidate'])}",
                folder=bundles[receipt["winner"]["digest"]],
                found_s=_searching_s(receipt),
            ),
        ]
        if given.olive:
            margin = float(receipt["gates"]["margin"])
            make = _olive(given.olive, load_split(dataset, "search"), dataset, margin)
            peers.insert(2, _made("Olive, its smallest", make, reference, Path(scratch) / "olive", dataset))
        rows = [*_bundles(peers, dataset), _tf_idf(dataset)]
    text = _page(receipt, rows, given.plan)
    given.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--olive", type=Path, help="the Python of an environment that has olive-ai")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    return parser


def _promoted(plan: Path) -> dict[str, Any]:
    """Run the plan in a home that holds nothing yet, so that its time is that of the first run; return the receipt."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", str(plan), "--json"], stdout=subprocess.PIPE, text=True, check=False
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


def _made(name: str, make: Callable[[Path, Path], Path], reference: Path, scratch: Path, dataset: Dataset) -> Peer:
    """Let a peer make its graph from the reference's and put it into a bundle."""
    scratch.mkdir(parents=True)
    start = time.monotonic()
    graph = make(reference / MODEL, scratch)
    seconds = time.monotonic() - start
    tokenizer = (reference / TOKENIZER).read_text(encoding="utf-8")
    target = scratch / "bundle"
    write_bundle(target, model=graph.read_bytes(), tokenizer=tokenizer, labels=dataset.labels, lineage={"name": name})
    return Peer(name=name, folder=target, found_s=seconds)


def _optimum(model: Path, scratch: Path) -> Path:
    """Return optimum's dynamic int8 of a graph, with its preset for processors with VNNI."""
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    preset = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    quantiser = ORTQuantizer.from_pretrained(model.parent, file_name=model.name)
    quantiser.quantize(save_dir=scratch, quantization_config=preset)
    return next(scratch.glob("*.onnx"))


def _olive(python: Path, search: Table, dataset: Dataset, margin: float) -> Callable[[Path, Path], Path]:
    """Return what lets Olive search, judging by the search split."""

    def make(model: Path, scratch: Path) -> Path:
        rows = scratch / "rows.json"
        ids = token_ids((model.parent / TOKENIZER).read_text(encoding="utf-8"), search.texts)
        classes = class_numbers(search, dataset.labels).tolist()
        rows.write_text(json.dumps({"ids": ids, "classes": classes}), encoding="utf-8")
        script = Path(__file__).with_name("olive_search.py")
        command = [str(python), str(script), str(model), str(rows), str(margin), str(scratch / "out")]
        subprocess.run(command, check=True, env={**os.environ, "OLIVE_DISABLE_TELEMETRY": "1"}, stdout=sys.stderr)
        return scratch / "out" / MODEL

    return make


def _bundles(peers: list[Peer], dataset: Dataset) -> list[Row]:
    """Return what every bundle answers on the sealed split and how fast, measured in turn on texts of the search split."""
    sealed = load_split(dataset, "sealed")
    truth = class_numbers(sealed, dataset.labels)
    seen = measure({peer.name: peer.folder for peer in peers}, load_split(dataset, "search").texts, TARGET)
    return [
        Row(
            name=peer.name,
            size_bytes=folder_bytes(peer.folder),
            right=int((judge(peer.folder, sealed.texts, TARGET).classes == truth).sum()),
            rows=len(truth),
            p50=seen[peer.name].p50,
            p99=seen[peer.name].p99,
            per_second=seen[peer.name].throughput_per_s,
            found_s=peer.found_s,
        )
        for peer in peers
    ]


def _tf_idf(dataset: Dataset) -> Row:
    """Return the usual scikit-learn model: TF-IDF of words and pairs of words, a linear support vector machine."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    train, search, sealed = (load_split(dataset, name) for name in ("train", "search", "sealed"))
    start = time.monotonic()
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=0))
    model.fit(train.texts, train.labels)
    seconds = time.monotonic() - start
    with tempfile.TemporaryDirectory() as scratch:
        joblib.dump(model, Path(scratch) / "model.joblib")
        size = folder_bytes(Path(scratch))
    durations = np.array(_durations(lambda text: model.predict([text]), search.texts))
    return Row(
        name="TF-IDF, linear SVM",
        size_bytes=size,
        right=int((model.predict(sealed.texts) == np.array(sealed.labels)).sum()),
        rows=len(sealed),
        p50=stats.quantile(durations, 0.50),
        p99=stats.quantile(durations, 0.99),
        per_second=1e3 * len(durations) / float(durations.sum()),
        found_s=seconds,
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
        f"`make bench PLAN={plan.name}`: model {receipt['model']}, {data['train']:,} rows to train on, {data['search']:,} to "
        f"choose on, {data['sealed']:,} sealed; margin {receipt['gates']['margin']:g}. {here.cpu}, {here.cores} {'core' if here.cores == 1 else 'cores'}, one "
        f"thread; onnxruntime {dict(here.versions)['onnxruntime']}; {datetime.datetime.now(datetime.UTC):%Y-%m-%d}. "
        f"Fine-tuning the reference, which all but the last need, took {_stages(receipt)['finetune']:.0f} s.",
        "",
        "| model | size | sealed accuracy (95 %) | p50 | p99 | texts per second | time to find |",
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
        f"{row.p50.value_ms:.2f} ms | {row.p99.value_ms:.2f} ms | {row.per_second:,.0f} | {row.found_s:.0f} s |"
    )


if __name__ == "__main__":
    sys.exit(main())
