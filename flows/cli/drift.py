"""`parsimony drift`: whether recent texts differ from those of the training."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from parsimony.flows.champions import bundle_folder
from parsimony.flows.cli.shared import Verbs, say, share, takes_confidence, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "tell whether recent texts differ from those of the training"
    parser = verb(verbs, drift, "drift", purpose, "drift support-tickets recent.jsonl --training train.csv")
    parser.add_argument("name", help="the registered model, or a folder with a bundle")
    parser.add_argument("recent", help="recent texts, in a file or folder of any kind that a plan can name")
    parser.add_argument("--training", required=True, metavar="FILE", help="the texts that the model was trained on")
    parser.add_argument("--text", default="text", metavar="COLUMN", help="the column of texts (default: text)")
    parser.add_argument(
        "--limit",
        type=_limit,
        default=0.6,
        metavar="SHARE",
        help="how many texts may be distinguished (default: 0.6; chance is 0.5)",
    )
    parser.add_argument("--seed", type=int, default=0, help="which texts are drawn (default: 0)")
    takes_confidence(parser)
    takes_json(parser, "print what was seen as JSON")


def _limit(text: str) -> float:
    """Return a share from one half, which is chance, to 1, which is excluded."""
    value = share(text)
    if value < 0.5:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected at least 0.5: half is chance, so everything would be drift"
        )
    return value


def drift(chosen: argparse.Namespace) -> int:
    """Print what was seen; 1 when the texts have drifted."""
    from parsimony.flows import monitoring

    with bundle_folder(chosen.name, say) as folder:
        result = monitoring.drift(
            folder,
            monitoring.Texts(recent=chosen.recent, training=chosen.training, text=chosen.text),
            monitoring.Limits(distinguished=chosen.limit, confidence=chosen.confidence, seed=chosen.seed),
        )
    lines = monitoring.drift_lines(result)
    print(json.dumps(asdict(result), ensure_ascii=False) if chosen.json else "\n".join(lines))
    return int(result.has_drifted)
