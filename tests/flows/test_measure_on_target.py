"""What a target needs: the flow that runs there imports nothing that trains, validates or registers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from parsimony.tasks.target import result_in

ABSENT = (
    "torch", "mlflow", "great_expectations", "transformers", "datasets", "sklearn", "scipy", "onnx",
    "matplotlib", "accelerate", "codecarbon", "psutil", "onnx_ir", "optimum",
)  # fmt: skip


@pytest.mark.slow
def test_the_flow_of_a_target_is_loaded_where_only_the_base_and_prefect_are(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"for name in {ABSENT}:\n    sys.modules[name] = None\n"
        "from prefect.flows import load_flow_from_entrypoint\n"
        "from parsimony.flows.measure_on_target import ENTRYPOINT\n"
        "flow = load_flow_from_entrypoint(ENTRYPOINT)\n"
        "import parsimony.tasks.target, parsimony.measurement.measure, parsimony.measurement.worker\n"
        "print(flow.name, sorted(flow.parameters.properties))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.strip() == "measure-on-target ['request', 'size_bytes', 'store']", done.stderr


def test_the_result_is_read_from_the_sentence_of_the_state() -> None:
    digest = "0123456789abcdef" * 4
    reference = result_in(f"Measured 2 bundles, 1 of them predicted anew; the result is sha256:{digest}, 512 bytes.")
    assert reference is not None and (reference.sha256, reference.size_bytes) == (digest, 512)
    assert result_in("Measured nothing.") is None
    assert result_in(f"sha256:{digest[:-1]}, 512 bytes") is None
