"""The house as it is drawn: who may import whom, room by room, how large a thing may be, and which words are used."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The floors, top to bottom; a room imports only rooms that lie lower. FACE is parsimony/__init__.py.
FACE = "parsimony"
FLOORS = (
    ("flows",),
    ("tasks",),
    ("audit",),
    ("reporting", "search"),
    ("decision", "compression"),
    ("measurement", "training", "serving", FACE),
    ("bundle", "data"),
    ("files", "graphs"),
    ("runtimes", "candidates", "errors"),
)
# Which room imports which: all arrows that there are.
TABLE = {
    "flows": "tasks audit reporting search decision measurement training serving parsimony bundle data files runtimes candidates errors",
    "tasks": "reporting decision compression measurement training bundle data files candidates errors",
    "audit": "reporting decision measurement bundle data files candidates errors",
    "reporting": "decision measurement data files candidates errors",
    "search": "decision compression training bundle data graphs candidates errors",
    "decision": "measurement data candidates errors",
    "compression": "training bundle data files graphs candidates",
    "measurement": "bundle data files runtimes candidates errors",
    "serving": "bundle files errors",
    "training": "data files graphs runtimes candidates errors",
    FACE: "bundle",
    "bundle": "files runtimes candidates errors",
    "data": "files errors",
    "files": "errors",
    "graphs": "runtimes",
    "runtimes": "",
    "candidates": "errors",
    "errors": "",
}
# Refusals are records without a room below them: everybody may raise one.
SAME_FLOOR = {("candidates", "errors")}
PACKAGES = {"parsimony": "parsimony", "flows": "parsimony.flows", "tasks": "parsimony.tasks"}
BASE = {"numpy", "onnxruntime", "tokenizers"}
HEAVY = {
    "accelerate", "codecarbon", "datasets", "great_expectations", "matplotlib", "mlflow", "onnx_ir", "onnxruntime",
    "pandas", "scipy", "sklearn", "torch", "transformers",
}  # fmt: skip
MOST_ENTRIES, MOST_PARAMETERS, MOST_LINES = 16, 6, 40
OLD_NAMES = {
    "trunk", "trunks", "Trunk", "grown", "Grown", "apart", "answers", "sealed", "exposures", "worn", "twin", "roofs",
    "rung", "rungs", "found", "seen", "base_line",
}  # fmt: skip
OLD_WORDS = re.compile(r"\b((sealed|search|base)[\s#]+(splits?|lines?)|twins?|rungs?|worn|trunks?)\b", re.IGNORECASE)


# --- what there is --------------------------------------------------------------------------------


def _module(path: Path) -> str:
    """Return the name under which a source file is imported: flows/plan.py is parsimony.flows.plan."""
    first, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join((PACKAGES[first], *(part for part in rest if part != "__init__")))


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


SOURCES = {_module(path): path for package in PACKAGES for path in _files(package)}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Return every node of a file; many tests look at them, and walking takes time."""
    return tuple(ast.walk(tree))


TREES = {module: _parsed(path) for module, path in SOURCES.items()}


def _imports(tree: ast.Module, *, top_only: bool = False) -> Iterator[str]:
    """Yield what is imported: the module itself where `from package import module` names one, else what holds the name."""
    for node in tree.body if top_only else _nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide which room is meant"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name if name in SOURCES else str(node.module) for name in names)


@cache
def _libraries(module: str, *, top_only: bool = False) -> set[str]:
    return {name.split(".")[0] for name in _imports(TREES[module], top_only=top_only)} - {"parsimony"}


def _third_party(module: str) -> set[str]:
    return _libraries(module) - set(sys.stdlib_module_names)


@cache
def _arrows() -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for module, tree in TREES.items():
        rooms = {_room(name) for name in _imports(tree) if name.split(".")[0] == "parsimony"}
        arrows.setdefault(_room(module), set()).update(rooms - {_room(module)})
    return arrows


# --- who imports whom -----------------------------------------------------------------------------


def test_every_room_has_a_floor_and_a_line_in_the_table() -> None:
    rooms = {_room(module) for module in SOURCES}
    assert rooms == set(TABLE)
    assert sorted(rooms) == sorted(room for floor in FLOORS for room in floor)


@pytest.mark.parametrize("room", TABLE)
def test_a_room_imports_the_rooms_that_the_table_names_and_no_other(room: str) -> None:
    assert _arrows()[room] == set(TABLE[room].split())


