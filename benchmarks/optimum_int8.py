"""Let optimum quantise a graph to dynamic int8; runs in an environment of its own, because optimum-onnx takes an older transformers.

python optimum_int8.py MODEL.onnx OUT: writes OUT/model.onnx, with optimum's preset for processors with VNNI.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    """Quantise the graph and give the result the name of every bundle's."""
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    model, out = map(Path, sys.argv[1:3])
    preset = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    ORTQuantizer.from_pretrained(model.parent, file_name=model.name).quantize(save_dir=out, quantization_config=preset)
    next(out.glob("*.onnx")).rename(out / "model.onnx")
    return 0


if __name__ == "__main__":
    sys.exit(main())
