"""Label texts with a bundle and without Parsimony: python predict.py FOLDER TEXT ... Needs onnxruntime and tokenizers."""

import json
import os
import sys
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy
import onnxruntime
import tokenizers

folder = Path(sys.argv[1])
labels, manifest = (json.loads((folder / name).read_text("utf-8")) for name in ("labels.json", "manifest.json"))
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
for text in sys.argv[2:]:
    first = tokenizer.encode(text[:20_000])
    windows = [first, *first.overflowing] if manifest.get("windows") == "mean" else [first]
    rows, lengths = [], [len(window.ids) for window in windows]
    for window in windows:
        values = {"input_ids": window.ids, "attention_mask": window.attention_mask}
        feeds = {node.name: numpy.array([values[node.name]], dtype=numpy.int64) for node in session.get_inputs()}
        rows.append(session.run(["logits"], feeds)[0][0])
    print(labels[numpy.average(rows, axis=0, weights=lengths).argmax()])  # noqa: T201
