"""What `import parsimony` offers: a bundle loaded and predicted with, by three libraries and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bundles import LABELS, write_tiny_bundle

import parsimony
from parsimony import load, predict
from parsimony.errors import InfrastructureError

TEXTS = ("hello", "rain or sun", "send money")
EXPECTED = ["greeting", "weather", "transfer"]
# Beyond the standard library: what a serving container installs, and nothing that trains, orders or measures.
NEEDED = {"numpy", "onnxruntime", "tokenizers"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_public_names_are_load_and_predict() -> None:
    assert parsimony.__all__ == ["load", "predict"]
    assert (Path(parsimony.__file__).parent / "py.typed").is_file()


def test_a_loaded_bundle_predicts_labels_and_probabilities(folder: Path) -> None:
    model = load(folder)
    assert model.labels == LABELS
    assert model.predict(TEXTS) == EXPECTED
    probabilities = model.probabilities("rain")
    assert tuple(probabilities) == LABELS
    assert max(probabilities, key=lambda label: probabilities[label]) == "weather"
    assert sum(probabilities.values()) == pytest.approx(1)


@pytest.mark.slow
def test_a_folder_may_be_a_path_or_a_string_or_loaded_before(folder: Path) -> None:
    assert predict(folder, TEXTS) == predict(str(folder), TEXTS) == predict(load(str(folder)), TEXTS) == EXPECTED


@pytest.mark.slow
def test_one_text_in_place_of_a_list_is_refused_and_not_read_letter_by_letter(folder: Path) -> None:
    for ask in (load(folder).predict, lambda text: predict(folder, text)):
        with pytest.raises(TypeError, match="found one text, expected a list of texts"):
            ask("hello")


@pytest.mark.slow
def test_the_session_gets_the_threads_that_are_asked_for(folder: Path) -> None:
    assert load(folder).session.get_session_options().intra_op_num_threads == 1
    assert load(folder, threads=2).session.get_session_options().intra_op_num_threads == 2


@pytest.mark.slow
def test_a_damaged_bundle_is_refused(folder: Path) -> None:
    (folder / "labels.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InfrastructureError, match="labels.json has 2 bytes"):
        load(folder)


def _modules_after(code: str) -> set[str]:
    """Return the installed packages that a fresh process has imported after this code."""
    show = "; import sys; print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    done = subprocess.run([sys.executable, "-c", code + show], capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split() if not name.startswith(("_", "sitecustomize"))} - {"parsimony"}


def test_importing_the_package_imports_no_other() -> None:
    assert _modules_after("import parsimony; from parsimony import load, predict") == set()


@pytest.mark.slow
def test_predicting_imports_three_libraries_and_no_other_of_ours(folder: Path) -> None:
    code = f"import parsimony; print(parsimony.load({str(folder)!r}).predict({list(TEXTS)!r}), file=__import__('sys').stderr)"
    assert _modules_after(code) >= NEEDED
    heavy = {"torch", "transformers", "onnx", "sklearn", "scipy", "pandas", "prefect", "mlflow", "pydantic", "psutil"}
    assert not heavy & _modules_after(code)
