"""Let Olive search for its smallest output within an accuracy goal; runs in an environment of its own.

python olive_search.py MODEL.onnx ROWS.json MARGIN OUT: ROWS holds `ids`, one list of token ids a text, and `classes`.
Writes OUT/model.onnx. Size is the first objective, accuracy the second with the margin as its goal.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from olive.data.registry import Registry

BLOCKS = (32, 64, 128)


def rows():
    """Return the token ids and class numbers that accuracy is judged by."""
    return json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))


class Texts(torch.utils.data.Dataset):
    """One text at a time, unpadded, as the graph is served."""

    def __init__(self):
        given = rows()
        self.pairs = list(zip(given["ids"], given["classes"], strict=True))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, place):
        ids, number = self.pairs[place]
        tokens = torch.tensor(ids)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}, torch.tensor(number)


@Registry.register_dataset()
def search_texts(**_):
    """Return the data set; Olive calls it."""
    return Texts()


@Registry.register_post_process()
def best_class(outputs, **_):
    """Return the class with the highest logit; Olive calls it."""
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    return torch.as_tensor(logits).argmax(-1)


def judged(margin: float) -> dict:
    """Return how Olive judges a graph: by its size, then by its accuracy on the texts, within the margin."""
    size = {"name": "bytes", "priority": 1, "higher_is_better": False}
    quality = {
        "name": "accuracy_score",
        "priority": 2,
        "higher_is_better": True,
        "goal": {"type": "max-degradation", "value": margin},
        "metric_config": {"task": "multiclass", "num_classes": 1 + max(rows()["classes"])},
    }
    data = {
        "name": "texts",
        "type": "DataContainer",
        "user_script": __file__,
        "load_dataset_config": {"type": "search_texts"},
        "pre_process_data_config": {"type": "skip_pre_process"},
        "post_process_data_config": {"type": "best_class"},
        "dataloader_config": {"batch_size": 1},
    }
    metrics = [
        {"name": "size", "type": "size_on_disk", "sub_types": [size]},
        {"name": "quality", "type": "accuracy", "sub_types": [quality], "data_config": "texts"},
    ]
    return {"data_configs": [data], "evaluators": {"both": {"type": "OnnxEvaluator", "metrics": metrics}}}


def quantisations() -> list[dict]:
    """Return every quantisation that makes small files."""
    blocks = [
        {"type": "OnnxBlockWiseRtnQuantization", "bits": 4, "block_size": block, "accuracy_level": 4}
        for block in BLOCKS
    ]
    dynamic = {"type": "OnnxDynamicQuantization", "precision": "int8", "per_channel": True, "reduce_range": False}
    return [dynamic, *blocks]


def configuration(model: str, margin: float, out: Path) -> dict:
    """Return Olive's run configuration."""
    return {
        **judged(margin),
        "input_model": {"type": "ONNXModel", "model_path": model},
        "systems": {
            "here": {
                "type": "LocalSystem",
                "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
            }
        },
        "passes": {"quantise": quantisations()},
        "search_strategy": {
            "execution_order": "joint",
            "sampler": "sequential",
            "output_model_num": 1,
            "include_pass_params": True,
        },
        "evaluator": "both",
        "host": "here",
        "target": "here",
        "cache_dir": str(out / "cache"),
        "output_dir": str(out / "result"),
        "log_severity_level": 2,
    }


def main() -> int:
    """Run the search and copy the smallest graph within the margin."""
    from olive.workflows import run

    model, _, margin, out = sys.argv[1:5]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    best = run(configuration(model, float(margin), folder)).get_best_candidate()
    if best is None:
        sys.exit("Olive found no model within the goal")
    shutil.copyfile(best.model_path, folder / "model.onnx")
    sys.stderr.write(f"Olive: {best.metrics_value} by {best.from_pass}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
