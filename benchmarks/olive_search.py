"""Let Olive search for its smallest output within an accuracy goal; runs in an environment of its own.

python olive_search.py MODEL.onnx ROWS.json MARGIN OUT: ROWS holds `ids`, one list of token ids a text, and `classes`.
Writes OUT/model.onnx. Size is the first objective, accuracy the second with the margin as its goal.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

BLOCKS = (32, 64, 128)


def accuracy(model, device, execution_providers):
    """Return the share of right answers of an Olive model, one text at a time; Olive calls it."""
    session = model.prepare_session(device=device, execution_providers=execution_providers)
    rows = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    right = 0
    for ids, number in zip(rows["ids"], rows["classes"], strict=True):
        tokens = np.array([ids], dtype=np.int64)
        [logits] = session.run(["logits"], {"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
        right += int(logits[0].argmax() == number)
    return right / len(rows["ids"])


def configuration(model: str, margin: float, out: Path) -> dict:
    """Return Olive's run configuration: every quantisation that makes small files, with and without fusion."""
    size = {"name": "bytes", "priority": 1, "higher_is_better": False}
    quality = {
        "name": "accuracy",
        "priority": 2,
        "higher_is_better": True,
        "goal": {"type": "max-degradation", "value": margin},
    }
    mine = {"user_script": __file__, "evaluate_func": "accuracy"}
    metrics = [
        {"name": "size", "type": "size_on_disk", "sub_types": [size]},
        {"name": "quality", "type": "custom", "sub_types": [quality], "user_config": mine},
    ]
    blocks = [
        {"type": "OnnxBlockWiseRtnQuantization", "bits": 4, "block_size": block, "accuracy_level": 4}
        for block in BLOCKS
    ]
    dynamic = {"type": "OnnxDynamicQuantization", "precision": "int8", "per_channel": True, "reduce_range": False}
    return {
        "input_model": {"type": "ONNXModel", "model_path": model},
        "systems": {
            "here": {
                "type": "LocalSystem",
                "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
            }
        },
        "evaluators": {"both": {"metrics": metrics}},
        "passes": {"quantise": [dynamic, *blocks]},
        "search_strategy": {
            "execution_order": "joint",
            "sampler": "sequential",
            "output_model_num": 1,
            "include_pass_params": False,
        },
        "evaluator": "both",
        "host": "here",
        "target": "here",
        "cache_dir": str(out / "cache"),
        "output_dir": str(out / "found"),
        "log_severity_level": 2,
    }


def main() -> int:
    """Run the search and copy the smallest graph that it found."""
    from olive.workflows import run

    model, _, margin, out = sys.argv[1:5]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    found = run(configuration(model, float(margin), folder))
    best = found.get_best_candidate()
    if best is None:
        sys.exit("Olive found no model within the goal")
    shutil.copyfile(best.model_path, folder / "model.onnx")
    sys.stderr.write(f"Olive: {best.metrics_value} by {best.from_pass}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
