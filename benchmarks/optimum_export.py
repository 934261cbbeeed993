"""Let optimum export an encoder to ONNX; runs in an environment of its own, because optimum-onnx takes an older transformers.

python optimum_export.py FOLDER OUT: writes OUT/model.onnx, which gives the last states of the encoder in FOLDER.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Export the encoder without a head; Parsimony adds its own to this graph as to its own."""
    from optimum.exporters.onnx import onnx_export_from_model
    from transformers import AutoModel

    folder, out = map(Path, sys.argv[1:3])
    encoder = AutoModel.from_pretrained(folder).eval()
    onnx_export_from_model(encoder, out, task="feature-extraction", opset=18, do_validation=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
