"""`parsimony bench`: a bundle measured on this machine in every scenario."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from parsimony.errors import PlanError
from parsimony.flows import settings
from parsimony.flows.champions import bundle_folder
from parsimony.flows.cli.shared import Verbs, say, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "measure a bundle on this machine in every scenario"
    parser = verb(verbs, bench, "bench", purpose, "bench support-tickets --threads 1")
    parser.add_argument("bundle", help="a folder with a bundle, a registered model, or the http:// address of a server")
    parser.add_argument("--threads", type=int, default=1, help="threads a prediction may use (1)")
    parser.add_argument("--texts", metavar="FILE", help="texts to predict, one a line")
    takes_json(parser, "print the measurement as JSON")


def bench(chosen: argparse.Namespace) -> int:
    """Measure and print a table of scenarios."""
    from parsimony.flows.display import print_table
    from parsimony.measurement import machine
    from parsimony.measurement.records import TargetSettings
    from parsimony.measurement.scenarios import bench as benches
    from parsimony.reporting import bench_text

    texts = _texts(Path(chosen.texts)) if chosen.texts else benches.SAMPLE_TEXTS
    if chosen.bundle.startswith(("http://", "https://")):
        return _server(chosen, texts)
    if chosen.threads > (available := machine.usable_threads()):
        raise PlanError(f"--threads {chosen.threads}: this machine runs {available} at once")
    target = TargetSettings(name="here", threads=chosen.threads, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    with bundle_folder(chosen.bundle, say) as folder:
        benched = benches.bench(folder, texts, target)
    if chosen.json:
        print(json.dumps(bench_text.to_json(benched)))
        return 0
    print_table(bench_text.table(benched))
    print("\n" + "\n".join(bench_text.lines(benched)))
    return 0


def _server(chosen: argparse.Namespace, texts: Sequence[str]) -> int:
    """Measure a server that runs already, from this machine."""
    from parsimony.flows.display import print_table
    from parsimony.measurement.scenarios import http_load
    from parsimony.reporting import bench_text

    scenarios = http_load.every(http_load.address_of(chosen.bundle, settings.serving_token()), texts)
    if chosen.json:
        print(json.dumps([asdict(scenario) for scenario in scenarios]))
        return 0
    print_table(bench_text.rows(scenarios))
    return 0


def _texts(path: Path) -> list[str]:
    """Return the lines of a file that are not empty; PlanError when there are none."""
    texts = [text for text in path.read_text("utf-8").splitlines() if text]
    if not texts:
        raise PlanError(f"{path} holds no text, expected one a line")
    return texts