def test_every_arrow_of_the_table_runs_down() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    arrows = {(room, below) for room, line in TABLE.items() for below in line.split()}
    assert {(room, below) for room, below in arrows if floor[below] == floor[room]} == SAME_FLOOR
    assert [(room, below) for room, below in arrows if floor[below] < floor[room]] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: {name for name in _imports(tree) if name in SOURCES} - {module} for module, tree in TREES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_from_flows_to_tasks_to_parsimony(package: str) -> None:
    allowed = {"flows": {"parsimony"}, "tasks": {"parsimony"}, "parsimony": {"parsimony"}}[package]
    above = {"flows": set(), "tasks": {"flows"}, "parsimony": {"flows", "tasks"}}[package]
    for path in _files(package):
        names = set(_imports(TREES[_module(path)]))
        assert {name.split(".")[0] for name in names} & {*PACKAGES, "tests", "benchmarks"} <= allowed, path
        assert not {_room(name) for name in names if name.startswith("parsimony.")} & above, path


def test_the_library_imports_no_engine_no_registry_and_no_validator() -> None:
    for path in _files("parsimony"):
        assert not _libraries(_module(path)) & {"prefect", "mlflow", "great_expectations", "pydantic"}, path


@pytest.mark.parametrize(
    ("library", "room"), [("mlflow", "parsimony.tasks.registry"), ("great_expectations", "parsimony.tasks.validation")]
)
def test_only_the_registry_imports_mlflow_and_only_the_validation_great_expectations(library: str, room: str) -> None:
    users = [module for module in SOURCES if library in _libraries(module)]
    assert users
    assert [module for module in users if not module.startswith(f"{room}.")] == []


@pytest.mark.parametrize("package", ["parsimony.training.families", "parsimony.compression.techniques"])
def test_families_and_techniques_never_import_each_others_members(package: str) -> None:
    members = [module for module in SOURCES if module.startswith(f"{package}.")]
    assert len(members) >= 3
    folders = ("parsimony.training.families", "parsimony.compression.techniques")
    for module in members:
        assert not [name for name in _imports(TREES[module]) if name.startswith(folders)], module


def test_the_arithmetic_imports_rooms_below_it_numpy_and_the_standard_library_only() -> None:
    modules = [module for module in SOURCES if _room(module) == "decision"]
    assert len(modules) >= 9
    assert {module: names for module in modules if (names := _third_party(module) - {"numpy"})} == {}


def test_the_worker_and_what_predicts_import_three_libraries_at_most() -> None:
    rooms = ("bundle", "files", "errors", "candidates", "runtimes")
    modules = [m for m in SOURCES if _room(m) in rooms or m == "parsimony.measurement.worker"]
    assert {module: names for module in modules if (names := _third_party(module) - BASE)} == {}


# --- what an import costs -------------------------------------------------------------------------


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for module in SOURCES:
        assert not _libraries(module, top_only=True) & HEAVY, module


def test_a_module_defines_and_does_nothing_else() -> None:
    defining = (
        ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.If,
    )  # fmt: skip
    for module, tree in TREES.items():
        for node in tree.body:
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert is_text or isinstance(node, defining), f"{module}, line {node.lineno}"
            if isinstance(node, ast.If):
                assert re.search(r"TYPE_CHECKING|__name__", ast.unparse(node.test)), f"{module}, line {node.lineno}"


def _python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_importing_the_library_does_nothing_heavy(tmp_path: Path) -> None:
    modules = [module for module in SOURCES if _room(module) not in ("flows", "tasks") or ".cli" in module]
    code = (
        f"import sys, threading, {', '.join(modules)}\n"
        f"print(sorted({HEAVY | {'prefect', 'pydantic'}} & set(sys.modules)), threading.active_count())"
    )
    assert _python(code, tmp_path) == "[] 1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_serving_machine_needs_three_libraries_to_predict(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import parsimony, parsimony.bundle.predict, parsimony.measurement.worker, parsimony.flows.cli.main\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        f"print(sorted(loaded - set(sys.stdlib_module_names) - {BASE}))"
    )
    assert _python(code, tmp_path) == "['parsimony']"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlflow", "docker"])
def test_the_folder_hides_no_installed_package(name: str) -> None:
    assert not (ROOT / name / "__init__.py").exists()
    assert "site-packages" in _python(f"import {name}; print({name}.__file__)", ROOT)


# --- how large a thing may be ---------------------------------------------------------------------


def test_the_first_look_into_the_library_shows_few_things() -> None:
    marks = {"__pycache__", "py.typed"}  # for Python and for type checkers, not for a reader
    entries = [path.name for path in (ROOT / "parsimony").iterdir() if path.name not in marks]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for module, tree in TREES.items():
        for node in _nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}.{node.name}", node


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    parts = node.args
    named = [arg.arg for arg in (*parts.posonlyargs, *parts.args, *parts.kwonlyargs)]
    return len(named) - (named[:1] in (["self"], ["cls"])) + (parts.vararg is not None) + (parts.kwarg is not None)


