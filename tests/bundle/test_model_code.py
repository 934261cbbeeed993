"""The model code that MLflow stores checks what `load` checks, with the same lines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = (ROOT / "mlflow" / "bundle_model.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["onnx_message", "graph_check", "expression_check", "tokenizer_check"])
def test_the_model_code_repeats_the_module_word_for_word(name: str) -> None:
    """When this fails, copy the module without its imports between the two lines that name it."""
    path = ROOT / "parsimony" / "bundle" / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    first = next(node for node in ast.parse(source).body[1:] if not isinstance(node, ast.Import | ast.ImportFrom))
    begin, end = f"# === parsimony/bundle/{name}.py, word for word ===", f"# === end of parsimony/bundle/{name}.py ==="
    copied = CODE[CODE.index(begin) + len(begin) : CODE.index(end)]
    assert "\n".join(source.splitlines()[first.lineno - 1 :]) in copied


def test_no_name_of_the_model_code_hides_another() -> None:
    names: list[str] = []
    for node in ast.parse(CODE).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    assert [name for name in set(names) if names.count(name) > 1] == []
