"""The model code that MLflow stores with a registered version: raw text in, label out.

MLflow runs this file by itself, far from Parsimony, so it repeats the few lines that read a bundle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc
import numpy as np
import onnxruntime
import tokenizers
from mlflow.types.type_hints import TypeFromExample

MAX_CHARS = 20_000  # a longer text is cut before it reaches the tokenizer, which would keep every overflowing piece


class BundleModel(mlflow.pyfunc.PythonModel):
    """Predict with the bundle stored beside this file; one text at a time, the shape in which it was judged."""

    def load_context(self, context: Any) -> None:
        """Read the bundle: ONNX from bytes, so that external data is refused; one CPU thread."""
        folder = Path(context.artifacts["bundle"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        model = (folder / "model.onnx").read_bytes()
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        reads_tokens = manifest["input"] == "tokens"
        self.averaged = manifest.get("windows", "first") == "mean"
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")) if reads_tokens else None

    # With `list[str]` as the hint, MLflow refuses a pandas Series and every HTTP body but {"inputs": [...]}.
    def predict(self, context: Any, model_input: TypeFromExample, params: dict[str, Any] | None = None) -> list[str]:
        """Return the label of each text.

        Takes a list of texts, a Series, an array, or a DataFrame of one column; TypeError for anything but text.
        """
        texts = np.asarray(model_input, dtype=object).ravel().tolist()
        return [self._label(text) for text in texts]

    def _label(self, text: object) -> str:
        if not isinstance(text, str):
            raise TypeError(f"found {text!r}, expected a text; drop missing values before you predict")
        windows = self._feeds(text[:MAX_CHARS])
        rows = [self.session.run(["logits"], window)[0][0] for window in windows]
        logits = np.average(rows, axis=0, weights=[window[self.inputs[0]].shape[-1] or 1 for window in windows])
        return str(self.labels[int(np.argmax(logits))])

    def _feeds(self, text: str) -> list[dict[str, Any]]:
        """Return the inputs of each window that is read: the first, or all where the bundle averages them."""
        if self.tokenizer is None:
            return [{"text": np.array([text], dtype=object)}]
        encoding = self.tokenizer.encode(text)
        return [self._inputs(window) for window in (encoding, *(encoding.overflowing if self.averaged else ()))]

    def _inputs(self, encoding: tokenizers.Encoding) -> dict[str, Any]:
        values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask}
        return {name: np.array([values[name]], dtype=np.int64) for name in self.inputs}


mlflow.models.set_model(BundleModel())
