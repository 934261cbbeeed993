"""What `manifest.json` says of the least ONNX Runtime is true: real wheels of old versions give the same logits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tinymodels import DATA, LABELS, Name, base_of, checkpoint, spec_of, tables

from parsimony.bundle.folder import MODEL
from parsimony.bundle.predict import load
from parsimony.candidates import BuiltBundle, Candidate
from parsimony.compression.build import Sources, build
from parsimony.data.table import Texts
from parsimony.files import MANIFEST

pytestmark = [pytest.mark.long, pytest.mark.slow]

VERSIONS = ("1.17.3", "1.18.1", "1.22.1")
FUSED = ("trim", "fusion")
CHAINS: dict[str, tuple[Name, tuple[str, ...]]] = {
    "linear": ("linear", ()),
    "linear, int4": ("linear", ("trim", "int4")),
    "linear, int8": ("linear", ("trim", "int8")),
    "static, int4": ("static", ("trim", "int4")),
    "reference": ("reference", ()),
    "reference, mixed": ("reference", (*FUSED, "mixed")),
    "reference, int8": ("reference", (*FUSED, "int8")),
    "student, int4": ("narrow", (*FUSED, "int4")),
}
TRAIN, VALIDATION, _ = tables()
# Products of 8 bits are added exactly, whatever the processor, in the old runtime and in ours. Tokens on standard input, logits on standard output; nothing but the runtime is installed there.
PREDICT = """
import json, sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.add_session_config_entry("session.x64quantprecision", "1")
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
rows = []
for ids in json.load(sys.stdin):
    values = {"input_ids": [ids], "attention_mask": [[1] * len(ids)]}
    feeds = {node.name: numpy.array(values[node.name], dtype=numpy.int64) for node in session.get_inputs()}
    rows.append(session.run(["logits"], feeds)[0][0].tolist())
print(json.dumps({"version": onnxruntime.__version__, "logits": rows}))
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BuiltBundle]:
    """Each kind of bundle that a run can promote, of a tiny base."""
    made = {}
    for name, (checkpoint_name, after) in CHAINS.items():
        sources = Sources(
            checkpoint=Path(checkpoint("bert", checkpoint_name).folder),
            base=base_of("bert"),
            texts=Texts.of(TRAIN.texts),
            labels=LABELS,
            data_digest=DATA,
        )
        candidate = Candidate(spec=spec_of("bert", checkpoint_name), techniques=after)
        made[name] = build(candidate, sources, tmp_path_factory.mktemp("bundles") / "b")
    return made


@pytest.fixture(scope="module", params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with one version of ONNX Runtime and numpy."""
    place = tmp_path_factory.mktemp("runtime")
    subprocess.run((sys.executable, "-m", "venv", place), check=True)
    python = place / "bin" / "python"
    pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary=:all:")
    done = subprocess.run((*pip, f"onnxruntime=={request.param}", "numpy<2"), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no wheel of onnxruntime {request.param} for this Python: {done.stderr.strip()[-200:]}")
    return python


@pytest.mark.parametrize("name", CHAINS)
def test_a_bundle_gives_the_same_logits_in_every_runtime_from_the_least_on(
    name: str, old: Path, bundles: dict[str, BuiltBundle]
) -> None:
    folder = Path(bundles[name].folder)
    assert json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["onnxruntime"] == "1.17"
    tokenizer = load(folder).tokenizer
    assert tokenizer is not None
    asked = json.dumps([tokenizer.encode(text).ids for text in VALIDATION.texts])
    rows, expected = (
        np.array(json.loads(_printed(python, folder / MODEL, asked))["logits"])
        for python in (old, Path(sys.executable))
    )
    gaps = np.abs(rows - expected).max(1)
    assert (
        np.median(gaps) < 1e-4
    )  # here and there another version rounds one number to the next of 8 bits, int8 or int4
    assert gaps.max() < (1e-3 if name in ("linear", "reference") else np.abs(expected).max())
    assert (rows.argmax(1) == expected.argmax(1)).mean() >= 0.98


def _printed(python: Path, model: Path, asked: str) -> str:
    done = subprocess.run((python, "-c", PREDICT, model), input=asked, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout
