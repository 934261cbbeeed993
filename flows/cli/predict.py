"""`parsimony predict`: labels for texts. With a folder it needs numpy, onnxruntime and tokenizers only."""

from __future__ import annotations

import argparse
import json
import re
import sys

from parsimony.flows.champions import bundle_folder
from parsimony.flows.cli.shared import Verbs, say, takes_json, verb

_BREAKS = re.compile(r"[\r\n\v\f]+")  # a label is one line


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "label texts with the champion"
    parser = verb(verbs, predict, "predict", purpose, 'predict support-tickets "it does not sync"')
    parser.add_argument("name", help="the registered model, or a folder with a bundle")
    parser.add_argument("text", nargs="*", help="texts; without any, one a line from standard input")
    takes_json(parser, "print label and share, one JSON object a line")


def predict(chosen: argparse.Namespace) -> int:
    """Print the label of each text, in the order of the texts."""
    from parsimony import load

    with bundle_folder(chosen.name, say) as folder:
        model = load(folder)
    for text in chosen.text or (line.rstrip("\n") for line in sys.stdin):
        shares = model.probabilities(text)
        label = max(shares, key=lambda name: shares[name])
        print(
            json.dumps({"label": label, "share": round(shares[label], 4)}) if chosen.json else _BREAKS.sub(" ", label)
        )
    return 0
