"""`parsimony quality`: whether the champion is still as often right as was promised."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from parsimony.flows.champions import bundle_folder, registry
from parsimony.flows.cli.shared import Verbs, say, share, takes_confidence, takes_json, verb


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "tell whether the champion is still as often right as when it was promoted"
    parser = verb(verbs, quality, "quality", purpose, "quality support-tickets labelled.csv")
    parser.add_argument("name", help="the registered model, or a folder with a bundle (then with --promised)")
    parser.add_argument(
        "labelled", help="recent labelled texts in the order in which they came; append to it, and look again"
    )
    parser.add_argument("--text", default="text", metavar="COLUMN", help="the column of texts (default: text)")
    parser.add_argument("--label", default="label", metavar="COLUMN", help="the column of labels (default: label)")
    parser.add_argument(
        "--fall",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="how much less than certified is no alarm (default: 0.02)",
    )
    parser.add_argument(
        "--promised",
        type=share,
        metavar="SHARE",
        help="the accuracy that was promised, where it is not the certified one",
    )
    takes_confidence(parser)
    takes_json(parser, "print what was seen as JSON")


def quality(chosen: argparse.Namespace) -> int:
    """Print what was seen; 1 when the quality has fallen."""
    from parsimony.flows import monitoring

    promised = chosen.promised
    if promised is None:
        from parsimony.tasks.registry.promise import certified_accuracy

        promised = certified_accuracy(registry(), chosen.name)
    with bundle_folder(chosen.name, say) as folder:
        labelled = monitoring.Labelled(source=chosen.labelled, text=chosen.text, label=chosen.label)
        result = monitoring.quality(folder, labelled, promised - chosen.fall, chosen.confidence)
    print(json.dumps(asdict(result)) if chosen.json else monitoring.quality_line(result))
    return int(result.has_fallen)
