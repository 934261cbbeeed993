"""The house as it is drawn: one arrow of imports, and folders that hide no installed package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "mlflow",
    "great_expectations",
}
ALLOWED = {"flows": {"flows", "tasks", "parsimony"}, "tasks": {"tasks", "parsimony"}, "parsimony": {"parsimony"}}
OURS = {"flows", "tasks", "parsimony", "tests"}


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path, *, top_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_from_flows_to_tasks_to_parsimony(package: str) -> None:
    for path in _files(package):
        ours = {name.split(".")[0] for name in _imports(path)} & OURS
        assert ours <= ALLOWED[package], path


def test_the_library_imports_no_engine_no_registry_and_no_validator() -> None:
    for path in _files("parsimony"):
        roots = {name.split(".")[0] for name in _imports(path)}
        assert not roots & {"prefect", "mlflow", "great_expectations", "pydantic"}, path


def test_only_the_registry_modules_import_mlflow_and_only_the_checks_great_expectations() -> None:
    found = {
        library: {
            path.relative_to(ROOT).as_posix()
            for package in ALLOWED
            for path in _files(package)
            if library in {name.split(".")[0] for name in _imports(path)}
        }
        for library in ("mlflow", "great_expectations")
    }
    assert found == {
        "mlflow": {"tasks/ledger.py", "tasks/promotion.py", "tasks/registry.py", "tasks/tracking.py"},
        "great_expectations": {"tasks/expectations.py"},
    }


def test_families_and_techniques_never_import_each_others_members() -> None:
    for folder in ("families", "techniques"):
        for path in _files(f"parsimony/{folder}"):
            if path.name != "__init__.py":
                assert not [n for n in _imports(path) if n.startswith(("parsimony.families", "parsimony.techniques"))]


def test_the_arithmetic_imports_records_numpy_and_the_standard_library_only() -> None:
    for name in ("stats", "exact", "slices", "gates", "selection", "journal"):
        roots = set(_imports(ROOT / "parsimony" / f"{name}.py"))
        ours = {n for n in roots if n.startswith("parsimony.")}
        assert all(n.split(".")[1] in {"records", "stats", "exact", "slices"} for n in ours), name
        assert {n.split(".")[0] for n in roots} - {"parsimony"} <= {*sys.stdlib_module_names, "numpy"}, name


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for package in ALLOWED:
        for path in _files(package):
            assert not {name.split(".")[0] for name in _imports(path, top_only=True)} & HEAVY, path


@pytest.mark.parametrize("name", ["mlflow", "docker"])
def test_the_folder_hides_no_installed_package(name: str) -> None:
    assert not (ROOT / name / "__init__.py").exists()
    code = f"import {name}; print({name}.__file__)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "site-packages" in found.stdout


def test_a_serving_machine_needs_three_libraries_to_predict() -> None:
    code = (
        "import sys, parsimony.bundle, parsimony.worker\n"
        "ours = {'torch', 'transformers', 'onnx', 'prefect', 'mlflow', 'sklearn', 'pydantic', 'pandas'}\n"
        "print(sorted(ours & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_packages_are_named_one_by_one_and_none_is_forgotten() -> None:
    import tomllib

    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    present = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for package in ALLOWED
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(named) == present


def test_the_lock_pins_every_version_and_carries_no_address() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert all(line.count("==") == 1 and "/" not in line and "@" not in line for line in pins)


def test_the_versions_that_break_the_scheduler_are_locked_out() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    assert tuple(map(int, pins["fastapi"].split(".")[:2])) < (0, 151)
    assert tuple(map(int, pins["SQLAlchemy"].split(".")[:2])) < (2, 1)


def test_the_deployments_name_the_flow_and_a_valid_plan() -> None:
    import yaml
    from prefect.flows import load_flow_from_entrypoint

    from flows.plan import parse

    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    assert [d["name"] for d in deployments] == ["on-demand", "weekly"]
    for deployment in deployments:
        assert load_flow_from_entrypoint(str(ROOT / deployment["entrypoint"])).name == "promote-smallest"
        plan = parse(deployment["parameters"]["plan"], "prefect.yaml")
        assert (ROOT / plan.data.train).is_file()
    assert deployments[1]["schedules"] == [{"slug": "weekly", "cron": "0 3 * * 1", "timezone": "UTC", "active": False}]
