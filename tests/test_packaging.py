"""The wheel, installed into an empty environment, beside a user's own `flows/` folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from bundles import write_tiny_bundle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BASE = ("numpy", "onnxruntime", "tokenizers")
ROWS = "text,label\n" + "".join(
    f"text number {i} about {'cats' if i % 2 else 'dogs'},{'ab'[i % 2]}\n" for i in range(120)
)
PLAN = 'model = "m"\n[data]\ntrain = "train.csv"\ntext = "text"\nlabel = "label"\n[search]\nfamilies = ["linear"]\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, with the setuptools that is here: nothing is downloaded."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in ("parsimony", "flows", "tasks", "mlflow"):
        copytree(ROOT / folder, source / folder, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "prefect.yaml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    return next(out.glob("parsimony-*.whl"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that holds nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    _pip("--python", str(folder / "bin" / "python"), "install", str(wheel))
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a user's folder: a package `flows` of their own, rows, a plan, a bundle."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "flows").mkdir()
    (folder / "flows" / "__init__.py").write_text("MINE = True\n", encoding="utf-8")
    (folder / "train.csv").write_text(ROWS, encoding="utf-8")
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    write_tiny_bundle(folder / "tiny")
    return folder


@pytest.fixture
def three_libraries(environment: Path, tmp_path: Path) -> Iterator[None]:
    """Let the environment see numpy, onnxruntime, tokenizers and what these need, as links to what is installed here."""
    for name in _needed(BASE):
        for part in {file.parts[0] for file in distribution(name).files or ()} - {"..", "__pycache__"}:
            (tmp_path / part).symlink_to(Path(str(distribution(name).locate_file(part))))
    yield from _visible(environment, tmp_path)


@pytest.fixture
def every_library(environment: Path) -> Iterator[None]:
    """Let the environment see everything that is installed here."""
    yield from _visible(environment, Path(sysconfig.get_paths()["purelib"]))


def _needed(names: tuple[str, ...]) -> set[str]:
    """Return these distributions and all that they require, extras left out."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    needed, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) in needed:
            continue
        try:
            lines = distribution(name).requires or ()
        except PackageNotFoundError:  # required on other systems only
            continue
        needed.add(name)
        wanted = [Requirement(line) for line in lines]
        waiting += [canonicalize_name(r.name) for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    return needed


def _visible(environment: Path, folder: Path) -> Iterator[None]:
    path = next((environment / "lib").glob("python*/site-packages")) / "libraries.pth"
    path.write_text(f"{folder}\n", encoding="utf-8")
    yield
    path.unlink()


def _pip(*arguments: str) -> None:
    offline = {**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def _run(environment: Path, work: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PARSIMONY", "MLFLOW"))
    }
    command = [str(environment / "bin" / program), *arguments]
    return subprocess.run(command, cwd=work, env=clean, capture_output=True, text=True, timeout=300)


def test_the_wheel_puts_one_name_into_site_packages(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not re.fullmatch(r"parsimony-[\d.]+\.(dist-info|data)", name)} == {"parsimony"}


def test_the_wheel_carries_the_mark_of_types_the_plans_and_the_model_code(wheel: Path) -> None:
    names = {re.sub(r"^parsimony-[\d.]+\.data/", "", name) for name in zipfile.ZipFile(wheel).namelist()}
    expected = {
        "parsimony/py.typed", "parsimony/flows/plans/demo.toml", "parsimony/flows/plans/support-tickets.csv",
        "data/share/parsimony/mlflow/bundle_model.py",
        "data/share/parsimony/prefect.yaml",
    }  # fmt: skip
    assert expected <= names


@pytest.mark.usefixtures("three_libraries")
def test_the_help_and_prediction_from_a_folder_need_three_libraries(environment: Path, work: Path) -> None:
    told = _run(environment, work, "parsimony", "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("usage: parsimony")
    told = _run(environment, work, "parsimony", "predict", "tiny", "send money", "hello")
    assert (told.returncode, told.stdout, told.stderr) == (0, "transfer\ngreeting\n", "")
    code = "import parsimony; print(parsimony.predict('tiny', ['rain']))"
    assert _run(environment, work, "python", "-c", code).stdout == "['weather']\n"


@pytest.mark.usefixtures("three_libraries")
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "plan.toml"), ("plan", "plan.toml"), ("rotate", "plan.toml", "--out", "new"), ("champion", "m"),
        ("history", "m"), ("predict", "m", "a text"), ("bench", "tiny"),
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_verb_that_misses_a_library_names_the_extra(
    arguments: tuple[str, ...], environment: Path, work: Path
) -> None:
    told = _run(environment, work, "parsimony", *arguments)
    assert (told.returncode, told.stdout) == (4, "")
    missing = "(pydantic|rich|mlflow) is not installed"
    assert re.fullmatch(rf"parsimony: {missing}; pip install 'parsimony\[flow\]'\n", told.stderr), told.stderr


@pytest.mark.usefixtures("every_library")
def test_a_plan_is_read_beside_a_foreign_flows_folder(environment: Path, work: Path) -> None:
    told = _run(environment, work, "parsimony", "plan", "plan.toml", "--json")
    assert told.returncode == 0, told.stderr
    assert [c["candidate"] for c in json.loads(told.stdout)["candidates"]]
    # From here the working folder is the first place where Python looks.
    told = _run(environment, work, "python", "-m", "parsimony.flows.cli.main", "plan", "plan.toml")
    assert told.returncode == 0, told.stderr
    code = "import flows, parsimony.flows; print(flows.MINE, flows.__file__, parsimony.flows.__file__)"
    mine, theirs, ours = _run(environment, work, "python", "-c", code).stdout.split()
    assert (mine, theirs) == ("True", str(work / "flows" / "__init__.py"))
    assert Path(ours).is_relative_to(environment)


@pytest.mark.usefixtures("every_library")
def test_the_model_code_that_mlflow_stores_is_the_installed_one(environment: Path, work: Path) -> None:
    code = "from parsimony.tasks.registry.versions import model_code; print(model_code())"
    path = Path(_run(environment, work, "python", "-c", code).stdout.strip())
    assert path.is_relative_to(environment)
    assert path.read_bytes() == (ROOT / "mlflow" / "bundle_model.py").read_bytes()


@pytest.mark.parametrize("place", ["--prefix", "--target"])  # `--user` lays files out as `--prefix` does
def test_what_lies_beside_the_package_is_read_wherever_pip_put_it(place: str, wheel: Path, tmp_path: Path) -> None:
    _pip("install", "--ignore-installed", place, str(tmp_path), str(wheel))
    site = tmp_path if place == "--target" else next(tmp_path.glob("lib/python*/site-packages"))
    code = (
        "from parsimony.files.shipped import shipped; print(shipped('mlflow/bundle_model.py'), shipped('prefect.yaml'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    for path, name in zip(map(Path, told.stdout.split()), ("mlflow/bundle_model.py", "prefect.yaml"), strict=True):
        assert path.is_relative_to(tmp_path)
        assert path.read_bytes() == (ROOT / name).read_bytes()
