"""The documentation, held to the code: links, words, keys, verbs, numbers, and what is printed to be typed."""

from __future__ import annotations

import argparse
import doctest
import importlib.util
import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from bundles import write_tiny_bundle
from pydantic.fields import FieldInfo
from tinymodels import DATA, LABELS, base_of, checkpoint, spec_of, tables, write_csv, write_tiny_base

import parsimony
from parsimony.candidates import Candidate
from parsimony.compression.build import Sources, build, draft_of
from parsimony.compression.technique import DoesNotApplyError
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.table import Texts
from parsimony.decision import stats
from parsimony.errors import DataError, InfrastructureError, PlanError
from parsimony.flows import plan as plans
from parsimony.flows.cli import main as cli
from parsimony.graphs import rewrite

ROOT = Path(__file__).parents[1]
_NOT_OURS = {"mutants", "build", "dist", "node_modules"}
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.md")
    if not any(
        part in _NOT_OURS or (part.startswith(".") and part != ".github") for part in path.relative_to(ROOT).parts
    )
)
every_page = pytest.mark.parametrize("page", PAGES)
# What an idea was called before 0.2.0; CHANGELOG.md translates.
OLD_WORDS = re.compile(
    r"\b(sealed splits?|search splits?|twins?|rungs?|worn|trunks?|base lines?|exposures?|search_share|sealed_share)\b"
    r"|\.layers-|\.ffn-",
    re.IGNORECASE,
)
COMMANDS, PLAN_KEYS = "docs/reference/commands.md", "docs/reference/plan.md"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Return the contents of a page's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)


def section(page: str, heading: str) -> str:
    """Return what stands below one heading of a page, up to the next one."""
    return re.split(r"^#+ ", read(page).split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row in a text, header rows included."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not set(line) <= set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# --- links and words ------------------------------------------------------------------------------


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.relative_to(ROOT).as_posix()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_and_image_leads_to_a_file_and_every_anchor_to_a_heading(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file.resolve()), target


def test_every_page_of_the_documentation_is_linked_from_another_one() -> None:
    linked = {
        ((ROOT / page).parent / target.partition("#")[0]).resolve().relative_to(ROOT).as_posix()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s#]+\.md)", prose(page))
    }
    assert {page for page in PAGES if page.startswith("docs/")} <= linked


def test_every_case_of_what_comes_in_is_held_by_a_test_that_is_there() -> None:
    lines = (ROOT / "docs" / "trials" / "inputs.md").read_text(encoding="utf-8").splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if "#" in line.partition("|")[2].partition("|")[0]]
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names = [re.findall(r"\btest_\w+(?!\w|\.py)", row[-1]) for row in rows]
    assert len(rows) >= 60 and all(names)
    assert [name for each in names for name in each if f"def {name}(" not in tests] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_no_page_uses_a_word_that_was_given_up(page: str) -> None:
    documented = [match.group() for match in OLD_WORDS.finditer(" ".join(read(page).split()))]
    assert not documented


def test_the_tree_of_the_readme_names_folders_that_are_there() -> None:
    tree = read("README.md").split("## The tree")[1]
    top = re.findall(r"^([a-z]+)/ ", tree, re.MULTILINE)
    assert {"parsimony", "flows", "tasks", "docs", "tests"} <= set(top)
    assert all((ROOT / name).is_dir() for name in top)
    rooms = re.findall(r"^  ([a-z]+)/ ", tree, re.MULTILINE)
    here = {path.parent.name for path in (ROOT / "parsimony").glob("*/__init__.py")}
    assert set(rooms) == here


# --- make -----------------------------------------------------------------------------------------


