"""The examples run as they are: without Parsimony, and on a CSV file of one's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import WORDS, write_tiny_bundle

from parsimony.bundle import predict
from parsimony.data.reader import read_table
from parsimony.flows import plan_file

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_script_without_parsimony_prints_the_same_labels(tmp_path: Path) -> None:
    script = (EXAMPLES / "predict.py").read_text(encoding="utf-8")
    assert "parsimony" not in script.split('"""')[2]
    for windows in ("first", "mean"):
        write_tiny_bundle(tmp_path / windows, windows=windows)
        texts = [*WORDS, "nothing known", "rain " * 20 + "hello " * 30]
        command = (sys.executable, "-I", EXAMPLES / "predict.py", tmp_path / windows, *texts)
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert printed == predict.load(tmp_path / windows).predict(texts)


def test_the_plan_of_the_csv_example_fits_what_its_script_writes(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLES / "own-csv", tmp_path / "own-csv"))
    subprocess.run((sys.executable, "-I", folder / "make_data.py"), check=True)
    plan = plan_file.load(folder / "plan.toml")
    table = read_table(plan.data.train, text=plan.data.text, label=plan.data.label, part="train")
    assert len(table) == len(set(table.texts)) == 1_200
    assert min(table.labels.count(label) for label in set(table.labels)) > 200