def test_no_function_takes_more_than_six_parameters() -> None:
    assert {name: _parameters(node) for name, node in _functions() if _parameters(node) > MOST_PARAMETERS} == {}


def test_no_function_is_longer_than_forty_lines() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in _functions()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


# --- one word for one thing -----------------------------------------------------------------------


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in _nodes(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield node.id, line
        elif isinstance(node, ast.Attribute):
            yield node.attr, line
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg or "", line
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, line
        elif isinstance(node, ast.alias):
            yield from ((part, line) for part in (*node.name.split("."), node.asname or ""))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            yield node.name or "", line


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "benchmarks"])
def test_nothing_is_called_by_an_old_word(folder: str) -> None:
    word = re.compile(rf"\b({'|'.join(OLD_NAMES)})\b")
    old = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in _files(folder)
        if word.search(path.read_text(encoding="utf-8"))  # reading every tree takes seconds
        for name, line in _names(_parsed(path))
        if name in OLD_NAMES
    ]
    assert old == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_uses_an_old_word(package: str) -> None:
    old = {
        str(path.relative_to(ROOT)): words
        for path in _files(package)
        if (words := sorted({match.group() for match in OLD_WORDS.finditer(path.read_text(encoding="utf-8"))}))
    }
    assert old == {}


# --- what is installed ----------------------------------------------------------------------------


def _pyproject() -> dict[str, dict[str, object]]:
    tools: dict[str, dict[str, object]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    return tools


def test_packages_are_named_one_by_one_and_none_is_forgotten() -> None:
    packages = {module for module, path in SOURCES.items() if path.name == "__init__.py"}
    folders = {_module(path.parent / "__init__.py") for path in SOURCES.values()}
    assert packages == folders, "a folder of modules has no __init__.py"
    assert _pyproject()["setuptools"]["packages"] == sorted(packages)


def test_every_path_that_the_settings_and_the_makefile_name_is_there() -> None:
    tools, makefile = _pyproject(), (ROOT / "Makefile").read_text(encoding="utf-8")
    mutated = tools["mutmut"]
    paths = [*mutated["only_mutate"], *mutated["pytest_add_cli_args_test_selection"]]  # type: ignore[misc]
    paths += [path for group in tools["setuptools"]["data-files"].values() for path in group]  # type: ignore[attr-defined]
    paths += re.findall(r"\b(?:tests/)?(?:flows|docs|benchmarks)/[\w/-]+\.\w+", makefile)
    assert [path for path in paths if not (ROOT / path).is_file()] == []
    modules = re.findall(r"-m (parsimony\.[\w.]+)", makefile)
    assert modules == ["parsimony.audit.simulation_page", "parsimony.audit.replay", "parsimony.audit.instrument"]
    assert all('if __name__ == "__main__":' in SOURCES[module].read_text(encoding="utf-8") for module in modules)


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
    # Before it, Prefect started no server with a newer FastAPI, and made no scheduled runs with a newer SQLAlchemy.
    assert tuple(map(int, pins["prefect"].split("."))) >= (3, 9, 1)


@pytest.mark.slow
def test_the_deployments_name_flows_by_their_modules_and_a_valid_plan() -> None:
    from prefect.flows import load_flow_from_entrypoint

    from parsimony.flows.plan_file import parse
    from parsimony.flows.servers.deployments import POOL, QUEUES, file, listed

    assert file() == ROOT / "prefect.yaml"
    assert [f"{load_flow_from_entrypoint(d['entrypoint']).name}/{d['name']}" for d in listed()] == [
        "smallest-model/on-demand",
        "smallest-model/weekly",
        "new-data/hourly",
        "drift/on-demand",
        "quality/on-demand",
        "rollback/on-demand",
        "reconcile/every-minute",
        "review/every-minute",
        "clean/nightly",
    ]
    for deployment in listed():
        assert deployment["entrypoint"].rpartition(".")[0] in SOURCES
        assert deployment["work_pool"]["name"] == POOL and deployment["work_pool"]["work_queue_name"] in QUEUES
        if "parameters" in deployment:
            assert Path(parse(deployment["parameters"]["plan"], "prefect.yaml").data.train).is_file()
    weekly = listed()[1]
    assert weekly["schedules"] == [{"slug": "weekly", "cron": "0 3 * * 1", "timezone": "UTC", "active": False}]