@every_page
def test_every_make_command_is_a_target(page: str) -> None:
    [phony] = re.findall(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    inline = re.findall(r"`make ([a-z]+)", read(page))
    typed = re.findall(r"^make ([a-z]+)", "".join(blocks(page, "sh")), re.MULTILINE)
    assert {*inline, *typed} <= set(phony.split())


# --- the plan's keys ------------------------------------------------------------------------------


def _documented(heading: str) -> dict[str, list[str]]:
    """Return the cells of each key in one section: default, range, meaning."""
    return {names(key)[0]: rest for key, *rest in rows(section(PLAN_KEYS, heading)) if names(key)}


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _printed(cell: str) -> Any:
    """Return the default that a cell shows: TOML in backticks, or a word."""
    return tomllib.loads(f"x = {names(cell)[0]}")["x"] if names(cell) else {"none": None}.get(cell, cell)


def _range(field: FieldInfo) -> str:
    """Return the range of a field as the page prints it."""
    limits = {
        "gt": "above {}", "ge": "at least {}", "lt": "below {}", "le": "at most {}",
        "min_length": "at least {} entry", "pattern": "matches `{}`",
    }  # fmt: skip
    said = [
        text.format(f"{value:.12g}" if isinstance(value, int | float) else value)
        for name, text in limits.items()
        for rule in field.metadata
        if (value := getattr(rule, name, None)) is not None
    ]
    if choices := [value for value in get_args(field.annotation) if isinstance(value, str)]:
        return ", ".join(f"`{value}`" for value in choices)
    if inner := [value for kind in get_args(field.annotation) for value in get_args(kind) if isinstance(value, str)]:
        return f"{', '.join(said)} of {', '.join(f'`{value}`' for value in inner)}"
    return "`true`, `false`" if field.annotation is bool else ", ".join(said)


SECTIONS = {"[[targets]]" if name == "targets" else f"[{name}]": kind for name, kind in plans.SECTIONS.items()}


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_of_the_plan_is_documented_with_its_default_and_range(heading: str) -> None:
    _assert_documented_keys(heading, SECTIONS[heading].model_fields)


def test_the_name_of_the_model_is_documented() -> None:
    _assert_documented_keys("Top level", {"model": plans.Plan.model_fields["model"]})


def _assert_documented_keys(heading: str, fields: dict[str, FieldInfo]) -> None:
    documented = _documented(heading)
    assert list(documented) == list(fields)
    for key, field in fields.items():
        default, said, meaning = documented[key]
        assert _printed(default) == _default(field), key
        assert said == _range(field), key
        assert meaning, key


def test_the_reference_has_a_section_for_every_table_of_the_plan() -> None:
    assert re.findall(r"^## (\[.+\])$", read(PLAN_KEYS), re.MULTILINE) == list(SECTIONS)


def test_the_whole_plan_of_the_reference_holds_every_key_with_its_default() -> None:
    [block] = blocks(PLAN_KEYS, "toml")
    listed = tomllib.loads(block)
    four = {"model": "my-model", "data": {name: listed["data"][name] for name in ("train", "text", "label")}}
    assert plans.Plan.model_validate(listed) == plans.Plan.model_validate(four)
    for heading, kind in SECTIONS.items():
        part = block.split(heading, 1)[1].split("\n[", 1)[0]
        assert re.findall(r"^(?:# )?(\w+) =", part, re.MULTILINE) == list(kind.model_fields)


# --- verbs and options ----------------------------------------------------------------------------


def _verbs() -> dict[str, argparse.ArgumentParser]:
    [verbs] = [a.choices for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(verbs)


def test_every_verb_has_a_section_and_every_section_a_verb() -> None:
    headings = re.findall(r"^## parsimony (\w+)$", read(COMMANDS), re.MULTILINE)
    listed = [names(cells[0])[0] for cells in rows(read(COMMANDS).split("\n## ")[0]) if names(cells[0])]
    assert headings == listed == list(_verbs())


@pytest.mark.parametrize("verb", _verbs())
def test_every_option_of_a_verb_is_documented(verb: str) -> None:
    actions = [action for action in _verbs()[verb]._actions if action.dest != "help"]
    taken = [action.option_strings[0] if action.option_strings else action.dest for action in actions]
    documented = [
        names(cells[0])[0].split()[0] for cells in rows(section(COMMANDS, f"parsimony {verb}")) if names(cells[0])
    ]
    assert sorted(documented) == sorted(taken)
    assert f"```sh\nparsimony {verb}" in section(COMMANDS, f"parsimony {verb}")


def test_the_exit_codes_of_refusals_are_documented() -> None:
    said = {int(cells[0]): cells[1] for cells in rows(section(COMMANDS, "Exit status"))[1:]}
    codes = {PlanError: "a bad plan", DataError: "bad data", InfrastructureError: "infrastructure"}
    for error, words in codes.items():
        assert said[error.exit_code].startswith(words)


# --- numbers --------------------------------------------------------------------------------------


def test_the_decision_that_is_worked_out_by_hand_is_what_the_code_decides() -> None:
    page = "docs/concepts/method.md"
    documented = doctest.testfile(str(ROOT / page), module_relative=False)
    assert documented.failed == 0 and documented.attempted >= 5
    assert "T is −1.648" in read(page) and "at least −0.0198" in read(page)


def test_the_margins_that_a_test_split_can_certify_are_computed() -> None:
    page = "docs/how-to/choose-a-margin.md"
    header, *table = [cells for cells in rows(read(page)) if len(cells) == 4]
    shares = [int(share) / 100 for share in re.findall(r"(\d+) %", " ".join(header))]
    for cells in table:
        n = int(cells[0].replace(",", ""))
        assert cells[1:] == [f"{stats.smallest_margin(share, n, 0.95):.4f}" for share in shares]


# --- examples -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_lines_are_enough_to_use_a_bundle_without_parsimony(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [code] = [block for block in blocks("docs/reference/bundle.md", "python") if "InferenceSession" in block]
    assert len([line for line in code.splitlines() if line]) <= 10
    assert "parsimony" not in code
    made = write_tiny_bundle(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out.split() == parsimony.load(made.folder).predict(["a text of your own"])


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/how-to/use-the-champion.md"])
def test_a_bundle_is_used_from_python_as_it_is_printed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = [block for block in blocks(page, "python") if "parsimony.load" in block]
    [folder] = re.findall(r'load\("\./([\w-]+)"\)', code)
    write_tiny_bundle(tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    place: dict[str, Any] = {}
    exec(code, place)
    assert place["model"].predict(["send money"]) == ["transfer"]


@pytest.mark.slow
def test_the_technique_of_the_contributing_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One new file and one registry line: written down as they are printed, tried by the builder on a real graph."""
    file, line = (block.strip() for block in blocks("CONTRIBUTING.md", "python"))
    path = Path(file.splitlines()[0].removeprefix("# "))
    assert (ROOT / path.parent / "__init__.py").is_file() and not (ROOT / path).exists()
    module = _module(tmp_path / path.name, file)
    entry = eval("{" + line + "}", {path.stem: module})
    monkeypatch.setitem(TECHNIQUES, *entry.popitem())
    assert TECHNIQUES[path.stem].name == path.stem
    train, validation, _ = tables()
    sources = Sources(
        checkpoint=Path(checkpoint("bert", "reference").folder),
        base=base_of("bert"),
        texts=Texts.of(train.texts),
        labels=LABELS,
        data_digest=DATA,
    )
    spec = spec_of("bert", "reference")
    whole, half = (
        build(Candidate(spec=spec, techniques=chain), sources, tmp_path / f"bundle of {len(chain)}")
        for chain in ((), (path.stem,))
    )
    bytes_ = [rewrite.bytes_per_type(onnx.load(Path(built.folder) / "model.onnx")) for built in (whole, half)]
    assert 0.45 < sum(bytes_[1].values()) / sum(bytes_[0].values()) < 0.6
    assert bytes_[1]["FLOAT16"] > bytes_[1]["FLOAT"]
    predicted = [parsimony.load(built.folder).predict(validation.texts) for built in (whole, half)]
    assert np.mean([one == other for one, other in zip(*predicted, strict=True)]) > 0.95
    empty = draft_of(sources.checkpoint, sources.texts)
    del empty.graph.graph.initializer[:]
    with pytest.raises(DoesNotApplyError, match="no fp32 matrix"):
        TECHNIQUES[path.stem].apply(empty)


def _module(path: Path, source: str) -> Any:
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- commands, as they are printed ----------------------------------------------------------------

# Pages whose commands are typed one after the other in one folder. Those of how-to pages about servers are not run.
PRINTED = (
    "README.md",
    "docs/how-to/own-data.md",
    "docs/how-to/choose-a-margin.md",
    "docs/how-to/new-test-split.md",
    "docs/how-to/use-the-champion.md",
    COMMANDS,
)
# Set-up, which has been done when tests run; `make` has a test of its own.
_SET_UP = ("make ", ". .venv/")
# What starts servers or needs one, or a winner that waits: tests/flows/test_up.py, tests/serving and tests/tasks/test_review.py type it.
_SERVED = ("parsimony up", "parsimony watch", "parsimony deploy", "parsimony serve", "parsimony review")
_ATTEMPTS = 3
# Students and static models take most of the time of a run and change nothing that the pages say.
FEWER = '[search]\nfamilies = ["linear", "encoder"]\n'


def typed(page: str) -> list[str]:
    """Return the command lines of a page."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith(_SET_UP + _SERVED)]


def write_plans(page: str, folder: Path, more: str = "") -> None:
    """Write the TOML blocks that begin with a file's name, as they are printed, with more tables at the end."""
    for block in blocks(page, "toml"):
        if match := re.match(r"# ([\w.-]+\.toml)\n", block):
            (folder / match[1]).write_text(block + more, encoding="utf-8")


def succeed(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Type a command and return what it printed; `parsimony run` again where nothing was measured steadily.

    The docs say so, too: an unsteady measurement passes no gate. Where the machine stays too busy, the test fails.
    """
    words = shlex.split(line, comments=True)
    if words[0] != "parsimony":
        subprocess.run(line, shell=True, check=True)
        return ""
    for _ in range(_ATTEMPTS):
        status, said = cli.main(words[1:]), capsys.readouterr().out
        if status == 0:
            return said
        if (status, words[1]) != (1, "run") or "unsteady" not in said:
            break
    raise AssertionError(
        f"{line}: status {status}; an unsteady measurement is repeated, {_ATTEMPTS} times in all:\n{said}"
    )


@pytest.fixture
def work(tmp_path: Path, prefect_backend: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder like a fresh clone's, in which the default base is a tiny one of the same name."""
    [base] = plans.Bases().names
    package = tmp_path / "packages" / base.removeprefix("package:")
    write_tiny_base(package)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "flows").symlink_to(ROOT / "flows")
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PARSIMONY_HOME", str(clone / ".parsimony"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return clone


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.flow
def test_the_commands_of_the_tutorial_do_what_it_says(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = "docs/tutorial.md"
    lines = typed(page)
    assert sum(line.startswith("parsimony run") for line in lines) == 2
    assert {line.split()[1] for line in lines if line.startswith("parsimony")} >= {"plan", "run", "predict", "audit"}
    write_plans(page, work, FEWER)
    said = [(line, succeed(line, capsys)) for line in lines]
    first, second = (out for line, out in said if line.startswith("parsimony run"))
    assert "goes into production" in first
    table = [line for line in first.splitlines() if re.match(r"(student|linear|encoder)\S* +[~\d]", line)]
    assert 2 <= len(table) <= 12
    [history] = [out for line, out in said if line.startswith("parsimony history")]
    kept = "stays in production" in second
    # On a busy machine the champion's measurement can be unsteady, which passes no gate.
    assert kept or "unsteady" in second
    assert len(re.findall(r"^promote ", history, re.MULTILINE)) == (1 if kept else 2)
    [code] = blocks(page, "python")
    exec(code, {})


@pytest.mark.slow
@pytest.mark.flow
def test_the_commands_of_readme_how_to_and_reference_work_as_they_are_printed(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = tables()
    for name in ("train.csv", "labelled.csv"):
        write_csv(work / name, *parts)
    recent = [json.dumps({"text": text}) for part in parts for text in part.texts]
    (work / "recent.jsonl").write_text("\n".join(recent) + "\n", encoding="utf-8")
    # 60 test rows certify no margin of 0.01, and this is said; the pages are about data that do.
    write_plans("README.md", work, f"[gates]\nunderpowered = true\n{FEWER}")
    done: set[str] = set()
    for page in PRINTED:
        for line in typed(page):
            if (words := " ".join(shlex.split(line, comments=True))) in done:
                continue
            said = succeed(line, capsys)
            done.add(words)
            if line.startswith("parsimony run") and "--json" in line:
                _assert_documented(json.loads(said.splitlines()[-1]))
    for code in blocks("docs/how-to/use-the-champion.md", "python"):
        exec(code, {})


def _assert_documented(receipt: dict[str, Any]) -> None:
    """Require the reference to list every key of a receipt and of its candidates, and no other one."""
    text = read(COMMANDS).split("\n## The receipt\n")[1]
    whole, each = (rows(part) for part in text.split("An entry of `candidates`:"))
    assert {name for cells in whole for name in names(cells[0])} == set(receipt)
    assert {name for cells in each for name in names(cells[0])} == set(receipt["candidates"][0])
    assert receipt["format"] == int(next(cells[1] for cells in whole if cells[0] == "`format`").split(";")[0])
